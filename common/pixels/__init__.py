"""What pixels mean, wherever they are judged, learnt from or shown."""
