"""Peers, each run in a virtual environment of its own: `benchmark speed` and `accuracy --peer-python`."""
