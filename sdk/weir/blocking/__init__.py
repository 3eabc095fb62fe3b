"""The blocking client, made from `weir.aio` by `make gen`, all but `io`."""
