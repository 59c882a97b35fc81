"""Masks of what a model does not judge: painted or sent, stored, shown."""
