"""Studies from the draw to the signed report, over services, API and pages."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import DatabaseError, transaction
from django.test import Client
from django.urls import reverse
from pypdf import PdfReader

from common.errors import Conflict, UserError
from common.rights import Forbidden
from inspection.models import Inspection
from modelzoo.models import ModelVersion
from modelzoo.selectors import threshold_in_force
from quality.measurement_system import report, selectors, services
from quality.models import MeasurementStudy, StudyAnswer, StudyPart
from records.audit.chain.signing import is_signed, own_key
from records.audit.selectors import verify_chain
from records.models import Asset, AuditEvent
from tests.conftest import person
from tests.scores import Part, stored
from tests.triggers import without_triggers
from tests.versions import another

pytestmark = pytest.mark.django_db


def parts_of(version: ModelVersion, *, reviewed: bool = True) -> None:
    """15 near the threshold, 10 well below and 10 well above it, each with an image of its own."""
    value = threshold_in_force(version.pk).value
    scores = [value * (0.85 + 0.02 * index) for index in range(15)]
    scores += [value * 0.5] * 10 + [value * 2] * 10
    parts = [Part(score, ("defective" if score > value else "good") if reviewed else None) for score in scores]
    for index, record in enumerate(stored(version, parts)):
        asset = Asset.objects.create(sha256=f"{index:064x}", size_bytes=1, content_type="image/png", width=1, height=1)
        with without_triggers("inspection_inspection"):
            Inspection.objects.filter(pk=record.pk).update(asset=asset)


@pytest.fixture
def records(version: ModelVersion) -> None:
    parts_of(version)


@pytest.fixture
def study(version: ModelVersion, records: None, user: User, operator: User) -> MeasurementStudy:
    return services.start_study(
        category=version.category,
        appraisers=[user, operator],
        reason="line 2",
        actor=user,
        part_count=20,
        trials=2,
    )


def truth(part: StudyPart) -> str:
    record = part.inspection
    return "defective" if record.score is not None and record.score > record.threshold_value else "good"


def judge_all(study: MeasurementStudy, who: User, *, wrong: int = 0) -> list[tuple[int, int]]:
    """Judge all that is left for somebody, the first `wrong` of them wrongly; what was shown: trial and part."""
    shown = []
    while task := selectors.next_task(selectors.find_study(study.pk), who):
        said = truth(task.part)
        if task.number < wrong:
            said = "good" if said == "defective" else "defective"
        services.answer(study=study, task=task.number, verdict=said, actor=who)
        shown.append((task.trial, task.part.number))
    return shown


def test_parts_are_drawn_by_the_hash_of_the_event_that_fixed_them(study: MeasurementStudy) -> None:
    event = AuditEvent.objects.get(kind="measurement_study.started")
    assert (study.event_sequence, study.seed) == (event.sequence, event.hash)
    after = json.loads(event.after)
    assert (after["candidates"], after["population_sha256"]) == (35, study.population_sha256)
    assert after["appraisers"] == ["olga", "otto"]
    parts = list(study.parts.all())
    assert (len(parts), sum(part.is_near for part in parts)) == (20, 8)
    assert sum(part.reference == "defective" for part in parts) >= 6
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        StudyPart.objects.update(number=99)


def test_what_is_no_study(version: ModelVersion, records: None, user: User, operator: User, auditor: User) -> None:
    def start(**fields: Any) -> MeasurementStudy:
        values: dict[str, Any] = {
            "appraisers": [user, operator],
            "reason": "x",
            "actor": user,
            "part_count": 20,
            "trials": 2,
        }
        return services.start_study(category=version.category, **values | fields)

    for fields in (
        {"part_count": 19},
        {"trials": 1},
        {"near_percent": 29},
        {"appraisers": [user]},
        {"appraisers": [user, user]},
        {"appraisers": [user, auditor]},
        {"expert": operator},
        {"reason": " "},
    ):
        with pytest.raises(UserError):
            start(**fields)
    with pytest.raises(Conflict, match="records with settled reviews near the threshold are needed, and there are 15"):
        start(part_count=50)
    with pytest.raises(Forbidden):
        start(actor=operator)
    assert not MeasurementStudy.objects.exists()


def test_a_study_is_judged_finished_and_signed(study: MeasurementStudy, user: User, operator: User) -> None:
    first = judge_all(study, user)
    assert [trial for trial, _ in first] == [1] * 20 + [2] * 20
    assert [number for _, number in first[:20]] != [number for _, number in first[20:]]
    assert not selectors.find_study(study.pk).is_finished
    judge_all(study, operator, wrong=3)
    done = selectors.find_study(study.pk)
    results = json.loads(done.results)
    by_name = {row["name"]: row for row in results["appraisers"]}
    olga, otto, model = by_name["olga"], by_name["otto"], by_name["disc v1 (padim)"]
    assert olga["against_standard"]["effectiveness"]["count"] == 20
    assert (olga["within"]["kappa"], olga["against_standard"]["verdict"]) == (1.0, "acceptable")
    assert otto["against_standard"]["effectiveness"]["count"] == 17
    assert otto["within"]["agreement"]["count"] == 17
    assert results["between"]["agreement"]["count"] == 17
    assert (model["kind"], model["within"]) == ("model", None)
    assert model["against_standard"]["kappa"] == 1.0
    assert results["verdict"] != "acceptable"
    assert is_signed(done.results.encode(), base64.b64decode(done.signature), own_key().public_key())
    assert verify_chain().broken_at is None
    with pytest.raises(Conflict, match="Nothing is left"):
        services.answer(study=done, task=40, verdict="good", actor=user)


def test_an_answer_is_for_the_part_that_was_shown(study: MeasurementStudy, user: User, operator: User) -> None:
    services.answer(study=study, task=0, verdict="good", actor=user)
    with pytest.raises(Conflict, match="answered already"):
        services.answer(study=study, task=0, verdict="good", actor=user)
    with pytest.raises(UserError, match="good or defective"):
        services.answer(study=study, task=1, verdict="doubtful", actor=user)
    with pytest.raises(Forbidden, match="not an appraiser"):
        services.answer(study=study, task=0, verdict="good", actor=person("ina", "operator"))
    assert StudyAnswer.objects.count() == 1


def test_the_expert_comes_last_and_gives_the_standard(version: ModelVersion, user: User, operator: User) -> None:
    parts_of(version, reviewed=False)
    expert = person("emil", "engineer")
    study = services.start_study(
        category=version.category,
        appraisers=[user, operator],
        expert=expert,
        reason="line 2",
        actor=user,
        part_count=20,
        trials=2,
    )
    assert selectors.next_task(study, expert) is None
    judge_all(study, user)
    judge_all(study, operator)
    assert not selectors.find_study(study.pk).is_finished
    assert [trial for trial, _ in judge_all(study, expert)] == [0] * 20
    done = selectors.find_study(study.pk)
    assert json.loads(done.results)["verdict"] == "acceptable"
    assert "the word of emil" in text_of(report.draw_report(done))


def text_of(pdf: bytes) -> str:
    return " ".join(" ".join(sheet.extract_text() for sheet in PdfReader(io.BytesIO(pdf)).pages).split())


def test_the_report(study: MeasurementStudy, user: User, operator: User) -> None:
    with pytest.raises(Conflict, match="not finished"):
        report.export_pdf(study=study, actor=user)
    judge_all(study, user)
    judge_all(study, operator)
    done = selectors.find_study(study.pk)
    data = report.export_pdf(study=done, actor=user)
    assert data == report.draw_report(done)
    text = text_of(data)
    for words in (
        "Measurement-system analysis: acceptable",
        "AIAG",
        "2632-3",
        "claims no conformity",
        "settled reviews",
    ):
        assert words in text
    assert done.seed in text.replace(" ", "")
    with pytest.raises(Forbidden):
        report.export_pdf(study=done, actor=operator)


def test_over_the_api(version: ModelVersion, records: None, signed_in: Client, operator: User, user: User) -> None:
    other = another(version)
    body = {"category": "disc", "appraisers": ["olga", "otto"], "reason": "line 2", "parts": 20, "trials": 2}
    answer = signed_in.post("/api/measurement-studies", body, content_type="application/json")
    assert answer.status_code == 201
    path = answer.headers["Location"]
    task = signed_in.get(f"{path}/task").json()
    assert set(task) == {"study_id", "task", "left", "image_url"}
    assert (task["task"], task["left"]) == (0, 40)
    said = signed_in.post(f"{path}/task", {"task": 0, "verdict": "good"}, content_type="application/json")
    assert (said.status_code, said.json()["left"]) == (201, 39)
    again = signed_in.post(f"{path}/task", {"task": 0, "verdict": "good"}, content_type="application/json")
    assert (again.status_code, again.json()["code"]) == (409, "task_answered")
    assert signed_in.get(f"{path}/pdf").json()["code"] == "study_not_finished"
    study = MeasurementStudy.objects.get()
    judge_all(study, user)
    judge_all(study, operator)
    whole = signed_in.get(path).json()
    assert [row["kind"] for row in whole["results"]["appraisers"]] == ["person", "person", "model"]
    assert str(other) not in whole["results"]["appraisers"][2]["name"], "a version without scores of the parts"
    assert signed_in.get(f"{path}/pdf").content.startswith(b"%PDF")
    assert signed_in.get(f"{path}/image").status_code == 404
    assert signed_in.get("/api/measurement-studies").json()["results"][0]["study_id"] == whole["study_id"]


def test_pages(version: ModelVersion, records: None, signed_in: Client, operator: User, user: User) -> None:
    address = reverse("measurement-studies")
    assert "No study yet." in signed_in.get(address).content.decode()
    form = {
        "category": version.category_id,
        "appraisers": [user.pk, operator.pk],
        "part_count": 20,
        "trials": 2,
        "near_percent": 40,
        "reason": "line 2",
    }
    assert signed_in.post(address, form | {"appraisers": [user.pk]}).status_code == 400
    assert signed_in.post(address, form | {"part_count": 2}).status_code == 422
    assert signed_in.post(address, form).status_code == 302
    study = MeasurementStudy.objects.get()
    page = signed_in.get(reverse("measurement-study", args=[study.pk])).content.decode()
    assert "Judge 40 parts" in page
    judging = reverse("measurement-study-judge", args=[study.pk])
    page = signed_in.get(judging).content.decode()
    for word in ("score", "threshold", ".png", "/inspections/"):
        assert word not in page.partition("<h1>")[2].partition("</main>")[0].lower(), word
    assert signed_in.post(judging, {"task": "0", "verdict": "good"}).status_code == 302
    assert signed_in.post(judging, {"task": "0", "verdict": "good"}).status_code == 409
    assert signed_in.post(judging, {"task": "x", "verdict": "good"}).status_code == 409
    judge_all(study, user)
    judge_all(study, operator)
    page = signed_in.get(reverse("measurement-study", args=[study.pk])).content.decode()
    assert "Against the standard" in page
    assert "disc v1 (padim)" in page
    assert "line 2" in signed_in.get(address).content.decode()
