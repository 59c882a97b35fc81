"""The audit log: its chain, its checkpoints, what it says, whether it holds."""
