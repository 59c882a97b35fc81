"""PatchCore: distance to the nearest patch of a memory bank."""
