"""The scheduler: looks after what no worker holds."""
