"""What people say about records: kept beside them, in order, and never instead of anything."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from common.errors import UserError
from common.rights import Forbidden
from inspection.history.filters import Filters
from inspection.judging import documents, selectors, services
from inspection.models import Inspection, Review, Standing
from inspection.reviews import agreement
from inspection.reviews.services import (
    MAX_REVIEWS_AT_ONCE,
    Outdated,
    effective_reviews,
    record_review,
    record_reviews,
    undo_reviews,
)
from modelzoo.models import ModelVersion
from records.audit.chain.audited_rows import verify_all
from records.audit.selectors import verify_chain
from records.models import AuditEvent
from tests import parts
from tests.conftest import person
from tests.threads import at_once

pytestmark = pytest.mark.django_db
BOX = {"x": 40, "y": 30, "width": 24, "height": 12}


def inspect(version: ModelVersion, *, defective: bool = False, seed: int = 7) -> Inspection:
    return services.inspect_here(
        data=parts.png(seed, defective=defective),
        submission=services.Submission(filename="a.png", source="command", actor=None),
        version=version,
    )


def events() -> list[AuditEvent]:
    return list(AuditEvent.objects.filter(kind="review.recorded").order_by("sequence"))


# ---------------------------------------------------------------- one review
def test_a_review_confirms_or_overrules_and_leaves_the_record(version: ModelVersion, operator: User) -> None:
    record = inspect(version, defective=True)
    before = Inspection.objects.filter(pk=record.pk).values().get()
    confirmed = record_review(
        inspection=record,
        verdict="defective",
        actor=operator,
        defect_type="  scratch ",
        comment="as long as a nail",
        regions=[BOX],
    )
    assert (confirmed.number, confirmed.agrees, confirmed.defect_type) == (1, True, "scratch")
    assert confirmed.regions == [BOX]
    overruled = record_review(inspection=record, verdict="good", actor=operator, comment="a hair")
    assert (overruled.number, overruled.agrees) == (2, False)
    assert Inspection.objects.filter(pk=record.pk).values().get() == before
    standing = Standing.objects.get()
    assert (standing.verdict, standing.overruled, standing.contested, standing.reviews) == ("good", True, True, 2)
    assert (standing.last_review, standing.reviewer, standing.defect_type) == (overruled, operator, "")
    assert standing.inspected_at == record.created_at
    assert [review.number for review in record.reviews.order_by("number")] == [1, 2]


def test_a_review_that_returns_to_the_first_verdict_stays_contested(version: ModelVersion, operator: User) -> None:
    record = inspect(version)
    for verdict in ("good", "defective", "good"):
        record_review(inspection=record, verdict=verdict, actor=operator)
    standing = Standing.objects.get()
    assert (standing.verdict, standing.overruled, standing.contested, standing.reviews) == ("good", False, True, 3)


def test_what_no_model_judged_is_neither_confirmed_nor_overruled(
    version: ModelVersion, operator: User, blank: bytes
) -> None:
    record = services.inspect_here(
        data=blank,
        submission=services.Submission(filename="b.png", source="command", actor=None),
        version=version,
    )
    assert record.outcome == "not_comparable"
    assert record_review(inspection=record, verdict="defective", actor=operator).agrees is None
    assert not Standing.objects.get().overruled


def test_every_review_is_in_the_audit_chain(version: ModelVersion, operator: User) -> None:
    record = inspect(version)
    first = record_review(inspection=record, verdict="good", actor=operator)
    second = record_review(
        inspection=record, verdict="defective", actor=operator, defect_type="dent", comment="c", regions=[BOX]
    )
    one, two = events()
    assert [event.object_id for event in (one, two)] == [str(first.pk), str(second.pk)]
    assert (one.actor, one.object_type, json.loads(one.before)) == (operator, "inspection.review", None)
    assert json.loads(two.before) == {
        "verdict": "good",
        "defect_type": "",
        "reviewer": "otto",
        "overruled": False,
        "contested": False,
        "reviews": 1,
    }
    said = json.loads(two.after)
    assert (
        said.items()
        >= {
            "inspection": str(record.pk),
            "number": 2,
            "verdict": "defective",
            "agrees": False,
            "defect_type": "dent",
            "comment": "c",
            "overruled": True,
            "contested": True,
        }.items()
    )
    assert said["regions"] == [BOX]
    assert verify_chain().broken_at is None


def test_only_a_person_with_the_right_reviews(version: ModelVersion, auditor: User) -> None:
    record = inspect(version)
    with pytest.raises(Forbidden):
        record_review(inspection=record, verdict="good", actor=auditor)
    with pytest.raises(UserError, match="belongs to a person"):
        record_review(inspection=record, verdict="good", actor=None)
    assert not Review.objects.exists()
    assert not events()


def test_who_looked_before_somebody_else_reviewed_is_told(version: ModelVersion, operator: User, user: User) -> None:
    record = inspect(version)
    record_review(inspection=record, verdict="good", actor=user, expected_reviews=0)
    with pytest.raises(Outdated) as refusal:
        record_review(inspection=record, verdict="defective", actor=operator, expected_reviews=0)
    assert (refusal.value.code, refusal.value.extra) == ("review_outdated", {"reviews": 1})
    assert Review.objects.count() == 1
    record_review(inspection=record, verdict="defective", actor=operator, expected_reviews=1)
    record_review(inspection=record, verdict="defective", actor=operator)
    assert Standing.objects.get().reviews == 3


NO_REVIEWS: list[tuple[dict[str, Any], str]] = [
    ({"verdict": "fine"}, "invalid_review"),
    ({"verdict": ""}, "invalid_review"),
    ({"verdict": "good", "defect_type": "dent"}, "invalid_review"),
    ({"verdict": "good", "regions": [BOX]}, "invalid_review"),
    ({"verdict": "defective", "defect_type": "Good"}, "invalid_review"),
    ({"verdict": "defective", "defect_type": "x" * 101}, "invalid_review"),
    ({"verdict": "good", "comment": "x" * 2001}, "invalid_review"),
    ({"verdict": "good", "comment": "a\0b"}, "invalid_review"),
    ({"verdict": "defective", "defect_type": "a\0b"}, "invalid_review"),
    ({"verdict": "good", "comment": "\ud800"}, "invalid_review"),
    ({"verdict": "defective", "regions": [BOX] * 51}, "invalid_review"),
    ({"verdict": "defective", "regions": [BOX | {"x": -1}]}, "invalid_region"),
    ({"verdict": "defective", "regions": [BOX | {"width": 0}]}, "invalid_region"),
    ({"verdict": "defective", "regions": [BOX | {"x": parts.SIDE - 23}]}, "invalid_region"),
    ({"verdict": "defective", "regions": [BOX | {"y": 2**70}]}, "invalid_region"),
    ({"verdict": "defective", "regions": [BOX | {"x": 1.5}]}, "invalid_region"),
    ({"verdict": "defective", "regions": [BOX | {"x": True}]}, "invalid_region"),
    ({"verdict": "defective", "regions": [{"x": 1, "y": 1}]}, "invalid_region"),
]


def test_what_cannot_be_a_review(version: ModelVersion, operator: User) -> None:
    record = inspect(version, defective=True)
    for fields, code in NO_REVIEWS:
        with pytest.raises(UserError) as refusal:
            record_review(inspection=record, actor=operator, **fields)
        assert refusal.value.code == code, fields
    assert not Review.objects.exists()
    assert not events()
    whole = {"x": 0, "y": 0, "width": parts.SIDE, "height": parts.SIDE}
    record_review(inspection=record, verdict="defective", actor=operator, regions=[whole] * 50, comment="x" * 2000)


# ---------------------------------------------------------------- undone
def standing_of(record: Inspection) -> tuple[Any, ...] | None:
    found = Standing.objects.filter(inspection=record).select_related("reviewer").first()
    if found is None:
        return None
    return found.verdict, found.defect_type, found.reviewer.username, found.overruled, found.contested


def test_an_undo_is_a_review_that_restores_what_stood_before(version: ModelVersion, operator: User, user: User) -> None:
    record = inspect(version, defective=True)
    record_review(inspection=record, verdict="defective", defect_type="dent", regions=[BOX], actor=user)
    before = standing_of(record)
    slip = record_review(inspection=record, verdict="good", actor=operator)
    [undo] = undo_reviews(reviews=[slip], actor=operator)
    assert (undo.number, undo.verdict, undo.defect_type, undo.regions) == (3, "defective", "dent", [BOX])
    assert (undo.undoes, undo.reviewer, undo.comment) == (slip, operator, "undo of review 2")
    assert standing_of(record) == before == ("defective", "dent", user.username, False, False)
    assert Standing.objects.get().reviews == 3
    # An undo is undone in the same way.
    [redo] = undo_reviews(reviews=[undo], actor=operator)
    assert standing_of(record) == ("good", "", "otto", True, True)
    assert (redo.verdict, redo.number) == ("good", 4)
    last = json.loads(events()[-1].after)
    assert (last["undoes"], last["overruled"], last["contested"]) == (undo.pk, True, True)
    assert verify_all().broken_at is None


def test_the_undo_of_the_only_review_leaves_the_record_unreviewed(version: ModelVersion, operator: User) -> None:
    record = inspect(version)
    slip = record_review(inspection=record, verdict="defective", actor=operator)
    [undo] = undo_reviews(reviews=[slip], actor=operator)
    assert (undo.verdict, undo.agrees) == ("withdrawn", None)
    assert standing_of(record) is None
    assert agreement.agreement_document(Filters())["records"] == 0
    anew = record_review(inspection=record, verdict="good", actor=operator, expected_reviews=2)
    assert anew.number == 3
    assert standing_of(record) == ("good", "", "otto", False, False)


def test_only_ones_own_newest_review_is_undone(version: ModelVersion, operator: User, user: User) -> None:
    one, other = inspect(version), inspect(version, seed=8)
    slip = record_review(inspection=one, verdict="defective", actor=operator)
    fine = record_review(inspection=other, verdict="good", actor=operator)
    with pytest.raises(Forbidden):
        undo_reviews(reviews=[slip], actor=user)
    record_review(inspection=one, verdict="defective", actor=user)
    with pytest.raises(Outdated) as refusal:
        undo_reviews(reviews=[fine, slip], actor=operator)
    assert refusal.value.extra == {"reviews": 2}
    assert Review.objects.count() == 3  # all or none
    [undo] = undo_reviews(reviews=[fine], actor=operator)
    with pytest.raises(Outdated):
        undo_reviews(reviews=[fine], actor=operator)
    with pytest.raises(IntegrityError), transaction.atomic():
        Review.objects.create(**ROW, inspection=other, number=9, undoes=fine, reviewer=operator, verdict="good")
    assert undo.undoes == fine


ROW: dict[str, Any] = {"created_at": datetime(2026, 11, 27, tzinfo=UTC), "regions": []}


def test_only_an_undo_withdraws(version: ModelVersion, operator: User) -> None:
    record = inspect(version)
    with pytest.raises(UserError):
        record_review(inspection=record, verdict="withdrawn", actor=operator)
    with pytest.raises(IntegrityError, match="only_an_undo_withdraws"), transaction.atomic():
        Review.objects.create(**ROW, inspection=record, number=1, reviewer=operator, verdict="withdrawn")


@given(st.lists(st.sampled_from(["good", "defective", "undo"]), max_size=12))
def test_undos_lead_back_as_a_list_of_states_does(acts: list[str]) -> None:
    said: list[Review] = []
    states: list[list[int]] = [[]]
    for number, act in enumerate(acts, start=1):
        if act != "undo":
            said.append(Review(number=number, verdict=act))
            states.append([*states[-1], number])
        elif said:
            said.append(Review(number=number, undoes_id=number - 1))
            states.append(states[-2])
    assert [review.number for review in effective_reviews(said)] == states[-1]


def test_reviews_stay_as_they_are(version: ModelVersion, operator: User) -> None:
    record_review(inspection=inspect(version), verdict="good", actor=operator)
    for statement in ("UPDATE inspection_review SET verdict = 'defective'", "DELETE FROM inspection_review"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement)


def test_the_database_refuses_a_second_review_of_one_number(version: ModelVersion, operator: User) -> None:
    first = record_review(inspection=inspect(version), verdict="good", actor=operator)
    first.pk = None
    with pytest.raises(IntegrityError), transaction.atomic():
        first.save(force_insert=True)


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("shared_database")
def test_two_reviews_at_once_are_the_first_and_the_second(version: ModelVersion, operator: User, user: User) -> None:
    record = inspect(version)
    said = [(operator, "good"), (user, "defective"), (operator, "defective"), (user, "good")]
    works = [partial(record_review, inspection=record, verdict=verdict, actor=actor) for actor, verdict in said]
    wrong = [answer for answer in at_once(*works) if not isinstance(answer, Review)]
    assert not wrong
    numbers = list(Review.objects.order_by("id").values_list("number", flat=True))
    assert sorted(numbers) == [1, 2, 3, 4]
    standing = Standing.objects.get()
    assert (standing.reviews, standing.last_review.number, standing.contested) == (4, 4, True)
    assert verify_chain().broken_at is None


# ---------------------------------------------------------------- many at once
def test_many_records_are_reviewed_together_or_not_at_all(version: ModelVersion, operator: User, user: User) -> None:
    records = [inspect(version, seed=seed) for seed in range(3)]
    record_review(inspection=records[1], verdict="defective", actor=user)
    done = record_reviews(inspections=[*records, records[0]], verdict="good", actor=operator, comment="looked at")
    assert [(review.inspection_id, review.number) for review in done] == [
        (records[0].pk, 1),
        (records[1].pk, 2),
        (records[2].pk, 1),
    ]
    assert [json.loads(event.after)["comment"] for event in events()[1:]] == ["looked at"] * 3
    assert Standing.objects.filter(contested=True).get().inspection == records[1]
    assert verify_chain().broken_at is None

    def break_off(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("inspection.reviews.services._audit", break_off)
        with pytest.raises(RuntimeError):
            record_reviews(inspections=records, verdict="defective", actor=operator)
    assert Review.objects.count() == 4


def test_how_many_records_can_be_reviewed_at_once(version: ModelVersion, operator: User, auditor: User) -> None:
    with pytest.raises(UserError, match="chosen") as refusal:
        record_reviews(inspections=[], verdict="good", actor=operator)
    assert refusal.value.code == "no_records"
    with pytest.raises(UserError) as refusal:
        record_reviews(
            inspections=[Inspection() for _ in range(MAX_REVIEWS_AT_ONCE + 1)], verdict="good", actor=operator
        )
    assert refusal.value.code == "too_many_records"
    with pytest.raises(Forbidden):
        record_reviews(inspections=[inspect(version)], verdict="good", actor=auditor)


# ---------------------------------------------------------------- where a record stands
def test_a_record_tells_where_it_stands_without_a_query_more(
    version: ModelVersion, operator: User, django_assert_num_queries: Any
) -> None:
    record = inspect(version)
    assert documents.inspection_document(selectors.find_inspection(record.pk))["review"] is None
    record_review(inspection=record, verdict="defective", actor=operator, defect_type="dent")
    with django_assert_num_queries(1):
        document = documents.inspection_document(selectors.find_inspection(record.pk))
    assert document["review"] == {
        "verdict": "defective",
        "reviewer": "otto",
        "defect_type": "dent",
        "overruled": True,
        "contested": False,
        "reviews": 1,
    }


# ---------------------------------------------------------------- agreement
def test_people_against_models(version: ModelVersion, operator: User, user: User) -> None:
    good = [inspect(version, seed=seed) for seed in range(4)]
    bad = [inspect(version, seed=seed, defective=True) for seed in range(5)]
    for record in good[:3]:
        record_review(inspection=record, verdict="good", actor=operator)
    record_review(inspection=good[3], verdict="defective", actor=operator, defect_type="dent")
    for record in bad[:3]:
        record_review(inspection=record, verdict="defective", actor=operator, defect_type="dent")
    record_review(inspection=bad[3], verdict="defective", actor=operator)
    record_review(inspection=bad[3], verdict="good", actor=user)
    told = agreement.agreement_document(Filters())
    assert told["records"] == 8, "what nobody reviewed does not count"
    model = told["model"]
    assert model["confusion"] == {
        "good": {"good": 3, "defective": 1},
        "defective": {"good": 1, "defective": 3},
        "not_comparable": {"good": 0, "defective": 0},
    }
    assert (model["agreement"]["count"], model["agreement"]["of"], model["agreement"]["rate"]) == (6, 8, 0.75)
    assert (model["false_rejects"]["count"], model["false_rejects"]["of"]) == (1, 4)
    assert (model["escapes"]["count"], model["escapes"]["of"]) == (1, 4)
    low, high = model["escapes"]["interval"]
    assert 0 < low < 0.25 < high < 1
    [dents] = model["defect_types"]
    assert (dents["defect_type"], dents["recall"]["count"], dents["recall"]["of"]) == ("dent", 3, 4)
    assert told["people"]["records"] == 1
    [pair] = told["people"]["pairs"]
    assert (sorted(pair["reviewers"]), pair["agreement"]["count"]) == (["olga", "otto"], 0)
    assert agreement.agreement_document(Filters(reviewer=user))["records"] == 1
    assert agreement.agreement_document(Filters(model_version=version.pk + 1))["model"]["agreement"]["rate"] is None


def test_who_reviews_twice_is_one_person(version: ModelVersion, operator: User, user: User) -> None:
    record = inspect(version)
    record_review(inspection=record, verdict="good", actor=operator)
    record_review(inspection=record, verdict="defective", actor=operator)
    assert agreement.agreement_document(Filters())["people"] == {
        "records": 0,
        "unanimous": {"count": 0, "of": 0, "rate": None, "interval": None},
        "agreement": None,
        "fleiss_kappa": None,
        "pairs": [],
    }
    record_review(inspection=record, verdict="defective", actor=user)
    assert agreement.agreement_document(Filters())["people"]["unanimous"]["count"] == 1


@pytest.mark.parametrize("seed", range(20))
def test_cohens_kappa_is_that_of_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = rng.random(30) < 0.7
    second = np.where(rng.random(30) < 0.8, first, ~first)
    words = [("good" if a else "defective", "good" if b else "defective") for a, b in zip(first, second, strict=True)]
    assert agreement.cohen_kappa(words) == pytest.approx(cohen_kappa_score(first, second))


def test_kappa_is_undefined_where_all_say_the_same_word() -> None:
    assert agreement.cohen_kappa([("good", "good")] * 5) is None
    assert agreement.cohen_kappa([]) is None
    assert agreement.fleiss_kappa([{1: "good", 2: "good"}] * 5) is None
    assert agreement.fleiss_kappa([]) is None
    assert agreement.cohen_kappa([("good", "good"), ("defective", "defective")]) == 1.0
    assert agreement.fleiss_kappa([{1: "good", 2: "good"}, {1: "defective", 2: "defective"}]) == 1.0


def brute_force_fleiss(ratings: list[dict[int, str]]) -> float:
    """By its meaning: draw a part, then two of its people; against two parts drawn independently, one word of each."""
    observed = np.mean([np.mean([a == b for a, b in combinations(words.values(), 2)]) for words in ratings])
    by_chance = []
    for one in ratings:
        for other in ratings:
            by_chance.append(np.mean([a == b for a in one.values() for b in other.values()]))
    return float((observed - np.mean(by_chance)) / (1 - np.mean(by_chance)))


@pytest.mark.parametrize("seed", range(20))
def test_fleiss_kappa_is_that_of_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratings = [
        {person: str(rng.choice(["good", "defective"], p=[0.7, 0.3])) for person in range(rng.integers(2, 6))}
        for _ in range(25)
    ]
    assert agreement.fleiss_kappa(ratings) == pytest.approx(brute_force_fleiss(ratings))


def test_fleiss_kappa_of_a_published_example() -> None:
    """Ten parts, fourteen people, five words, as in the encyclopaedias: 0.210."""
    table = [
        [0, 0, 0, 0, 14],
        [0, 2, 6, 4, 2],
        [0, 0, 3, 5, 6],
        [0, 3, 9, 2, 0],
        [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0],
        [3, 2, 6, 3, 0],
        [2, 5, 3, 2, 2],
        [6, 5, 2, 1, 0],
        [0, 2, 2, 3, 7],
    ]
    ratings = [dict(enumerate(str(word) for word, n in enumerate(row) for _ in range(n))) for row in table]
    assert agreement.fleiss_kappa(ratings) == pytest.approx(0.210, abs=5e-4)


def test_reviews_of_many_people_cost_no_more_queries(version: ModelVersion, django_assert_max_num_queries: Any) -> None:
    people = [person(f"p{number}", "operator") for number in range(4)]
    for seed in range(3):
        record = inspect(version, seed=seed)
        for one in people:
            record_review(inspection=record, verdict="good", actor=one)
    with django_assert_max_num_queries(5):
        told = agreement.agreement_document(Filters())
    assert len(told["people"]["pairs"]) == 6
