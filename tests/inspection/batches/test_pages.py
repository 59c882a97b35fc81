"""Batches as pages: asked for, followed, called off, reported, with and without scripts."""

from __future__ import annotations

import io
import re
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from inspection.batches import selectors
from inspection.models import BatchRun, Inspection, InspectionRequest
from inspection.reviews.services import record_review
from tests import parts
from tests.inspection.batches.test_services import images, make_batch, work

pytestmark = pytest.mark.django_db
HTMX = {"HX-Request": "true"}


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def text(response: Any) -> str:
    return response.content.decode()


def plain(response: Any) -> str:
    """The words alone."""
    return " ".join(re.sub(r"<[^>]*>", " ", text(response)).split())


def file(name: str, data: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data)


def page_of(batch: BatchRun) -> str:
    return reverse("batch-page", args=[batch.pk])


def test_an_empty_system_says_what_a_batch_is_and_what_is_missing(signed_in: Client) -> None:
    page = text(signed_in.get("/batches/"))
    assert "No batch yet" in page
    assert "No model is in production" in page
    assert 'type="file"' not in page


def test_files_become_a_batch_and_their_failures_are_named(signed_in: Client, deployment: Any, worker: None) -> None:
    sent = [file(name, data) for name, data in [*images(3), ("bad.png", b"garbage")]]
    asked = signed_in.post("/batches/", {"images": sent, "lot": "L7"})
    batch = BatchRun.objects.get()
    assert (asked.status_code, asked["Location"]) == (302, page_of(batch))
    page = text(signed_in.get(page_of(batch)))
    assert "Finished" in page
    assert "every 2s" not in page
    assert "bad.png" in page
    assert InspectionRequest.objects.get(status="failed").error in page
    assert page.count("<img") == 3
    for form in ("csv", "json", "html"):
        assert f"{reverse('batch-report', args=[batch.pk])}?format={form}" in page
    assert Inspection.objects.filter(lot="L7", source="web").count() == 3
    listed = text(signed_in.get("/batches/"))
    assert "4 files" in listed
    assert "olga" in listed


def test_a_zip_and_a_folder_of_the_server_become_batches(
    signed_in: Client, deployment: Any, worker: None, tmp_path: Path, settings: Any
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in images(2):
            archive.writestr(f"in/{name}", data)
    assert signed_in.post("/batches/", {"images": [file("lot.ZIP", packed.getvalue())]}).status_code == 302
    assert BatchRun.objects.get().name == "lot.ZIP"
    assert 'name="folder"' not in text(signed_in.get("/batches/"))
    settings.BATCH_ROOTS = (tmp_path,)
    (tmp_path / "today").mkdir()
    (tmp_path / "today" / "a.png").write_bytes(parts.png(1))
    assert 'name="folder"' in text(signed_in.get("/batches/"))
    assert signed_in.post("/batches/", {"folder": "today"}).status_code == 302
    assert Inspection.objects.count() == 3


@pytest.mark.parametrize(
    ("given", "status"),
    [
        ({}, 400),
        ({"folder": "nowhere"}, 409),  # no folder may be read
        ({"folder": "a\0b"}, 400),
        ({"lot": "x" * 101}, 400),
        ({"category": "ring", "images": [file("a.png", parts.png(1))]}, 409),
        ({"images": [file("a.zip", b"no zip")]}, 415),
    ],
)
def test_what_cannot_begin_is_a_sentence(
    signed_in: Client, deployment: Any, given: dict[str, Any], status: int
) -> None:
    for uploaded in given.get("images", []):
        uploaded.seek(0)
    refused = signed_in.post("/batches/", given)
    assert refused.status_code == status, text(refused)
    assert "The batch was not started" in text(refused)
    for uploaded in given.get("images", []):
        uploaded.seek(0)
    partial = signed_in.post("/batches/", given, headers=HTMX)
    assert partial.status_code == 200
    assert text(partial).strip().startswith('<div id="refused">')
    assert not BatchRun.objects.exists()


def test_htmx_is_sent_to_the_new_batch(signed_in: Client, deployment: Any, worker: None) -> None:
    answer = signed_in.post("/batches/", {"images": [file("a.png", parts.png(1))]}, headers=HTMX)
    assert answer["HX-Redirect"] == page_of(BatchRun.objects.get())


def test_while_it_runs_the_page_asks_again_and_offers_a_refresh(signed_in: Client, deployment: Any) -> None:
    batch = make_batch(deployment, images(3))
    page = text(signed_in.get(page_of(batch)))
    assert 'hx-trigger="every 2s"' in page
    assert ">Refresh</a>" in page
    assert "Cancel" in page
    assert '<progress max="1"' in page
    partial = signed_in.get(page_of(batch), headers=HTMX)
    assert text(partial).strip().startswith('<div id="live-batch"')
    work(batch)
    assert "every 2s" not in text(signed_in.get(page_of(batch), headers=HTMX))


def test_results_are_narrowed_down_and_paged(signed_in: Client, deployment: Any) -> None:
    batch = make_batch(deployment, [*images(4), ("bad.png", b"garbage")])
    work(batch)
    for shown, names in (
        ("", ["0.png", "1.png", "2.png", "3.png", "bad.png"]),
        ("good", ["0.png", "2.png"]),
        ("defective", ["1.png", "3.png"]),
        ("failed", ["bad.png"]),
        ("nonsense", ["0.png", "1.png", "2.png", "3.png", "bad.png"]),
    ):
        response = signed_in.get(page_of(batch), {"show": shown})
        assert [item.filename for item in response.context["items"]] == names, shown
    first = signed_in.get(f"{page_of(batch)}?limit=2&show=good")
    assert not first.context["later"]
    first = signed_in.get(f"{page_of(batch)}?limit=2")
    assert signed_in.get(first.context["later"]).context["items"][0].filename == "2.png"
    lost = signed_in.get(page_of(batch), {"cursor": "nonsense"})
    assert lost.status_code == 400
    assert "Back to the first" in text(lost)


def test_a_batch_tells_the_models_counts_from_what_stands(
    signed_in: Client, deployment: Any, user: User, blank: bytes
) -> None:
    batch = make_batch(deployment, [*images(4), ("blank.png", blank)])
    work(batch)
    fresh = plain(signed_in.get(page_of(batch)))
    assert "Good, by the model 2 Defects, by the model 2 Not comparable 1 Failed 0" in fresh
    assert "All 5 Model Good 2 Defect 2 Not comparable 1" in fresh
    assert re.search(r"Median score [\d.,]+ lowest [\d.,]+, highest [\d.,]+", fresh)
    assert "Overruled" not in fresh
    first, second = Inspection.objects.filter(outcome="defective")
    record_review(inspection=first, verdict="good", actor=user)
    record_review(inspection=second, verdict="defective", actor=user)
    page = plain(signed_in.get(page_of(batch)))
    assert "Good, by the model 2 3 after reviews Defects, by the model 2 1 after reviews" in page
    assert "Overruled 1 of 2 reviewed" in page
    assert "Not comparable 1 Reviews Overruled 1" in page
    shown = signed_in.get(page_of(batch), {"show": "overruled"})
    assert [item.inspection for item in shown.context["items"]] == [first]
    listed = plain(signed_in.get("/batches/"))
    assert "Good by the model Defects by the model Not comparable Overruled Failed" in listed
    assert "5 2 2 1 1 of 2 reviewed 0" in listed


def test_a_batch_is_called_off_by_those_who_may(signed_in: Client, deployment: Any, auditor: User) -> None:
    batch = make_batch(deployment, images(3))
    address = reverse("batch-cancel", args=[batch.pk])
    looking = client_of(auditor)
    assert "Cancel" not in text(looking.get(page_of(batch)))
    assert looking.post(address).status_code == 403
    assert looking.post("/batches/", {"images": [file("a.png", parts.png(1))]}).status_code == 403
    assert 'type="file"' not in text(looking.get("/batches/"))
    assert signed_in.post(address).status_code == 302
    batch.refresh_from_db()
    assert batch.status == BatchRun.Status.CANCELLED
    again = signed_in.post(address)
    assert again.status_code == 409
    assert "already cancelled" in text(again)
    assert f"{page_of(batch)}" in text(again)


def test_what_is_not_there_is_not_found(signed_in: Client) -> None:
    nowhere = uuid.uuid4()
    assert signed_in.get(reverse("batch-page", args=[nowhere])).status_code == 404
    assert signed_in.post(reverse("batch-cancel", args=[nowhere])).status_code == 404
    assert signed_in.get("/batches/", {"cursor": "nonsense"}).status_code == 400


def test_batches_are_filtered_by_state(signed_in: Client, deployment: Any) -> None:
    done, waiting = make_batch(deployment, images(1)), make_batch(deployment, images(1))
    work(done)
    assert [row[0].pk for row in signed_in.get("/batches/", {"status": "finished"}).context["rows"]] == [done.pk]
    assert [row[0].pk for row in signed_in.get("/batches/", {"status": "queued"}).context["rows"]] == [waiting.pk]
    assert "No batch matches this filter" in text(signed_in.get("/batches/", {"status": "cancelled"}))
    assert len(signed_in.get("/batches/", {"status": "nonsense"}).context["rows"]) == 2


def test_the_number_of_queries_does_not_grow(signed_in: Client, deployment: Any) -> None:
    def queries(address: str) -> int:
        with CaptureQueriesContext(connection) as seen:
            assert signed_in.get(address).status_code == 200
        return len(seen)

    small, large = make_batch(deployment, images(1)), make_batch(deployment, images(6))
    work(small)
    few = queries("/batches/")
    work(large)
    for _ in range(5):
        make_batch(deployment, images(1))
    assert queries("/batches/") == few <= 9
    assert queries(page_of(large)) == queries(page_of(small)) <= 12
    assert selectors.batches().count() == 7
