"""Training runs: what is asked for, the work, the evaluation of what came of it."""
