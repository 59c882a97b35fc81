"""Challengers, what they say about the images of the line, and which disagreements people looked at."""

from __future__ import annotations

from rollout.challengers.models import Challenger, ChallengerResult, ChallengerSlice, DisagreementMark

__all__ = ["Challenger", "ChallengerResult", "ChallengerSlice", "DisagreementMark"]
