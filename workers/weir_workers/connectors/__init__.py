"""Code that can read one kind of source each, found by the entry point group `weir.connectors`."""
