"""Workers, their leases, and the kinds of task that they can do."""
