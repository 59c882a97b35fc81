"""The pages of random audits."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from common.numbers import percent_range
from modelzoo.models import ModelVersion
from quality.models import BlindDecision, SamplingPlan
from quality.random_audit import services
from quality.random_audit.bounds import binomial_interval
from tests.inspection.judging.test_services import inspect
from tests.quality.audited import close, judged, plan

pytestmark = pytest.mark.django_db
PLAN = {
    **{"category": "disc", "percent": "2.5", "at_least": "3", "controls": "1"},
    **{"shift_starts": "22:00, 06:00,14:00", "reason": "agreed"},
}


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_a_plan_is_set_on_the_page(version: ModelVersion, signed_in: Client):
    assert "No plan: nothing is drawn." in text(signed_in, "/quality/")
    assert signed_in.post("/quality/plan", PLAN).status_code == 302
    set_plan = SamplingPlan.objects.get()
    assert (str(set_plan.percent), set_plan.shift_starts) == ("2.50", ["06:00", "14:00", "22:00"])
    shown = text(signed_in, "/quality/")
    assert "2.50 % of the passed parts of each shift, at least 3, with 1 rejected part mixed in." in shown
    wrong = signed_in.post("/quality/plan", PLAN | {"percent": "200"})
    assert wrong.status_code == 422
    wrong = signed_in.post("/quality/plan", PLAN | {"shift_starts": "now"})
    assert wrong.status_code == 400
    assert "HH:MM" in wrong.content.decode()
    assert 'value="now"' in wrong.content.decode(), "what was typed is kept"


def test_who_may_not_set_a_plan(version: ModelVersion, operator: User):
    client = Client()
    client.force_login(operator)
    assert "Set a plan" not in text(client, "/quality/")
    assert client.post("/quality/plan", PLAN).status_code == 403


def test_parts_are_reviewed_one_after_the_other(version: ModelVersion, operator: User, auditor: User):
    client = Client()
    client.force_login(operator)
    assert "Nothing to review." in text(client, "/quality/review/")
    plan(version.category, percent=100)
    for seed in (5000, 5001):
        inspect(version, seed=seed)
    shift = close(version.category)
    assert "Review 2 parts" in text(client, "/quality/")
    assert "2 left for you" in text(client, "/quality/review/")
    first, second = shift.parts.order_by("position")
    assert f"/api/blind-reviews/{first.pk}/image" in text(client, "/quality/review/")
    done = client.post(f"/quality/review/{first.pk}", {"verdict": "defective", "defect_type": "dent"}, follow=True)
    assert "Saved as a defect." in done.content.decode()
    assert f"/api/blind-reviews/{second.pk}/image" in done.content.decode()
    assert client.post(f"/quality/review/{second.pk}", {"verdict": "so-so"}).status_code == 400
    assert client.post(f"/quality/review/{first.pk}", {"verdict": "good"}).status_code == 409
    assert client.post("/quality/review/99999", {"verdict": "good"}).status_code == 404
    assert BlindDecision.objects.count() == 1
    shown = text(client, f"/quality/shifts/{shift.pk}/")
    assert "1 of 1 defective (100.0 %)" in shown
    assert "1 open and 0 doubtful" in shown
    other = Client()
    other.force_login(auditor)
    assert other.get("/quality/review/").status_code == 403
    assert "Export for verification" in text(other, f"/quality/shifts/{shift.pk}/")
    assert "Repeated just now with the same result." in text(other, f"/quality/shifts/{shift.pk}/?verify=yes")
    assert other.get("/quality/shifts/00000000-0000-0000-0000-000000000000/").status_code == 404


def test_whoever_saw_all_open_parts_is_told_so(version: ModelVersion, operator: User):
    client = Client()
    client.force_login(operator)
    plan(version.category, percent=100)
    judged(version, good=1, operator=operator)
    close(version.category)
    assert "1 part waits for a review, but you inspected or reviewed it before." in text(client, "/quality/review/")


def test_the_page_of_a_threshold_shows_what_random_audits_found(version: ModelVersion, user: User, signed_in: Client):
    address = f"/thresholds/{version.pk}/"
    assert "No passed part of this version was drawn at random yet" in text(signed_in, address)
    plan(version.category, percent=100)
    judged(version, good=20)
    shift = close(version.category)
    for index, part in enumerate(shift.parts.order_by("position")):
        services.decide(part=part, verdict="good" if index else "defective", actor=user)
    shown = text(signed_in, address)
    assert "1 of 20 defective (5.0 %)" in shown
    intervals = [percent_range(binomial_interval(1, 20, mid_p=mid_p)) for mid_p in (True, False)]
    assert f"95 % interval {intervals[0]}, exact {intervals[1]}" in shown
