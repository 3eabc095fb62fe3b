"""Messages and stubs of the contract, generated."""
