"""Verdicts as signed HTTP requests."""
