"""Parts whose verdict is known: whether a station judges them as it must, at the beginning of each shift."""
