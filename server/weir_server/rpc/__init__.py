"""One file a service, and what turns messages into values and back."""
