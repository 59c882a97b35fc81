"""Objects whose events belong to the history of another one too, such as the reviews of an inspection.

Each app names its own (in `ready`), for this one knows none of them.
"""

from __future__ import annotations

from collections.abc import Callable

from django.db.models import Q

_registry: dict[str, tuple[str, Callable[[str], list[str]]]] = {}


def register(object_type: str, related_type: str, ids_of: Callable[[str], list[str]]) -> None:
    """`ids_of` gives the ids of the objects of `related_type` that belong to the object of that id."""
    _registry[object_type] = (related_type, ids_of)


def events_about(object_type: str, object_id: str) -> Q:
    """Events of an object and of those that belong to it."""
    own = Q(object_type=object_type, object_id=object_id)
    if object_type not in _registry:
        return own
    related_type, ids_of = _registry[object_type]
    ids = ids_of(object_id)
    return own | Q(object_type=related_type, object_id__in=ids) if ids else own
