"""Writes: people say which views a part has. Each change is a new revision; parts that have begun keep theirs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from common.errors import Conflict, UserError
from common.rights import Right, require
from inspection.models import LayoutView, PartLayout
from inspection.part_layouts.models import MAX_SECONDS, MAX_VIEWS, MIN_SECONDS
from modelzoo.models import Category
from modelzoo.services import actor_id, required_reason
from records.audit.services import Actor, audit

# In addresses, file names and fields of forms alike.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class ViewPlan:
    """One view as a person asks for it."""

    name: str
    category: Category
    station: str = ""


@transaction.atomic
def set_layout(
    *, name: str, views: Sequence[ViewPlan], time_limit_seconds: int, reason: str, actor: Actor
) -> PartLayout:
    """A new layout, or a new revision of one; a retired one is in use again.

    Raises `Forbidden`, `UserError` for what is no layout, and `Conflict` where somebody else was faster.
    """
    require(actor, Right.TUNE)
    reason = required_reason(reason, "A part layout")
    name = _checked_name(name, "The layout", 100)
    if not MIN_SECONDS <= time_limit_seconds <= MAX_SECONDS:
        raise _invalid(f"The time limit is {MIN_SECONDS} to {MAX_SECONDS} seconds.")
    if not 1 <= len(views) <= MAX_VIEWS:
        raise _invalid(f"A layout has 1 to {MAX_VIEWS} views.")
    names = [_checked_name(view.name, "Each view", 50) for view in views]
    doubled = sorted({view for view in names if names.count(view) > 1})
    if doubled:
        raise _invalid(f"Two views have the name {', '.join(doubled)}.")
    if any(len(view.station) > 100 for view in views):
        raise _invalid("A station has at most 100 characters.")
    layout = _next_revision(name, time_limit_seconds=time_limit_seconds, in_use=True, reason=reason, actor=actor)
    LayoutView.objects.bulk_create(
        LayoutView(layout=layout, position=position, name=view, category=plan.category, station=plan.station.strip())
        for position, (view, plan) in enumerate(zip(names, views, strict=True))
    )
    _audit("part_layout.set", layout, actor)
    return layout


@transaction.atomic
def retire_layout(*, name: str, reason: str, actor: Actor) -> PartLayout:
    """No part begins with it any more; parts that have begun go on. Raises `Forbidden`, `UserError`, `Conflict`."""
    require(actor, Right.TUNE)
    reason = required_reason(reason, "Retiring a part layout")
    last = PartLayout.objects.filter(name=name).order_by("-revision").first()
    if last is None or not last.in_use:
        raise Conflict(f"Part layout {name[:100]} is not in use. Nothing was changed.", code="part_layout_retired")
    layout = _next_revision(name, time_limit_seconds=last.time_limit_seconds, in_use=False, reason=reason, actor=actor)
    LayoutView.objects.bulk_create(
        LayoutView(
            layout=layout, position=view.position, name=view.name, category_id=view.category_id, station=view.station
        )
        for view in last.views.order_by("position")
    )
    _audit("part_layout.retired", layout, actor)
    return layout


def _next_revision(name: str, *, actor: Actor, **fields: Any) -> PartLayout:
    last = PartLayout.objects.filter(name=name).order_by("-revision").first()
    try:
        with transaction.atomic():
            return PartLayout.objects.create(
                name=name,
                revision=last.revision + 1 if last else 1,
                author_id=actor_id(actor),
                created_at=timezone.now(),
                **fields,
            )
    except IntegrityError as error:
        raise Conflict(
            f"Part layout {name} was changed by somebody else at this moment. Nothing was saved. Look at it again.",
            code="part_layout_changed",
        ) from error


def _audit(kind: str, layout: PartLayout, actor: Actor) -> None:
    before = PartLayout.objects.filter(name=layout.name, revision=layout.revision - 1).first()
    audit(
        kind=kind,
        subject=layout,
        actor=actor,
        before=_rule(before) if before else None,
        after=_rule(layout) | {"reason": layout.reason},
    )


def _rule(layout: PartLayout) -> dict[str, Any]:
    return {
        "name": layout.name,
        "revision": layout.revision,
        "time_limit_seconds": layout.time_limit_seconds,
        "in_use": layout.in_use,
        "views": [
            {"name": view.name, "category": view.category.name, "station": view.station}
            for view in layout.views.select_related("category").order_by("position")
        ],
    }


def _checked_name(name: str, what: str, longest: int) -> str:
    name = name.strip()
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise _invalid(
            f"{what} needs a name of 1 to {longest} letters, digits, dots, dashes and underscores, beginning with a "
            "letter or digit."
        )
    return name


def _invalid(sentence: str) -> UserError:
    return UserError(f"{sentence} Nothing was saved.", code="invalid")
