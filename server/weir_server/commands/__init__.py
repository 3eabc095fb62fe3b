"""What operators run: each module is a command that joins `weir`."""
