"""What passed a station beside the records of it: which parts nobody inspected."""
