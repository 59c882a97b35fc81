"""A part of several views: gathered, judged as any image, closed once, whatever comes twice, late or not at all."""

from __future__ import annotations

import threading
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from common.errors import Conflict, NotFound, UserError
from common.rights import Forbidden
from inspection.judging import services as judging
from inspection.judging import worker as judging_worker
from inspection.models import (
    Inspection,
    InspectionRequest,
    PartInspection,
    PartInspectionView,
    PartLayout,
    PartRequest,
    PartRequestView,
)
from inspection.part_layouts.services import ViewPlan, retire_layout, set_layout
from inspection.parts import selectors, services
from inspection.parts.completion import complete_part, sweep_parts
from inspection.parts.services import ViewRefused, inspect_part, inspect_view
from inspection.reviews.services import record_review
from jobs import broker
from jobs.errors import NoWorker
from modelzoo.models import Category
from records.assets.images import ImageRejected
from records.audit.chain.audited_rows import verify_all
from records.models import AuditEvent
from tests.chain import attest_people
from tests.inspection.parts.conftest import image, submission
from tests.threads import at_once
from tests.triggers import without_any_triggers

pytestmark = pytest.mark.django_db


def let_time_pass(part_id: str) -> PartRequest:
    """The time of a part is over, by the clock of the database."""
    past = timezone.now() - timedelta(minutes=5)
    PartRequest.objects.filter(part_id=part_id).update(opened_at=past, closes_at=past + timedelta(seconds=60))
    return PartRequest.objects.get(part_id=part_id)


def states(part: PartRequest | PartInspection) -> dict[str, str]:
    views = PartInspectionView.objects.filter(part=part.pk).order_by("view__position")
    return dict(views.values_list("view__name", "state"))


# ---------------------------------------------------------------- one call, one view at a time
def test_a_part_of_good_views_is_good(layout: PartLayout, worker: None, user: User) -> None:
    part = inspect_part(
        submission=submission("P1", actor=user, lot="L1", serial_number="S1", station="line 3"),
        images=[image("top"), image("left", 8), image("right", 9)],
    )
    record = part.inspection
    assert (part.status, record.outcome, record.explanation) == ("closed", "good", "")
    assert states(part) == {"top": "good", "left": "good", "right": "good"}
    assert (record.lot, record.serial_number, record.operator) == ("L1", "S1", user)
    views = Inspection.objects.filter(part_view__part=record).order_by("part_view__view__position")
    # Each is an ordinary record: a layout's own station goes before that of the sender.
    assert [(view.station, view.lot, view.serial_number) for view in views] == [
        ("line 3", "L1", "S1"),
        ("camera left", "L1", "S1"),
        ("line 3", "L1", "S1"),
    ]
    assert AuditEvent.objects.filter(kind="inspection.recorded").count() == 3
    event = AuditEvent.objects.get(kind="part.recorded")
    assert event.sequence > AuditEvent.objects.filter(kind="inspection.recorded").latest("sequence").sequence
    assert event.actor_name == user.get_username()


def test_one_defective_view_makes_the_part_defective(layout: PartLayout, worker: None) -> None:
    images = [image("top"), image("left", defective=True), image("right", 9)]
    part = inspect_part(submission=submission("P1"), images=images)
    assert (part.inspection.outcome, part.inspection.explanation) == ("defective", "Defective: left.")


def test_views_come_one_at_a_time(layout: PartLayout, worker: None) -> None:
    part, record = inspect_view(submission=submission("P1"), image=image("left"))
    assert (part.status, record.outcome) == ("open", "good")
    assert selectors.find_part(part.pk).missing == ["top", "right"]
    assert not PartInspection.objects.exists()
    inspect_view(submission=submission("P1"), image=image("right", 8))
    part, _ = inspect_view(submission=submission("P1"), image=image("top", 9))
    assert (part.status, part.inspection.outcome) == ("closed", "good")
    assert PartRequest.objects.count() == 1


def test_a_view_that_cannot_be_compared_makes_the_part_not_comparable(
    layout: PartLayout, worker: None, blank: bytes
) -> None:
    part = inspect_part(
        submission=submission("P1"), images=[image("top"), image("left", data=blank), image("right", 9)]
    )
    assert (part.inspection.outcome, part.inspection.explanation) == ("not_comparable", "Not comparable: left.")
    assert states(part)["left"] == "not_comparable"


def test_a_refused_image_counts_as_what_came_for_its_view(layout: PartLayout, worker: None) -> None:
    part = inspect_part(
        submission=submission("P1"), images=[image("top"), image("left", data=b"no image"), image("right", 9)]
    )
    assert (part.inspection.outcome, part.inspection.explanation) == ("not_comparable", "Refused: left.")
    left = part.inspection.views.get(view__name="left")
    assert (left.state, left.reason, left.inspection) == ("refused", "not_an_image", None)
    assert left.explanation


def test_a_defect_counts_beside_a_refused_view(layout: PartLayout, worker: None) -> None:
    images = [image("top", defective=True), image("left", data=b""), image("right", 9)]
    part = inspect_part(submission=submission("P1"), images=images)
    assert part.inspection.outcome == "defective"
    assert part.inspection.explanation == "Defective: top. Refused: left."


def test_the_last_view_that_is_refused_closes_the_part(layout: PartLayout, worker: None) -> None:
    inspect_part(submission=submission("P1"), images=[image("top"), image("left", 8)])
    with pytest.raises(ImageRejected) as refused:
        inspect_view(submission=submission("P1"), image=image("right", data=b"no image"))
    part = PartRequest.objects.get()
    assert refused.value.extra["part"] == str(part.pk)
    assert part.inspection.outcome == "not_comparable"
    with pytest.raises(ImageRejected) as again:  # as it was answered before
        inspect_view(submission=submission("P1"), image=image("right", data=b"no image"))
    assert (again.value.code, again.value.status) == (refused.value.code, refused.value.status)


# ---------------------------------------------------------------- twice, late, different
def test_the_same_image_for_the_same_view_again_is_answered_again(layout: PartLayout, worker: None) -> None:
    images = [image("top"), image("left", 8), image("right", 9)]
    first = inspect_part(submission=submission("P1"), images=images)
    again = inspect_part(submission=submission("P1"), images=images)
    assert again.pk == first.pk
    assert (first.replayed, again.replayed) == (False, True)
    assert Inspection.objects.count() == 3
    assert PartInspection.objects.count() == 1


def test_another_image_for_the_same_view_is_refused(layout: PartLayout, worker: None) -> None:
    inspect_view(submission=submission("P1"), image=image("top"))
    with pytest.raises(ViewRefused) as refused:
        inspect_view(submission=submission("P1"), image=image("top", 8))
    assert refused.value.code == "view_sent_already"
    assert Inspection.objects.count() == 1


def test_the_same_picture_may_be_two_views(layout: PartLayout, worker: None) -> None:
    part = inspect_part(submission=submission("P1"), images=[image("top"), image("left"), image("right")])
    assert part.inspection.outcome == "good"
    assert Inspection.objects.count() == 3


def test_a_view_after_closing_is_refused_and_not_kept(layout: PartLayout, worker: None) -> None:
    inspect_part(submission=submission("P1"), images=[image("top"), image("left", 8)])
    let_time_pass("P1")
    with pytest.raises(ViewRefused) as refused:  # whoever is late closes it
        inspect_view(submission=submission("P1"), image=image("right", 9))
    assert refused.value.code == "part_closed"
    record = PartInspection.objects.get()
    assert (record.outcome, record.explanation) == ("not_comparable", "Missing: right.")
    with pytest.raises(ViewRefused):
        inspect_view(submission=submission("P1"), image=image("right", 9))
    assert Inspection.objects.count() == 2
    assert PartInspection.objects.count() == 1


def test_the_sweep_closes_what_is_over_and_names_what_is_missing(layout: PartLayout, worker: None) -> None:
    inspect_view(submission=submission("P1"), image=image("top"))
    inspect_view(submission=submission("P2"), image=image("top", 8))
    let_time_pass("P1")
    sweep_parts()
    sweep_parts()
    record = PartInspection.objects.get()
    assert (record.part_id, record.outcome) == ("P1", "not_comparable")
    assert record.explanation == "Missing: left, right."
    assert states(record) == {"top": "good", "left": "missing", "right": "missing"}
    assert PartRequest.objects.get(part_id="P2").status == "open"


def test_an_image_that_came_in_time_is_waited_for(
    layout: PartLayout, worker: None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    inspect_part(submission=submission("P1"), images=[image("top"), image("left", 8)])
    sent: list[Any] = []
    monkeypatch.setattr(broker, "publish", lambda name, *ids: sent.append(ids[0]))
    view = layout.views.get(name="right")
    part = PartRequest.objects.get()
    services._submit_view(part, view, image("right", 9), submission("P1"))
    let_time_pass("P1")
    sweep_parts()
    assert PartRequest.objects.get().status == "open"
    judging_worker.judge_request(request_id=sent[0], worker="here")
    assert PartRequest.objects.get().inspection.outcome == "good"


def test_a_view_that_nobody_judged_may_come_again(
    layout: PartLayout, worker: None, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    inspect_part(submission=submission("P1"), images=[image("top"), image("left", 8)])
    with monkeypatch.context() as nobody:
        nobody.setattr(broker, "publish", lambda name, *ids: True)
        usual, settings.ANSWER_TIMEOUT = settings.ANSWER_TIMEOUT, 0.05
        with pytest.raises(NoWorker) as trouble:
            inspect_view(submission=submission("P1"), image=image("right", 9))
    settings.ANSWER_TIMEOUT = usual
    part = PartRequest.objects.get()
    assert trouble.value.extra["part"] == str(part.pk)
    [right] = [view for view in selectors.find_part(part.pk).views if view.view.name == "right"]
    assert (right.state, right.reason) == ("missing", "not_judged")
    part, record = inspect_view(submission=submission("P1"), image=image("right", 10))
    assert part.inspection.outcome == "good"
    assert PartRequestView.objects.get(view__name="right").request == record.request


def test_try_again_of_the_kept_image_fills_the_view(
    layout: PartLayout, worker: None, monkeypatch: pytest.MonkeyPatch, settings: Any, user: User
) -> None:
    with monkeypatch.context() as nobody:
        nobody.setattr(broker, "publish", lambda name, *ids: True)
        usual, settings.ANSWER_TIMEOUT = settings.ANSWER_TIMEOUT, 0.05
        with pytest.raises(NoWorker):
            inspect_part(submission=submission("P1", actor=user), images=[image("top")])
    settings.ANSWER_TIMEOUT = usual
    inspect_part(submission=submission("P1", actor=user), images=[image("left", 8), image("right", 9)])
    ended = InspectionRequest.objects.get(status="expired")
    # Its view is moved to the new request once that is written down; the sweep or another view closes the part then.
    judging.inspect_again(request_id=ended.pk, source="api", actor=user)
    let_time_pass("P1")
    sweep_parts()
    assert PartInspection.objects.get().outcome == "good"


def test_a_view_that_ends_the_workers_is_refused(
    layout: PartLayout, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    inspect_part(submission=submission("P1"), images=[image("top"), image("left", 8)])

    def broken(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("this image cannot be scored")

    monkeypatch.setattr(judging_worker.scoring, "score", broken)
    with pytest.raises(UserError) as failed:
        inspect_view(submission=submission("P1"), image=image("right", 9))
    assert failed.value.code == "inspection_failed"
    record = PartInspection.objects.get()
    assert (record.outcome, record.explanation) == ("not_comparable", "Refused: right.")


def test_two_lots_under_one_part_id_are_told(layout: PartLayout, worker: None) -> None:
    inspect_view(submission=submission("P1", lot="L1"), image=image("top"))
    with pytest.raises(ViewRefused) as refused:
        inspect_view(submission=submission("P1", lot="L2"), image=image("left"))
    assert refused.value.code == "part_differs"
    part, _ = inspect_view(submission=submission("P1", serial_number="S1"), image=image("left"))
    assert (part.lot, part.serial_number) == ("L1", "S1")


def test_what_is_no_view_or_no_layout_begins_no_part(layout: PartLayout, worker: None, user: User) -> None:
    with pytest.raises(ViewRefused) as refused:
        inspect_view(submission=submission("P1"), image=image("bottom"))
    assert refused.value.code == "unknown_view"
    with pytest.raises(NotFound):
        inspect_view(submission=submission("P1", layout="other"), image=image("top"))
    for wrong in ("", " ", "x" * 101):
        with pytest.raises(UserError):
            inspect_view(submission=submission(wrong), image=image("top"))
    retire_layout(name="housing", reason="over", actor=user)
    with pytest.raises(Conflict) as retired:
        inspect_view(submission=submission("P1"), image=image("top"))
    assert retired.value.code == "part_layout_retired"
    assert not PartRequest.objects.exists()


def test_who_may_not_inspect_sends_no_view(layout: PartLayout, worker: None, auditor: User) -> None:
    with pytest.raises(Forbidden):
        inspect_view(submission=submission("P1", actor=auditor), image=image("top"))
    assert not PartRequest.objects.exists()


def test_a_part_keeps_the_layout_of_its_first_view(layout: PartLayout, worker: None, user: User) -> None:
    inspect_view(submission=submission("P1"), image=image("top"))
    set_layout(
        name="housing",
        views=[ViewPlan("top", Category.objects.get())],
        time_limit_seconds=5,
        reason="one camera",
        actor=user,
    )
    part, _ = inspect_view(submission=submission("P2"), image=image("top"))
    assert (part.layout.revision, part.status) == (2, "closed")
    part = inspect_part(submission=submission("P1"), images=[image("left"), image("right")])
    assert (part.layout.revision, part.inspection.outcome) == (1, "good")


def test_a_part_without_an_id_gets_one_from_its_key(user: User) -> None:
    made = services.part_id_of(part_id="", idempotency_key="k1", actor=user)
    assert made == services.part_id_of(part_id=" ", idempotency_key="k1", actor=user)
    assert made != services.part_id_of(part_id="", idempotency_key="k1", actor=None)
    assert services.part_id_of(part_id=" P1 ", idempotency_key="k1", actor=user) == "P1"
    one, two = (services.part_id_of(part_id="", idempotency_key=None, actor=user) for _ in range(2))
    assert one != two


def test_reviews_change_what_stands_and_not_the_record(layout: PartLayout, worker: None, user: User) -> None:
    images = [image("top"), image("left", defective=True), image("right", 9)]
    part = inspect_part(submission=submission("P1"), images=images)
    left = Inspection.objects.get(part_view__view__name="left")
    record_review(inspection=left, verdict="good", actor=user)
    shown = selectors.find_part(part.pk)
    assert shown.record is not None
    assert (shown.record.outcome, shown.standing_outcome, shown.differs) == ("defective", "good", True)


# ---------------------------------------------------------------- several at once
@pytest.mark.django_db(transaction=True)
def test_two_workers_that_end_the_last_two_views_write_one_record(
    layout: PartLayout, worker: None, shared_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # really committed, and nothing done at once
    monkeypatch.setattr(broker, "publish", lambda name, *ids: True)
    monkeypatch.setattr(broker, "notify", lambda *topics: None)
    part = PartRequest.objects.create(
        layout=layout,
        layout_name=layout.name,
        part_id="P1",
        source="api",
        opened_at=timezone.now(),
        closes_at=timezone.now() + timedelta(minutes=1),
    )
    for seed, view in enumerate(layout.views.all()):
        services._submit_view(part, view, image(view.name, seed), submission("P1"))
    ids = list(InspectionRequest.objects.values_list("pk", flat=True))
    InspectionRequest.objects.update(attempt=1)  # what was begun before is judged alone

    def judge(request_id: Any) -> Any:
        return lambda: judging_worker.judge_request(request_id=request_id, worker=threading.current_thread().name)

    answers = at_once(*(judge(request_id) for request_id in ids))
    assert answers == [None, None, None]
    record = PartInspection.objects.get()
    assert record.outcome == "good"
    assert AuditEvent.objects.filter(kind="part.recorded").count() == 1
    assert PartInspectionView.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_the_last_view_and_the_sweep_at_once_write_one_record(
    layout: PartLayout, worker: None, shared_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(broker, "publish", lambda name, *ids: True)
    monkeypatch.setattr(broker, "notify", lambda *topics: None)
    for number in range(3):
        part = PartRequest.objects.create(
            layout=layout,
            layout_name=layout.name,
            part_id=f"P{number}",
            source="api",
            opened_at=timezone.now(),
            closes_at=timezone.now() + timedelta(minutes=1),
        )
        for seed, view in enumerate(layout.views.all()):
            services._submit_view(part, view, image(view.name, seed), submission(part.part_id))
        ids = list(part.views.values_list("request", flat=True))
        for request_id in ids[:2]:
            judging_worker.judge_request(request_id=request_id, worker="here")
        let_time_pass(part.part_id)
        answers = at_once(
            partial(judging_worker.judge_request, request_id=ids[2], worker="here"),
            sweep_parts,
            sweep_parts,
        )
        assert answers == [None, None, None]
        sweep_parts()
        assert PartInspection.objects.get(pk=part.pk).outcome == "good"
    assert AuditEvent.objects.filter(kind="part.recorded").count() == 3


@pytest.mark.django_db(transaction=True)
def test_one_view_sent_twice_at_once_is_judged_once(
    layout: PartLayout, worker: None, shared_database: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(broker, "publish", lambda name, *ids: True)
    view = layout.views.get(name="top")

    def send(seed: int) -> Any:
        def work() -> Any:
            _, part = services._begin(submission("P1"), [image("top", seed)])
            return services._submit_view(part, view, image("top", seed), submission("P1"))

        return work

    same = at_once(send(7), send(7))
    assert not [answer for answer in same if isinstance(answer, Exception)], same
    assert PartRequestView.objects.count() == 1
    assert InspectionRequest.objects.count() == 1
    PartRequestView.objects.all().delete()
    other = at_once(send(8), send(9))
    refused = [answer for answer in other if isinstance(answer, Exception)]
    assert [type(error) for error in refused] == [ViewRefused], other
    assert PartRequest.objects.count() == 1


def test_what_dies_before_the_commit_leaves_neither_record(
    layout: PartLayout, worker: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record of the last view and that of the part are one transaction: killed between them, there is none."""
    inspect_part(submission=submission("P1"), images=[image("top"), image("left", 8)])
    sent: list[Any] = []
    with monkeypatch.context() as later:
        later.setattr(broker, "publish", lambda name, *ids: sent.append(ids[0]))
        services._submit_view(
            PartRequest.objects.get(), layout.views.get(name="right"), image("right", 9), submission("P1")
        )

    class Killed(BaseException):
        """What no handler of errors catches, as the end of the process."""

    def killed(**kwargs: Any) -> None:
        raise Killed

    with monkeypatch.context() as dying:
        dying.setattr(judging_worker, "complete_part", killed)
        with pytest.raises(Killed), transaction.atomic():
            judging_worker.judge_request(request_id=sent[0], worker="here")
    assert Inspection.objects.count() == 2
    InspectionRequest.objects.filter(pk=sent[0]).update(status="queued", claim=None)
    judging_worker.judge_request(request_id=sent[0], worker="here")
    assert PartInspection.objects.get().outcome == "good"
    assert Inspection.objects.count() == 3


# ---------------------------------------------------------------- what cannot be changed
def closed_part() -> PartInspection:
    images = [image("top"), image("left", defective=True), image("right", data=b"no image")]
    return inspect_part(submission=submission("P1"), images=images).inspection


def test_the_record_of_a_part_cannot_be_changed(layout: PartLayout, worker: None) -> None:
    record = closed_part()
    view = record.views.get(view__name="top")
    for change in (
        lambda: PartInspection.objects.filter(pk=record.pk).update(outcome="good", explanation=""),
        lambda: PartInspectionView.objects.filter(pk=view.pk).update(state="good"),
        lambda: PartInspection.objects.filter(pk=record.pk)._raw_delete("default"),
        lambda: PartInspectionView.objects.filter(pk=view.pk)._raw_delete("default"),
        lambda: PartLayout.objects.update(time_limit_seconds=1),
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            change()
    assert complete_part(part_request_id=record.pk) is None


def test_the_database_refuses_a_view_that_says_something_else_than_its_record(layout: PartLayout, worker: None) -> None:
    part, record = inspect_view(submission=submission("P1"), image=image("top", defective=True))
    view = layout.views.get(name="top")
    shared = {"layout": layout, "layout_name": "housing", "part_id": "P1", "source": "api", "opened_at": part.opened_at}
    with pytest.raises(DatabaseError), transaction.atomic():
        PartInspection.objects.create(
            request=part, outcome="good", explanation="but", created_at=timezone.now(), **shared
        )
    with pytest.raises(DatabaseError), transaction.atomic():
        PartInspection.objects.create(
            request=part, outcome="good", created_at=timezone.now(), **(shared | {"part_id": "P2"})
        )
    made = PartInspection.objects.create(request=part, outcome="good", created_at=timezone.now(), **shared)
    for values in (
        {"state": "good", "inspection": record},
        {"state": "missing", "inspection": record, "reason": "x", "explanation": "x"},
        {"state": "good"},
        {"state": "missing"},
    ):
        with pytest.raises(DatabaseError), transaction.atomic():
            PartInspectionView.objects.create(part=made, view=view, **values)
    with pytest.raises(DatabaseError), transaction.atomic():
        PartRequest.objects.create(
            layout=layout,
            layout_name="another",
            part_id="P3",
            source="api",
            opened_at=timezone.now(),
            closes_at=timezone.now() + timedelta(minutes=1),
        )


# ---------------------------------------------------------------- verify_audit --records
def test_parts_verify(layout: PartLayout, worker: None) -> None:
    closed_part()
    inspect_view(submission=submission("P2"), image=image("top"))
    attest_people()
    report = verify_all()
    assert (report.broken_at, report.reason, report.findings) == (None, "", ())


@pytest.mark.parametrize(
    ("change", "finds"),
    [
        ("UPDATE inspection_partinspection SET outcome = 'not_comparable'", "outcome"),
        ("UPDATE inspection_partinspection SET lot = 'L9'", "fingerprint"),
        ("UPDATE inspection_partinspectionview SET state = 'good' WHERE state = 'defective'", "views"),
        ("DELETE FROM inspection_partinspectionview WHERE state = 'refused'", "views"),
        ("UPDATE inspection_partrequest SET lot = 'L9'", "says something else"),
        ("UPDATE inspection_partrequestview SET refusal_code = 'x' WHERE refusal_code <> ''", "is not what its record"),
        ("UPDATE inspection_partlayout SET time_limit_seconds = 9", "partlayout"),
        ("UPDATE inspection_layoutview SET station = 'x'", "partlayout"),
    ],
)
def test_what_somebody_changes_past_the_application_is_found(
    layout: PartLayout, worker: None, change: str, finds: str
) -> None:
    closed_part()
    attest_people()
    with without_any_triggers(), connection.cursor() as cursor:
        cursor.execute(change)
    report = verify_all()
    assert finds in report.reason


def test_a_verdict_that_was_changed_with_its_event_is_decided_anew(layout: PartLayout, worker: None) -> None:
    """Also where somebody could write the chain: the verdict follows from the records of the views."""
    from inspection.derived_rows import check_part_verdicts

    closed_part()
    with without_any_triggers(), connection.cursor() as cursor:
        cursor.execute("UPDATE inspection_partinspection SET outcome = 'not_comparable'")
    [(_, faults)] = list(check_part_verdicts())
    assert "is not what the records of its views say" in faults[0]
