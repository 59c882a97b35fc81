"""Connections to the line: rows that people edit, each of a kind that says what it needs."""
