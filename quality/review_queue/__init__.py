"""Which part a person should look at next: a queue ordered by what teaches most, with a budget for each shift."""
