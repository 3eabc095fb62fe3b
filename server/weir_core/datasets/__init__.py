"""Records that are kept: segments, their manifest, and reading them back."""
