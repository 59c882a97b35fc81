"""Counters and histograms of all processes, added up in the broker, and what each process says of itself.

Why not a port for each worker, nor prometheus_client's files: docs/observability.md, Where the figures are.
"""
