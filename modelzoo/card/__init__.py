"""The model card of a version: what it is for, what it was made of, how well it does, where it ends."""
