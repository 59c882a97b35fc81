"""Figures from scores, maps and labels, with their intervals; thresholds from the scores of good parts. NumPy only."""
