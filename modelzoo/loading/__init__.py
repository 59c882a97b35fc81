"""Loading trained versions: into memory, and in force for a category."""
