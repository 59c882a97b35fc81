"""The process that keeps the connections: one thread for each, supervised like the workers."""
