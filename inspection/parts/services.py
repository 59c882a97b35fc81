"""Writes: views of a part come in, one at a time or all in one call. Each is judged as any other image.

A part begins with its first view and has an id that the line gives it. It is closed by whoever ends its last view (see
`inspection.parts.completion`), or by the sweep when its time is over.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus

from django.conf import settings
from django.db import IntegrityError, transaction

from common.api.problem_list import PROBLEMS
from common.database import database_now
from common.errors import Conflict, UserError
from common.rights import Right, require
from inspection.endings import note_gathered
from inspection.judging.idempotency import own_key
from inspection.judging.services import PartContext, Submission, await_inspection, rejoin, submit_image
from inspection.models import Inspection, InspectionRequest, LayoutView, PartLayout, PartRequest, PartRequestView
from inspection.part_layouts.selectors import find_layout
from inspection.parts.completion import IMAGE_ERRORS, complete_part, is_over
from modelzoo.selectors import deployment_in_force
from records.assets.images import ImageRejected
from records.audit.services import Actor, lock_audit_chain

MAX_ID = 100
# What is said of the part, and must be the same for each of its views that says it; the station is the view's.
_SAID_OF_PART = ("part_number", "lot", "serial_number")


class ViewRefused(Conflict):
    """The view is not taken: its part is closed, has this view already, or is another one. Trying again is no use."""


@dataclass(frozen=True)
class PartSubmission:
    """Whose views these are: the layout by name, the id that the line gives the part, and what is said of it."""

    layout: str
    part_id: str
    source: str
    actor: Actor
    part: PartContext


@dataclass(frozen=True)
class ViewImage:
    """The image of one view, as it was sent."""

    view: str
    filename: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


# ---------------------------------------------------------------- one view, all views
def inspect_view(
    *, submission: PartSubmission, image: ViewImage, idempotency_key: str | None = None
) -> tuple[PartRequest, Inspection]:
    """Have one view of a part judged, and return the part as it then is with the record of the view.

    The same image for the same view again is answered with its record. `idempotency_key`: of the image's request, for
    callers that look for it by that.

    Raises `NotFound` for the layout, `ViewRefused`, `ImageRejected` (the view then counts as refused), and whatever
    judging one image raises; the view may then come again until the part is closed.
    """
    layout, part_request = _begin(submission, [image])
    view = _view_of(layout, image.view)
    waiting = _submit_view(part_request, view, image, submission, key=idempotency_key)
    record = waiting()
    part_request.refresh_from_db()
    part_request.replayed = record.replayed
    return part_request, record


def inspect_part(*, submission: PartSubmission, images: Sequence[ViewImage]) -> PartRequest:
    """Have several views of a part judged together. An image that is refused is the fault of its view alone.

    Raises as `inspect_view`, but for refused images: they are in the part's record. Where one view could not be judged
    at all (no worker), the others have their records, and the part waits for it until its time is over.
    """
    layout, part_request = _begin(submission, images)
    waiting: list[Callable[[], Inspection]] = []
    for image in images:
        try:
            waiting.append(_submit_view(part_request, _view_of(layout, image.view), image, submission))
        except ImageRejected:
            continue  # written down, and told to whoever reads the part
    records, trouble = [], None
    for wait in waiting:
        try:
            records.append(wait())
        except UserError as error:
            if error.code not in IMAGE_ERRORS:
                trouble = error
    if trouble is not None:
        trouble.extra["part"] = str(part_request.pk)
        raise trouble
    part_request.refresh_from_db()
    part_request.replayed = bool(records) and all(record.replayed for record in records)
    return part_request


def part_id_of(*, part_id: str, idempotency_key: str | None, actor: Actor) -> str:
    """The id that a part gets: the one that was given, else one that follows from the key, else a new one."""
    if part_id.strip():
        return part_id.strip()
    key = own_key(idempotency_key, actor=actor)
    return str(uuid.uuid5(uuid.NAMESPACE_URL, key) if key is not None else uuid.uuid4())


# ---------------------------------------------------------------- the part
def _begin(submission: PartSubmission, images: Sequence[ViewImage]) -> tuple[PartLayout, PartRequest]:
    """The part, begun where this is its first view. What cannot be judged as it stands begins none."""
    require(submission.actor, Right.INSPECT)
    part_id = submission.part_id.strip()
    if not part_id or len(part_id) > MAX_ID:
        raise UserError(f"A part id has 1 to {MAX_ID} characters. Nothing was judged.", code="invalid")
    existing = PartRequest.objects.filter(layout_name=submission.layout, part_id=part_id).first()
    layout = existing.layout if existing else find_layout(submission.layout)
    if existing is None and not layout.in_use:
        raise Conflict(
            f"Part layout {layout.name} is retired. Nothing was judged. Set it again, or name another one.",
            code="part_layout_retired",
        )
    for image in images:
        view = _view_of(layout, image.view)
        if existing is None:
            deployment_in_force(view.category.name, station=_station_of(view, submission))
    part_request = existing or _open(layout, part_id, submission)
    _agree(part_request, submission.part)
    return layout, part_request


def _open(layout: PartLayout, part_id: str, submission: PartSubmission) -> PartRequest:
    now = database_now()
    try:
        with transaction.atomic():
            return PartRequest.objects.create(
                layout=layout,
                layout_name=layout.name,
                part_id=part_id,
                source=submission.source,
                operator_id=submission.actor.pk if submission.actor else None,
                opened_at=now,
                closes_at=now + timedelta(seconds=layout.time_limit_seconds),
                **vars(submission.part),
            )
    except IntegrityError:  # another view of it came at this moment
        return PartRequest.objects.get(layout_name=layout.name, part_id=part_id)


def _agree(part_request: PartRequest, part: PartContext) -> None:
    """What is said of the part later is what was said first; what was not said first is taken over while it is open.

    Raises `ViewRefused`: two lots under one part id are two parts that were taken for one.
    """
    for name in _SAID_OF_PART:
        before, now = getattr(part_request, name), getattr(part, name)
        if before and now and before != now:
            raise ViewRefused(
                f"Part {part_request.part_id} has {name} {before!r}, and this view says {now!r}. The view was not "
                "kept. Check the part id: two parts may have the same one.",
                code="part_differs",
                part=str(part_request.pk),
            )
        if now and not before and part_request.status == PartRequest.Status.OPEN:
            open_parts = PartRequest.objects.filter(pk=part_request.pk, status=PartRequest.Status.OPEN)
            open_parts.filter(**{name: ""}).update(**{name: now})


def _view_of(layout: PartLayout, name: str) -> LayoutView:
    views = {view.name: view for view in layout.views.select_related("category")}
    if name not in views:
        raise ViewRefused(
            f"Part layout {layout.name} has no view {name[:50]!r}. It was not kept. Its views are {', '.join(views)}.",
            code="unknown_view",
        )
    return views[name]


def _station_of(view: LayoutView, submission: PartSubmission) -> str:
    return view.station or submission.part.station


# ---------------------------------------------------------------- one view of it
class _SentAlready(Exception):
    """An image of this view was written down at this moment."""


def _submit_view(
    part_request: PartRequest,
    view: LayoutView,
    image: ViewImage,
    submission: PartSubmission,
    *,
    key: str | None = None,
) -> Callable[[], Inspection]:
    """Ask for the view to be judged; what is returned waits for its record."""
    slot = _slot(part_request, view)
    if slot is not None and not _may_come_anew(slot):
        return _answer_again(slot, image)
    _require_open(part_request)
    context = PartContext(**vars(submission.part) | {"station": _station_of(view, submission)})
    try:
        request = submit_image(
            data=image.data,
            submission=Submission(
                filename=image.filename,
                source=submission.source,
                actor=submission.actor,
                part=context,
                idempotency_key=key,
            ),
            category=view.category.name,
            on_request=partial(_fill, part_request, view, image),
        )
    except ImageRejected as refusal:
        _refuse(part_request, view, image, refusal)
        refusal.extra["part"] = str(part_request.pk)
        raise
    except _SentAlready:
        return _answer_again(PartRequestView.objects.get(part=part_request, view=view), image)
    if not PartRequestView.objects.filter(part=part_request, view=view, request=request).exists():
        raise ViewRefused(
            f"This image was judged before as something else than view {view.name} of part {part_request.part_id}. "
            "Nothing was changed.",
            code="view_sent_already",
            part=str(part_request.pk),
        )
    return partial(_wait_for, part_request, request, until=time.monotonic() + settings.ANSWER_TIMEOUT)


def _wait_for(part_request: PartRequest, request: InspectionRequest, *, until: float) -> Inspection:
    """As for any image; the error names the part beside the request. Views that were sent together wait together."""
    try:
        return await_inspection(request=request, timeout=max(0.0, until - time.monotonic()))
    except UserError as error:
        error.extra["part"] = str(part_request.pk)
        raise


def _slot(part_request: PartRequest, view: LayoutView) -> PartRequestView | None:
    rows = PartRequestView.objects.select_related("request", "view", "part")
    return rows.filter(part=part_request, view=view).first()


def _may_come_anew(slot: PartRequestView) -> bool:
    """Whether nothing was judged of what came, through no fault of the image."""
    request = slot.request
    if request is None:
        return False
    return request.status in InspectionRequest.WITHOUT_RECORD and request.error_code not in IMAGE_ERRORS


def _answer_again(slot: PartRequestView, image: ViewImage) -> Callable[[], Inspection]:
    """What the same image was answered with before. Raises `ViewRefused` for another one: the first one counts."""
    if slot.image_sha256 != image.sha256:
        raise ViewRefused(
            f"View {slot.view.name} of part {slot.part.part_id} has come already, with another image. The first one "
            "counts; this one was not kept. Give the next part another id.",
            code="view_sent_already",
            part=str(slot.part_id),
        )
    if slot.request is None:
        status = HTTPStatus(PROBLEMS[slot.refusal_code].status[0])
        raise ImageRejected(slot.refusal, code=slot.refusal_code, status=status, part=str(slot.part_id))
    return partial(rejoin, request=slot.request)


def _require_open(part_request: PartRequest) -> None:
    """Raises `ViewRefused` once the part is closed or its time is over; then it is closed here and now."""
    if is_over(part_request):
        complete_part(part_request_id=part_request.pk)
        raise _closed(part_request)
    if not PartRequest.objects.filter(pk=part_request.pk, status=PartRequest.Status.OPEN).exists():
        raise _closed(part_request)


def _closed(part_request: PartRequest) -> ViewRefused:
    return ViewRefused(
        f"Part {part_request.part_id} takes no more views: it is complete, or its time was over at "
        f"{part_request.closes_at:%Y-%m-%d %H:%M:%S} UTC. The view was not kept. To inspect the part again, send its "
        "views under another part id.",
        code="part_closed",
        part=str(part_request.pk),
    )


def _fill(part_request: PartRequest, view: LayoutView, image: ViewImage, request: InspectionRequest) -> None:
    """Write down, with the request itself, of which view it is. The part stays locked until both are there."""
    locked = PartRequest.objects.select_for_update(no_key=True).get(pk=part_request.pk)
    if locked.status != PartRequest.Status.OPEN or is_over(locked):
        raise _closed(locked)
    slot = _slot(part_request, view)
    if slot is not None and not _may_come_anew(slot):
        raise _SentAlready
    values = {"filename": request.filename, "image_sha256": image.sha256, "request": request}
    PartRequestView.objects.update_or_create(part=part_request, view=view, defaults=values)
    _note_where_all_came(locked)


def _note_where_all_came(part: PartRequest) -> None:
    if PartRequestView.objects.filter(part=part).count() == LayoutView.objects.filter(layout=part.layout_id).count():
        note_gathered(part)


@transaction.atomic
def _refuse(part_request: PartRequest, view: LayoutView, image: ViewImage, refusal: ImageRejected) -> None:
    """A refused image is what came for its view: the first one counts, as of images that are judged."""
    lock_audit_chain()  # before the part's row, as whoever writes the record of a view
    locked = PartRequest.objects.select_for_update(no_key=True).get(pk=part_request.pk)
    slot = _slot(part_request, view)
    if locked.status != PartRequest.Status.OPEN or is_over(locked) or (slot and not _may_come_anew(slot)):
        return
    values = {
        "filename": image.filename[:300],
        "image_sha256": image.sha256,
        "request": None,
        "refusal_code": refusal.code,
        "refusal": refusal.detail[:500],
    }
    PartRequestView.objects.update_or_create(part=part_request, view=view, defaults=values)
    _note_where_all_came(locked)
    complete_part(part_request_id=part_request.pk)
