"""The choice of a detector by a training run: carried out by a worker, and shown as evidence."""
