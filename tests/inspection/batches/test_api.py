"""`/api/batches`: asking for one in each of its forms, the list, calling off, the report."""

from __future__ import annotations

import io
import json
import uuid
import zipfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from inspection.batches import gathering, services
from inspection.models import BatchRun, Inspection, InspectionRequest
from modelzoo.models import Deployment
from records.models import AuditEvent
from tests import badfiles, parts
from tests.mvtec_site.test_api import problem, upload

pytestmark = pytest.mark.django_db


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    settings.BATCH_ROOTS = (tmp_path / "parts",)
    made = tmp_path / "parts" / "lot7"
    made.mkdir(parents=True)
    for index in range(3):
        (made / f"{index}.png").write_bytes(parts.png(index, defective=index == 1))
    return made


def ask(client: Client, path: str = "/api/batches", *, key: str | None = None, **said: Any) -> Any:
    headers = {} if key is None else {"Idempotency-Key": key}
    return client.post(path, json.dumps(said), content_type="application/json", headers=headers)


def waiting(deployment: Deployment, count: int = 1, *, name: str = "b") -> BatchRun:
    """A batch that nobody works on."""
    files = [(f"{index}.png", parts.png(index)) for index in range(count)]
    return services.request_batch(
        items=gathering.receive_items(files=files, actor=None),
        name=name,
        deployment=deployment,
        source="api",
        actor=None,
    )


# ---------------------------------------------------------------- asking for one
def test_a_batch_counts_what_cannot_be_compared(
    signed_in: Client, deployment: Deployment, worker: None, blank: bytes
) -> None:
    files = [
        upload(parts.png(1)),
        upload(blank, "b.png"),
        upload(b"junk", "c.png"),
        upload(parts.png(2, defective=True)),
    ]
    document = signed_in.post("/api/batch_test", {"images": files, "wait": "5"}).json()
    counts = ("total", "done", "good", "defective", "not_comparable", "failed")
    assert [document[name] for name in counts] == [4, 3, 1, 1, 1, 1]
    assert [row.get("outcome") for row in document["results"]] == ["good", "not_comparable", None, "defective"]


def test_five_hundred_files_are_too_many(signed_in: Client, deployment: Deployment) -> None:
    files = [upload(b"x", f"{index}.png") for index in range(500)]
    problem(signed_in.post("/api/batch_test", {"images": files}), 413, "too_many_files")
    assert not BatchRun.objects.exists()


def test_batches_that_make_no_sense(signed_in: Client, deployment: Deployment) -> None:
    problem(signed_in.post("/api/batch_test"), 400, "invalid")
    both = {"images": [upload(parts.png(1))], "dataset": "disc"}
    problem(signed_in.post("/api/batch_test", both), 400, "invalid")
    problem(signed_in.post("/api/batch_test", {"dataset": "nope"}), 404, "dataset_not_found")
    junk = SimpleUploadedFile("a.zip", b"PK\x03\x04 nothing", "application/zip")
    response = signed_in.post("/api/batch_test", {"archive": junk})
    assert 400 <= response.status_code < 500
    assert response["Content-Type"] == "application/problem+json"
    assert not BatchRun.objects.exists()


def test_a_batch_is_written_down_even_when_no_broker_answers(signed_in: Client, deployment: Deployment) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("a.png", parts.png(1))
        archive.writestr("b.png", b"junk")
    file = SimpleUploadedFile("two.zip", packed.getvalue(), "application/zip")
    response = signed_in.post("/api/batch_test", {"archive": file, "lot": "L9"})
    assert response.status_code == 202, response.content
    document = response.json()
    assert (document["status"], document["total"], document["failed"], document["done"]) == ("queued", 2, 1, 0)
    assert signed_in.get(response["Location"]).json() == document
    problem(signed_in.get(response["Location"], {"anomaly_map": "full"}), 400, "invalid")
    assert set(BatchRun.objects.get().items.values_list("lot", flat=True)) == {"L9"}


def packed(members: dict[str, bytes], name: str = "lot.zip") -> SimpleUploadedFile:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return SimpleUploadedFile(name, out.getvalue(), "application/zip")


def test_the_folders_of_a_zip_tell_its_images_apart(signed_in: Client, deployment: Deployment, worker: None) -> None:
    members = {
        "good/000.png": parts.png(1),
        "broken/000.png": parts.png(2, defective=True),
        "broken/1": b"",
        "x.png": b"",
    }
    response = signed_in.post("/api/batches", {"archive": packed(members), "wait": 5})
    assert response.status_code == 200, response.content
    document = response.json()
    assert [(row["path"], row["filename"], row["status"]) for row in document["results"]] == [
        ("good/000.png", "000.png", "done"),
        ("broken/000.png", "000.png", "done"),
        ("x.png", "x.png", "failed"),
    ]
    lines = signed_in.get(f"{document['url']}/report", {"format": "csv"}).getvalue().decode()
    assert "good/000.png" in lines
    assert "broken/000.png" in lines
    shown = signed_in.get(reverse("batch-page", args=[document["batch_id"]])).content.decode()
    assert ">good/000.png</span>" in shown
    assert ">broken/000.png</span>" in shown


def test_what_a_zip_holds_besides_images_is_left_out_and_said(signed_in: Client, deployment: Deployment) -> None:
    members = {
        "part.png": parts.png(1),
        "notes.txt": b"lot 7",
        ".hidden.jpg": badfiles.jpeg(),
        "__MACOSX/._part.png": b"x",
        "Thumbs.db": b"x",
    }
    document = signed_in.post("/api/batches", {"archive": packed(members)}).json()
    said = ["Left out, hidden: 1 file (.hidden.jpg).", "Left out, not an image file: 1 file (notes.txt)."]
    assert (document["total"], document["failed"], document["warnings"]) == (1, 0, said)
    assert said[1] in signed_in.get(reverse("batch-page", args=[document["batch_id"]])).content.decode()
    html = signed_in.get(f"{document['url']}/report", {"format": "html"}).getvalue().decode()
    assert said[0] in html


def test_a_zip_or_a_folder_without_images_says_what_is_there(
    signed_in: Client, deployment: Deployment, folder: Path
) -> None:
    refused = signed_in.post("/api/batches", {"archive": packed({"a.txt": b"lot 7"})})
    assert "not an image file: 1 file (a.txt)" in problem(refused, 400, "empty_batch")["detail"]
    (folder / "empty").mkdir()
    (folder / "empty" / "a.csv").write_bytes(b"1,2")
    refused = ask(signed_in, folder="lot7/empty")
    assert "not an image file: 1 file (a.csv)" in problem(refused, 400, "empty_batch")["detail"]


def test_a_format_that_is_not_let_in_is_a_failed_image_that_names_the_setting(
    signed_in: Client, deployment: Deployment
) -> None:
    packed_files = packed({"a.bmp": badfiles.bmp(), "b.png": parts.png(1)})
    document = signed_in.post("/api/batches", {"archive": packed_files}).json()
    assert (document["total"], document["failed"]) == (2, 1)
    assert "ALLOWED_EXTENSIONS" in str(signed_in.get(document["url"]).json())


def test_names_of_a_zip_that_nobody_can_tell_are_said(signed_in: Client, deployment: Deployment) -> None:
    file = packed({"grosX.png": parts.png(1), "große.png": parts.png(2)})
    sent = SimpleUploadedFile("a.zip", file.read().replace(b"grosX", b"gro\xe1X"), "application/zip")
    document = signed_in.post("/api/batches", {"archive": sent}).json()
    assert [row["filename"] for row in document["results"]] == ["großX.png", "große.png"]
    assert [("1 name in the archive may be misread" in warning) for warning in document["warnings"]] == [True]


@pytest.mark.parametrize("path", ["/api/batch_test", "/api/batches", "/api/batches/"])
def test_a_folder_of_the_server(
    signed_in: Client, deployment: Deployment, worker: None, folder: Path, path: str
) -> None:
    response = ask(signed_in, path, folder="lot7", lot="7", wait=5)
    assert response.status_code == 200, response.content
    document = response.json()
    assert (document["name"], document["status"], document["requested_by"]) == ("lot7", "finished", "olga")
    assert [(row["path"], row["outcome"], row["lot"]) for row in document["results"]] == [
        ("0.png", "good", "7"),
        ("1.png", "defective", "7"),
        ("2.png", "good", "7"),
    ]
    assert document["images_per_second"] > 0
    assert document["scores"]["maximum"] == Inspection.objects.order_by("-score")[0].score
    brief = signed_in.get(document["url"], {"results": "no"}).json()
    assert brief == document | {"results": []}


def test_a_folder_is_answered_for_before_it_is_read(signed_in: Client, deployment: Deployment, folder: Path) -> None:
    (folder / "junk.png").write_bytes(b"junk")
    response = ask(signed_in, folder=str(folder))
    assert response.status_code == 202
    document = response.json()
    assert (document["status"], document["total"], document["failed"]) == ("queued", 4, 0)
    assert document["duration_seconds"] is None
    assert BatchRun.objects.get().folder == str(folder)
    event = AuditEvent.objects.get(kind="batch.requested")
    assert json.loads(event.after)["folder"] == str(folder)


def test_folders_that_are_refused(signed_in: Client, deployment: Deployment, folder: Path, settings: Any) -> None:
    (folder / "empty").mkdir()
    problem(ask(signed_in, folder="lot7/empty"), 400, "empty_batch")
    allowed = problem(ask(signed_in, folder=str(folder / "nowhere")), 404, "folder_not_found")
    outside = problem(ask(signed_in, folder="/etc"), 404, "folder_not_found")
    assert set(allowed) == set(outside)
    problem(ask(signed_in, folder="\ud800"), 400, "unreadable_text")
    for odd in ("a\0b", ["lot7"], {"a": 1}, "x" * 1001):
        problem(ask(signed_in, folder=odd), 400, "invalid")
    settings.BATCH_MAX_ZIP_FILES = 2
    problem(ask(signed_in, folder="lot7"), 413, "folder_too_large")
    settings.BATCH_ROOTS = ()
    problem(ask(signed_in, folder="lot7"), 409, "no_batch_roots")
    assert not BatchRun.objects.exists()


@pytest.mark.parametrize("body", ["[]", "3", "null", '"x"', "{", '{"wait": "NaN"}', '{"dataset": 1e999}', "{}"])
def test_bodies_that_make_no_sense(signed_in: Client, deployment: Deployment, body: str) -> None:
    response = signed_in.post("/api/batches", body, content_type="application/json")
    assert 400 <= response.status_code < 500
    assert response["Content-Type"] == "application/problem+json"


# ---------------------------------------------------------------- asking again
def test_the_same_key_is_answered_alike(signed_in: Client, deployment: Deployment, worker: None, folder: Path) -> None:
    first = ask(signed_in, key="k1", folder="lot7", wait=5)
    again = ask(signed_in, "/api/batch_test", key="k1", folder="lot7")
    assert (first.status_code, again.status_code) == (200, 200)
    assert first.json() == again.json()
    assert ("Idempotent-Replay" in first, again["Idempotent-Replay"]) == (False, "true")
    assert again["Location"] == first["Location"]
    problem(ask(signed_in, key="k1", folder="lot7", lot="8"), 422, "idempotency_key_reused")
    problem(ask(signed_in, key="\t", folder="lot7"), 400, "invalid_idempotency_key")
    assert Inspection.objects.count() == 3


def test_a_key_goes_with_the_content_of_files(signed_in: Client, deployment: Deployment) -> None:
    def send(seed: int, name: str = "a.png") -> Any:
        files = {"images": [upload(parts.png(seed), name)]}
        return signed_in.post("/api/batches", files, headers={"Idempotency-Key": "k"})

    assert send(1).json()["batch_id"] == send(1, "other-name.png").json()["batch_id"]
    problem(send(2), 422, "idempotency_key_reused")

    def pack(name: str) -> Any:
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), parts.png(1))
        file = SimpleUploadedFile("a.zip", packed.getvalue(), "application/zip")
        return signed_in.post("/api/batches", {"archive": file}, headers={"Idempotency-Key": "z"})

    assert pack("a.png").json()["batch_id"] == pack("a.png").json()["batch_id"]
    problem(pack("b.png"), 422, "idempotency_key_reused")
    assert BatchRun.objects.count() == 2
    assert InspectionRequest.objects.count() == 2


# ---------------------------------------------------------------- the list
def test_the_list_is_newest_first_in_pages(
    signed_in: Client, deployment: Deployment, django_assert_num_queries: Callable[..., Any]
) -> None:
    made = [waiting(deployment, index + 1, name=f"b{index}") for index in range(3)]
    signed_in.get("/api/batches")
    with django_assert_num_queries(5):  # session, user, roles, page, counts
        page = signed_in.get("/api/batches").json()
    assert [(row["name"], row["total"], row["progress"]) for row in page["results"]] == [
        ("b2", 3, 0.0),
        ("b1", 2, 0.0),
        ("b0", 1, 0.0),
    ]
    first = signed_in.get("/api/batches", {"limit": 2}).json()
    second = signed_in.get(first["next"]).json()
    assert [row["batch_id"] for row in first["results"] + second["results"]] == [str(one.pk) for one in reversed(made)]
    assert second["next"] is None


def test_the_list_is_filtered(signed_in: Client, deployment: Deployment, user: User) -> None:
    old, new = waiting(deployment, name="old"), waiting(deployment, name="new")
    then = timezone.now() - timedelta(days=3)
    BatchRun.objects.filter(pk=old.pk).update(created_at=then)
    services.cancel_batch(batch_id=new.pk, actor=user)

    def named(**filters: str) -> list[str]:
        response = signed_in.get("/api/batches", filters)
        assert response.status_code == 200, response.content
        return [row["name"] for row in response.json()["results"]]

    assert named(status="queued") == ["old"]
    assert named(status="cancelled") == ["new"]
    assert named(since=(then + timedelta(days=1)).isoformat()) == ["new"]
    assert named(until=(then + timedelta(days=1)).isoformat()) == ["old"]
    assert named(until=f"{then:%Y-%m-%d}", category="disc") == ["old"]
    assert named(status="", since="") == ["new", "old"]
    for wrong in ({"status": "over"}, {"since": "yesterday"}, {"category": "nope"}, {"lot": "7"}, {"until": "a\0"}):
        problem(signed_in.get("/api/batches", wrong), 400, "invalid_filter")
    problem(signed_in.get("/api/batches", {"limit": "0"}), 400, "invalid")
    problem(signed_in.get("/api/batches", {"cursor": "x"}), 400, "invalid_cursor")


# ---------------------------------------------------------------- calling off
def test_a_batch_is_called_off(signed_in: Client, deployment: Deployment) -> None:
    batch = waiting(deployment, 2)
    address = f"/api/batches/{batch.pk}"
    response = signed_in.post(f"{address}/cancel")
    assert response.status_code == 200
    assert (response.json()["status"], response.json()["cancelled"]) == ("cancelled", 2)
    problem(signed_in.post(f"{address}/cancel/"), 409, "batch_over")
    assert [row["status"] for row in signed_in.get(address).json()["results"]] == ["cancelled", "cancelled"]
    problem(signed_in.post(f"/api/batches/{uuid.uuid4()}/cancel"), 404, "batch_not_found")


def test_a_batch_in_work_is_called_off_later(signed_in: Client, deployment: Deployment) -> None:
    batch = waiting(deployment, 2)
    BatchRun.objects.filter(pk=batch.pk).update(status="running", claim=uuid.uuid4())
    response = signed_in.post(f"/api/batches/{batch.pk}/cancel")
    assert response.status_code == 202
    assert (response.json()["status"], response.json()["cancel_requested"]) == ("running", True)


def test_who_may_only_read_may_not_call_off(client: Client, deployment: Deployment, auditor: User) -> None:
    client.force_login(auditor)
    batch = waiting(deployment)
    problem(client.post(f"/api/batches/{batch.pk}/cancel"), 403, "permission_denied")
    problem(ask(client, folder="x"), 403, "permission_denied")
    assert client.get(f"/api/batches/{batch.pk}").status_code == 200
    assert client.get(f"/api/batches/{batch.pk}/report").status_code == 200


def test_callers_that_wait_leave_threads_to_others(
    signed_in: Client, folder: Path, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []
    plain = services.await_batch

    def await_batch(batch: BatchRun, *, seconds: float) -> bool:
        waits.append(seconds)
        if len(waits) == 1:  # another caller, while the first one waits
            assert ask(signed_in, folder="lot7", wait=50).status_code in (200, 202)
        return plain(batch, seconds=0)

    monkeypatch.setattr(services, "await_batch", await_batch)
    for _ in range(2):
        assert ask(signed_in, folder="lot7", wait=50).status_code in (200, 202)
    assert waits == [50, 0, 50]


# ---------------------------------------------------------------- the report
@pytest.mark.parametrize(
    ("form", "media_type", "place"),
    [("csv", "text/csv", "attachment"), ("json", "application/json", "attachment"), ("html", "text/html", "inline")],
)
def test_the_report(
    signed_in: Client, deployment: Deployment, worker: None, folder: Path, form: str, media_type: str, place: str
) -> None:
    address = ask(signed_in, folder="lot7", wait=5).json()["url"]
    response = signed_in.get(f"{address}/report", {"format": form}, headers={"Accept": "text/html"})
    assert response.status_code == 200
    assert response.streaming
    assert response["Content-Type"].split(";")[0] == media_type
    assert response["Content-Disposition"].startswith(f'{place}; filename="batch-')
    assert b"2.png" in response.getvalue()
    if form == "html":
        policy = response["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "style-src 'sha256-" in policy
        assert "unsafe" not in policy


def test_reports_that_are_not_there(signed_in: Client, deployment: Deployment) -> None:
    batch = waiting(deployment)
    problem(signed_in.get(f"/api/batches/{batch.pk}/report", {"format": "pdf"}), 400, "invalid")
    problem(signed_in.get(f"/api/batches/{uuid.uuid4()}/report"), 404, "batch_not_found")
    response = signed_in.get(f"/api/batches/{batch.pk}/report")
    assert response["Content-Disposition"].endswith('-partial.json"')
    assert json.loads(response.getvalue())["complete"] is False
    problem(signed_in.get(f"/api/batches/{batch.pk}", {"results": "maybe"}), 400, "invalid")
