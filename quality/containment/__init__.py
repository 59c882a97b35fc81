"""From one escape to all parts that may share its fault: a signed list to hand to a customer."""
