"""Measurement-system analysis: the same parts judged blind, several times, by people and models."""
