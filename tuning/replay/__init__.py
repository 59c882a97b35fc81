"""Replay: stored verdicts computed again from the stored image and the artifact, as standing proof of the records."""
