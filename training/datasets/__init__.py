"""Data sets: reading folders and archives, snapshots, labels."""
