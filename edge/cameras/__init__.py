"""Cameras of the line: their frames are judged as they come, or wait for triggers; and the live view of them."""
