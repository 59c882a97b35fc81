"""Which views a part has, by which category each is judged, and how long they may take to come."""
