"""The scheduler: fires schedules, and looks after what no worker holds."""
