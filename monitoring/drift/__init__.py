"""Whether the pictures and scores of a line still come as they came: control charts."""
