"""Files that tasks make: what is kept of them, and for how long."""
