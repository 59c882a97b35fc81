"""Ways to run a fitted detector. The detector is the reference; an engine gives the same maps, faster."""
