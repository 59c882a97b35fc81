"""The page at the line."""
