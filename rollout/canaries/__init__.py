"""A version that judges the images of one station, compared with production on all others."""
