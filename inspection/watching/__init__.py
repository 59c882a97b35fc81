"""Folders that cameras drop files into."""
