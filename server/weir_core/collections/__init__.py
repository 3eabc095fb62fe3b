"""What is collected, from where: connectors, connections, collections and their runs."""
