"""The centre as an edge node knows it: a kind of connection that forwards records and the state of the audit chain."""
