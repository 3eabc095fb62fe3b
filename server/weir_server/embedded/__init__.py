"""One machine's whole Weir: the processes that `weir up` starts, watches and ends."""
