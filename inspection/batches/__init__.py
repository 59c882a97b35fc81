"""Many images as one job: asking for it, working on it in slices, its report."""
