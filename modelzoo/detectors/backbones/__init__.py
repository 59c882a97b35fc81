"""Pretrained networks, their weights, and their quickest way to run on a processor."""
