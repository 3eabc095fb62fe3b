"""What operators run: commands that join `weir`, and what `weir doctor` looks at."""
