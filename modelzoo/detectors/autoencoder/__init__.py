"""A convolutional autoencoder: what it cannot redraw is the anomaly."""
