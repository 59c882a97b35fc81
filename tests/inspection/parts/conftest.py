"""A layout of three views, all judged by the made-up discs' model."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import User

from inspection.judging.services import PartContext
from inspection.models import PartLayout
from inspection.part_layouts.services import ViewPlan, set_layout
from inspection.parts.services import PartSubmission, ViewImage
from tests import parts

VIEWS = ("top", "left", "right")


def submission(part_id: str, *, actor: Any = None, layout: str = "housing", **part: str) -> PartSubmission:
    return PartSubmission(layout=layout, part_id=part_id, source="api", actor=actor, part=PartContext(**part))


def image(view: str, seed: int = 7, *, defective: bool = False, data: bytes | None = None) -> ViewImage:
    return ViewImage(view, f"{view}.png", parts.png(seed, defective=defective) if data is None else data)


@pytest.fixture
def layout(version: Any, deployment: Any, user: User) -> PartLayout:
    views = [ViewPlan(name, version.category, f"camera {name}" if name == "left" else "") for name in VIEWS]
    return set_layout(name="housing", views=views, time_limit_seconds=60, reason="three cameras", actor=user)
