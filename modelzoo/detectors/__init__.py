"""Detectors in plain PyTorch: trained on good images only, no Django inside.

This module imports nothing, so that web code may import its neighbours (`errors`, `calibration`, `metrics`) without
paying for torch. `modelzoo.detectors.registry` is the entrance for everything that computes.
"""
