"""A candidate that scores the live images beside production and decides nothing."""
