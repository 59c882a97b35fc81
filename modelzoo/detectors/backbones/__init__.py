"""Pretrained networks, their weights, and their fastest forward pass on a processor."""
