"""Scoring records of the past with another version, and two versions beside each other."""
