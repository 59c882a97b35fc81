"""Writes: filters of the history that people keep under a name."""

from __future__ import annotations

from django.db import IntegrityError, transaction
from django.http import QueryDict

from common.errors import Conflict, NotFound, UserError
from common.rights import Right, require
from inspection.history.filter_values import NO_CHARACTER
from inspection.history.pages import Query, read_filters
from inspection.models import SavedView
from records.audit.services import Actor, audit

MAX_NAME_LENGTH = 60
MAX_QUERY_LENGTH = 2000
MAX_VIEWS = 50


@transaction.atomic
def save_view(*, name: str, params: QueryDict, actor: Actor) -> SavedView:
    """Keep what an address of the history asks for. A relative period stays relative: "today" is each day's own."""
    require(actor, Right.READ)
    if actor is None or actor.pk is None:
        raise UserError("A view belongs to a person. Nothing was saved. Sign in as a person.", code="owner_missing")
    name, query = _checked_name(name), _checked_query(params)
    views = SavedView.objects.filter(owner_id=actor.pk)
    if views.filter(name=name).exists():
        raise _name_conflict(name)
    if views.count() >= MAX_VIEWS:
        raise Conflict(
            f"There are {MAX_VIEWS} saved views already. Nothing was saved. Delete one first.", code="too_many_views"
        )
    try:
        with transaction.atomic():
            view = SavedView.objects.create(owner_id=actor.pk, name=name, query=query)
    except IntegrityError as error:  # saved in another window meanwhile
        raise _name_conflict(name) from error
    audit(kind="view.saved", subject=view, actor=actor, after={"name": name, "query": query})
    return view


@transaction.atomic
def delete_view(*, view_id: int, actor: Actor) -> str:
    """Forget one of the actor's own views; returns its name. The records that it found stay."""
    require(actor, Right.READ)
    owner = actor.pk if actor is not None else None
    view = SavedView.objects.select_for_update().filter(pk=view_id, owner_id=owner).first()
    if view is None:
        raise NotFound("You have no such view. It may have been deleted in another window.", code="view_not_found")
    before = {"name": view.name, "query": view.query}
    subject = (SavedView._meta.label_lower, str(view.pk))
    view.delete()
    audit(kind="view.deleted", subject=subject, actor=actor, before=before)
    return before["name"]


def _checked_name(name: str) -> str:
    name = " ".join(name.split())
    if not 0 < len(name) <= MAX_NAME_LENGTH:
        raise UserError(
            f"A view has a name of 1 to {MAX_NAME_LENGTH} characters. Nothing was saved.", code="invalid_name"
        )
    if NO_CHARACTER.search(name):
        raise UserError("The name contains an invalid character. Nothing was saved.", code="invalid_name")
    return name


def _checked_query(params: QueryDict) -> str:
    query = Query.of(params)
    _, wrong = read_filters(params)
    if wrong:
        raise UserError(f"{next(iter(wrong.values())).detail} Nothing was saved.", code="invalid_filter")
    if not query.pairs:
        raise UserError("Nothing is filtered, so there is nothing to save. Choose a filter first.", code="empty_view")
    if len(str(query)) > MAX_QUERY_LENGTH:
        raise UserError("The filters are too long to save. Nothing was saved.", code="invalid_filter")
    return str(query)


def _name_conflict(name: str) -> Conflict:
    return Conflict(
        f"You already have a view named {name}. Nothing was saved. Choose another name, or delete it first.",
        code="view_name_taken",
    )
