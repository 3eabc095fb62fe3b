"""The asynchronous client. `weir.blocking` is made from this package by `make gen`, all but its `io`."""
