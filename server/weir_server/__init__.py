"""The gRPC face of Weir."""
