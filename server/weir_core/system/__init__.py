"""The installation itself: how its parts are."""
