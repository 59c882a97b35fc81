"""Evaluating a version on a data set as a job; `manage.py evaluate` does it at once."""
