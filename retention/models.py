"""How long what is kept: policies, and the runs that carry them out."""
