"""What the Weir server and its workers share: settings, database, queue, events and the domains."""

__version__ = "0.1.0"
