"""The work of a training run, and the evaluation of what came of it."""
