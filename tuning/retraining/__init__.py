"""Training again with what people reviewed, and comparing what comes of it with production on the same images."""
