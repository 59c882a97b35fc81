"""The pages of containments."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User
from django.test import Client

from modelzoo.models import ModelVersion
from quality.containment import services
from quality.models import Containment
from tests.inspection.judging.test_services import inspect

pytestmark = pytest.mark.django_db


def text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_from_a_record_to_its_signed_list(version: ModelVersion, signed_in: Client, operator: User):
    records = [inspect(version, seed=seed) for seed in range(5000, 5003)]
    page = f"/inspections/{records[0].pk}/"
    start = f"/quality/containment/?inspection={records[0].pk}"
    assert "Contain this escape" not in text(signed_in, page)
    assert signed_in.get(start).status_code == 409
    signed_in.post(f"{page}review", {"verdict": "defective"})
    assert "Contain this escape" in text(signed_in, page)
    assert "Search the parts that passed" in text(signed_in, start)
    wrong = signed_in.post(start, {"min_likeness": "2", "reason": ""})
    assert wrong.status_code == 422
    made = signed_in.post(start, {"min_likeness": "0", "reason": "complaint 7"})
    containment = Containment.objects.get()
    assert made["Location"] == f"/quality/containment/{containment.pk}/"
    assert "0 of 3 searched" in text(signed_in, made["Location"])
    services.work_on_containment(containment_id=containment.pk)
    shown = text(signed_in, made["Location"])
    assert "<strong>2 parts</strong> at least 0.00 alike" in shown
    assert "not known: no part that passed at this threshold was drawn at random" in shown
    assert "complaint 7" in text(signed_in, "/quality/containment/")
    pdf = signed_in.get(f"/api/containments/{containment.pk}/pdf")
    assert pdf["Content-Type"] == "application/pdf"
    other = Client()
    other.force_login(operator)
    assert "Contain this escape" not in text(other, page)
    assert other.post(start, {"min_likeness": "0", "reason": "x"}).status_code == 403
    assert "PDF" not in text(other, made["Location"])


def test_what_is_not_there(signed_in: Client):
    zero = "00000000-0000-0000-0000-000000000000"
    assert signed_in.get(f"/quality/containment/{zero}/").status_code == 404
    assert signed_in.get(f"/quality/containment/?inspection={zero}").status_code == 404
    assert signed_in.get("/quality/containment/?inspection=x").status_code == 404
    assert "No containment yet." in text(signed_in, "/quality/containment/")
