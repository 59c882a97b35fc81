"""The audit chain: hashes, signed checkpoints, and whether rows still say what their events said."""
