"""One part, several views: what is gathered of it, its verdict by a stated rule, and the record of the part."""
