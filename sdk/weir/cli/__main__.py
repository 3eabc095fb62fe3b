"""`python -m weir.cli` is the command `weir`."""

from weir.cli.app import main

main()
