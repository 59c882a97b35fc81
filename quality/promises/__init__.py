"""What a change of a threshold promised, beside what came of it."""
