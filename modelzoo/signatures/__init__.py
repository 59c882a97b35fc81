"""Electronic signatures: which acts of a category need one, how it is given, and where it is read from."""
