"""Refusals in the language of the page: German first, then the English detail; in English as they were raised."""

from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.template import engines
from django.test import Client
from django.urls import reverse
from django.utils.translation import override

from accounts.sign_in import WrongPassword
from common.errors import Conflict, UserError
from common.web.refusals import Refusal, refusal_html, refusal_text
from inspection.judging import services
from inspection.models import Inspection
from modelzoo.models import Deployment, ModelVersion
from tests import parts

GERMAN = {"Accept-Language": "de"}
_CONFLICT = "Die Anfrage passt nicht zum jetzigen Zustand. Laden Sie die Seite oder das Objekt neu"


# ---------------------------------------------------------------- the words
def test_in_english_a_refusal_says_its_own_sentence() -> None:
    error = Conflict("Batch <7> is over.")
    with override("en"):
        assert refusal_html(error) == refusal_text(error) == "Batch <7> is over."
        assert engines["django"].from_string("{% load formats %}{{ e|refusal }}").render({"e": error}) == (
            "Batch &lt;7&gt; is over."
        )


def test_in_german_meaning_and_remedy_come_first_and_the_detail_is_marked_as_english() -> None:
    error = Conflict("Batch <7> is over.")
    with override("de"):
        assert refusal_html(error).startswith(_CONFLICT)
        assert refusal_html(error).endswith('Einzelheiten: <span lang="en">Batch &lt;7&gt; is over.</span>')
        assert refusal_text(error).endswith("Einzelheiten: Batch <7> is over.")
        assert "<7>" not in engines["django"].from_string("{% load formats %}{{ e|refusal }}").render({"e": error})
        assert '<span lang="en">Another.</span>' in refusal_html(error, "Another.")


def test_what_is_translated_unknown_or_nothing_is_said_as_it_is() -> None:
    with override("de"):
        assert refusal_html(WrongPassword("Falsch.")) == "Falsch."
        assert refusal_text(Refusal("of_no_list", "Something.")) == "Something."
        assert refusal_html(Refusal("", "")) == refusal_html(None) == ""
        assert refusal_text(UserError("No.", code="empty_file")).startswith("Die Datei ist leer.")


# ---------------------------------------------------------------- on pages
@pytest.fixture
def record(version: ModelVersion, deployment: Deployment) -> Inspection:
    submission = services.Submission(
        filename="part.png", source="command", actor=None, part=services.PartContext(serial_number="SN-1")
    )
    return services.inspect_here(data=parts.png(3, defective=True), submission=submission, version=version)


def test_a_review_that_is_refused(signed_in: Client, record: Inspection) -> None:
    for name in ("inspection-review", "line-review"):
        address, said = reverse(name, args=[record.pk]), {"verdict": "perhaps"}
        english = signed_in.post(address, said).content.decode()
        assert "<p>The verdict of a review must be good or defective." in english, name
        german = signed_in.post(address, said, headers=GERMAN).content.decode()
        assert "<p>Urteil, Fehlerart oder Kommentar der Bewertung ist ungültig. Die Einzelheiten sagen" in german, name
        assert 'Einzelheiten: <span lang="en">The verdict of a review must be good or defective.' in german, name


def test_a_threshold_that_is_refused(signed_in: Client, version: ModelVersion) -> None:
    address, said = reverse("threshold", args=[version.pk]), {"value": "6", "reason": " ", "instead_of": "1"}
    english = signed_in.post(address, said)
    german = signed_in.post(address, said, headers=GERMAN)
    assert english.status_code == german.status_code == 400
    assert "needs a reason" in english.content.decode()
    assert "Die Änderung braucht eine Begründung. Geben Sie eine Begründung ein." in german.content.decode()
    assert '<span lang="en">' in german.content.decode()
    assert '<span lang="en">' not in english.content.decode()


def test_an_image_that_is_not_judged(signed_in: Client, deployment: Deployment) -> None:
    """The script of the line reads an attribute of the panel, where markup would be shown as such."""
    answers = []
    for headers in ({}, GERMAN):
        file = SimpleUploadedFile("part.png", b"no image")
        script = {"X-Requested-With": "fetch", **headers}
        answers.append(signed_in.post("/inspect", {"image": file}, headers=script).content.decode())
    english, german = answers
    assert "Einzelheiten" not in english
    refused = german.partition('data-refused="')[2].partition('"')[0]
    assert refused.startswith("Der Inhalt ist kein Bild in einem bekannten Format.")
    assert refused.partition("Einzelheiten: ")[2] in english
    assert "&lt;span" not in german
    assert "<p>Der Inhalt ist kein Bild in einem bekannten Format." in german
    missing = signed_in.post("/inspect", {}, headers={"X-Requested-With": "fetch", **GERMAN}).content.decode()
    assert "<p>Wählen Sie zuerst ein Bild.</p>" in missing


def test_messages_and_fields_of_forms(signed_in: Client) -> None:
    lost = signed_in.post(reverse("dataset-upload", args=["0" * 32]), {"act": "import"}, headers=GERMAN)
    assert "Diese hochgeladenen Dateien gibt es nicht" in lost.content.decode()
    wrong = signed_in.get("/inspections/?score_min=high&nothing=1", headers=GERMAN).content.decode()
    assert '<span lang="en">nothing is not a filter. It is ignored.</span>' in wrong
    assert '<span lang="en">Must be a finite number.' in wrong
    assert "Ein Filter ist unbekannt oder ungültig." in wrong
    assert "&lt;span" not in wrong


def test_a_page_that_somebody_may_not_see(operator: object, client: Client) -> None:
    client.force_login(operator)  # type: ignore[arg-type]
    german = client.post("/models/1/promote", headers=GERMAN).content.decode()
    assert "Keine Berechtigung" in german
    assert "Der Rolle fehlt das nötige Recht" in german


def test_what_the_server_does_not_read_at_all(signed_in: Client) -> None:
    answer = signed_in.post("/inspect", {"a": "b"}, headers={"Content-Encoding": "gzip", **GERMAN})
    assert answer.status_code == 415
    assert "<h1>Nicht empfangen</h1>" in answer.content.decode()
    assert "Die Daten sind komprimiert. Senden Sie sie unverändert." in answer.content.decode()


def test_the_list_of_problems_is_in_the_language_of_the_page(client: Client) -> None:
    assert "The file has no bytes." in client.get("/docs/problems").content.decode()
    german = client.get("/docs/problems", headers=GERMAN).content.decode()
    assert "Die Datei ist leer." in german
    assert "The file has no bytes." not in german


def test_the_api_refuses_in_english(signed_in: Client, record: Inspection) -> None:
    signed_in.cookies["language"] = "de"
    answer = signed_in.post(
        f"/api/inspections/{record.pk}/reviews",
        {"verdict": "good", "defect_type": "dent"},
        "application/json",
        headers=GERMAN,
    )
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid_review"
    assert answer.json()["detail"].startswith("Only a defect has a defect type.")
    assert "Einzelheiten" not in answer.content.decode()
