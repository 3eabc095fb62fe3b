"""The child process of a pack: what calls the handlers, and what they tell and ask."""
