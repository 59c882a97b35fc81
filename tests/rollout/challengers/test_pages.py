"""The pages of challengers."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from modelzoo.models import ModelVersion
from rollout.challengers.services import CHALLENGERS
from rollout.models import Challenger
from tests.rollout.live import live, start, strict, work
from tests.versions import another

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("worker", "deployment")]


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_from_a_candidate_to_its_disagreements(version: ModelVersion, signed_in: Client, operator: User):
    assert "No candidate" in text(signed_in, "/models/challengers/")
    candidate = strict(version)
    assert f"/models/challengers/?model_version={candidate.pk}" in text(signed_in, f"/models/{candidate.pk}/")
    assert "No challenger yet." in text(signed_in, "/models/challengers/")
    asked = {"model_version": candidate.pk, "share": "100", "reason": "trained with reviews"}
    wrong = signed_in.post("/models/challengers/", asked | {"share": "0"})
    assert wrong.status_code == 422
    made = signed_in.post("/models/challengers/", asked)
    challenger = Challenger.objects.get()
    page = f"/models/challengers/{challenger.pk}/"
    assert made["Location"] == page
    assert "No live image scored yet" in text(signed_in, page)
    assert signed_in.post("/models/challengers/", asked).status_code == 409
    live(2)
    live(1, begin=20, defective=True)
    CHALLENGERS.publish(challenger.pk)
    shown = text(signed_in, page)
    assert "33.3 %: 1 of 3" in shown
    assert "<strong>0 of 2</strong> looked at" in shown
    assert "trained with reviews" in text(signed_in, "/models/challengers/")
    other = Client()
    other.force_login(operator)
    assert other.post(f"{page}stop", {"reason": "x"}).status_code == 403
    assert other.post("/models/challengers/", asked).status_code == 403
    first, second = challenger.results.filter(disagrees=True)
    assert other.post(f"/models/challengers/results/{first.pk}/mark")["Location"] == page
    assert other.post(f"/models/challengers/results/{first.pk}/mark").status_code == 409
    signed_in.post(f"/inspections/{second.inspection_id}/review", {"verdict": "good"})
    assert "Every disagreement was looked at." in text(other, page)
    everything = text(other, f"{page}?show=all")
    assert "otto" in everything
    assert "olga" in everything
    assert signed_in.post(f"{page}stop", {"reason": " "}).status_code == 400
    assert signed_in.post(f"{page}stop", {"reason": "enough"}).status_code == 302
    assert ": enough" in text(signed_in, page)


def test_the_gate_is_set_on_its_page(version: ModelVersion, signed_in: Client):
    candidate = another(version)
    page = f"/models/gates/{version.category.name}/"
    assert signed_in.post(page, {"min_challenger_images": "many", "reason": "x"}).status_code == 400
    assert signed_in.post(page, {"min_challenger_images": "2", "reason": "agreed"}).status_code == 302
    assert 'value="2"' in text(signed_in, page)
    assert "no live image beside v1" in text(signed_in, f"/models/{candidate.pk}/")
    challenger = start(candidate)
    live(2)
    work(challenger)
    assert "2 live images at the active threshold, 0 of 0 disagreements" in text(signed_in, f"/models/{candidate.pk}/")


def test_what_is_not_there(signed_in: Client):
    zero = "00000000-0000-0000-0000-000000000000"
    assert signed_in.get(f"/models/challengers/{zero}/").status_code == 404
    assert signed_in.post("/models/challengers/results/99/mark").status_code == 404
