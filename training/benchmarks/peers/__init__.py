"""Peers, each run in a virtual environment of its own by `benchmark speed --peer-python`."""
