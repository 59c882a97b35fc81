"""What is done to a running system. `table.FAULTS` is the table."""
