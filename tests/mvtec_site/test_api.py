"""The API's contract that needs no worker: who may come in, what is refused, in which form."""

from __future__ import annotations

import errno
import json
import sys
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from drf_spectacular.validation import validate_schema
from PIL import Image

from accounts.models import ApiToken
from accounts.services import issue_token, revoke_token
from common.pixels.budget import budget
from inspection.models import Inspection, InspectionRequest
from jobs import broker
from modelzoo.models import Deployment
from records.models import Asset, AuditEvent
from tests import badfiles, parts

pytestmark = pytest.mark.django_db

PATHS = [("post", "/api/load_model"), ("get", "/api/status"), ("post", "/api/test_image"), ("post", "/api/batch_test")]


def problem(response: Any, status: int, code: str) -> dict[str, Any]:
    assert response.status_code == status, response.content
    assert response["Content-Type"] == "application/problem+json"
    document = response.json()
    assert set(document) >= {"type", "title", "status", "code", "detail"}
    assert (document["status"], document["code"]) == (status, code)
    return dict(document)


def upload(data: bytes, name: str = "a.png") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, data, "image/png")


# ---------------------------------------------------------------- who may come in
@pytest.mark.parametrize(("method", "path"), PATHS)
@pytest.mark.parametrize("slash", ["", "/"])
def test_nobody_comes_in_unknown(client: Client, method: str, path: str, slash: str) -> None:
    response = getattr(client, method)(path + slash)
    problem(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Bearer"


def test_a_token_comes_in_until_it_is_revoked(client: Client, user: User) -> None:
    token, plain = issue_token(user=user, name="line 1", actor=user)
    headers = {"Authorization": f"Bearer {plain}"}
    assert client.get("/api/status", headers=headers).status_code == 200
    assert plain not in str(ApiToken.objects.values())
    revoke_token(token=token, actor=user)
    problem(client.get("/api/status", headers=headers), 401, "authentication_failed")


@pytest.mark.parametrize("change", ["expired", "inactive user"])
def test_a_token_that_is_over(client: Client, user: User, change: str) -> None:
    _, plain = issue_token(user=user, name="x", actor=None, expires_at=timezone.now() + timedelta(hours=1))
    if change == "expired":
        ApiToken.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    else:
        User.objects.update(is_active=False)
    problem(client.get("/api/status", headers={"Authorization": f"Bearer {plain}"}), 401, "authentication_failed")


@pytest.mark.parametrize("header", ["Bearer", "Bearer a b", "Bearer \xff", "Token nonsense"])
def test_broken_authorization_headers(client: Client, header: str) -> None:
    problem(client.get("/api/status", headers={"Authorization": header}), 401, "authentication_failed")


def test_a_session_needs_the_csrf_token(user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(user)
    problem(client.post("/api/load_model"), 403, "permission_denied")


def test_pages_ask_to_sign_in(client: Client) -> None:
    for path in ("/", "/inspect", "/admin/", "/inspections/00000000-0000-0000-0000-000000000000/"):
        assert client.get(path).status_code == 302, path


# ---------------------------------------------------------------- what is refused
REFUSED = [
    (badfiles.zero_bytes, "a.png", 400, "empty_file"),
    (badfiles.text, "a.png", 415, "not_an_image"),
    (badfiles.elf, "a.png", 415, "not_an_image"),
    (badfiles.truncated_png, "a.png", 422, "truncated_image"),
    (badfiles.truncated_jpeg, "a.jpg", 422, "truncated_image"),
    (badfiles.oversized_file, "a.png", 413, "file_too_large"),
    (badfiles.bomb_header_png, "a.png", 413, "too_many_pixels"),
    (badfiles.animated_gif, "a.png", 415, "multi_frame"),
    (badfiles.animated_gif, "a.gif", 415, "multi_frame"),
    (badfiles.apng, "a.png", 415, "multi_frame"),
    (badfiles.cmyk_jpeg, "a.jpg", 415, "unsupported_mode"),
    (badfiles.sixteen_bit_png, "a.png", 415, "unsupported_mode"),
    (badfiles.lost_packet_jpeg, "a.jpg", 422, "truncated_image"),
]


@pytest.mark.parametrize(("make", "name", "status", "code"), REFUSED, ids=[f"{m.__name__}-{n}" for m, n, *_ in REFUSED])
def test_bad_images_are_refused_and_leave_an_audit_event_only(
    signed_in: Client, deployment: Deployment, make: Any, name: str, status: int, code: str
) -> None:
    events = AuditEvent.objects.count()
    response = signed_in.post("/api/test_image", {"image": upload(make(), name)})
    problem(response, status, code)
    assert response.json()["detail"].endswith(" It was not kept.")
    assert not Asset.objects.exists()
    assert not InspectionRequest.objects.exists()
    new = AuditEvent.objects.order_by("sequence")[events:]
    assert [(event.kind, event.actor_name, event.source) for event in new] == [("image.refused", "olga", "api")]


@pytest.mark.usefixtures("deployment", "worker")
@pytest.mark.parametrize("name", ["blob", "image", "part", "part.jfif", "part.jpe", "part.jpg", "-", "Teilä.png"])
def test_the_content_decides_and_the_record_keeps_the_name_as_given(signed_in: Client, name: str) -> None:
    response = signed_in.post("/api/test_image", {"image": upload(parts.png(1), name), "anomaly_map": "none"})
    assert response.status_code == 200, response.content
    assert (response.json()["filename"], response.json()["image_format"]) == (name, "PNG")


def test_of_a_jpeg_with_several_pictures_the_first_is_judged(
    signed_in: Client, deployment: Deployment, worker: Any
) -> None:
    first, second = (parts.part(seed)[0] for seed in (1, 2))
    data = badfiles.encode(first, "MPO", save_all=True, append_images=[second])
    response = signed_in.post("/api/test_image", {"image": upload(data, "phone.jpg"), "anomaly_map": "none"})
    assert response.status_code == 200, response.content
    assert response.json()["image_format"] == "JPEG"


def test_requests_that_make_no_sense(signed_in: Client, deployment: Deployment) -> None:
    problem(signed_in.post("/api/test_image"), 400, "invalid")
    problem(signed_in.post("/api/test_image", {"image": "text"}), 400, "invalid")
    problem(signed_in.get("/api/test_image"), 405, "method_not_allowed")
    problem(signed_in.post("/api/test_image", "{}", content_type="application/json"), 415, "unsupported_media_type")
    problem(signed_in.post("/api/load_model", "{", content_type="application/json"), 400, "parse_error")
    problem(signed_in.post("/api/load_model", "[1]", content_type="application/json"), 400, "invalid")
    problem(signed_in.get("/api/nothing"), 404, "not_found")
    problem(signed_in.get("/api/inspections/00000000-0000-0000-0000-000000000000"), 404, "inspection_not_found")
    problem(signed_in.get("/api/batches/00000000-0000-0000-0000-000000000000"), 404, "batch_not_found")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"model_version": "999"}, 404, "model_version_not_found"),
        ({"model_version": "../etc"}, 400, "invalid"),
        ({"model_version": "9" * 20}, 400, "invalid"),
        ({"category": "no-such"}, 404, "model_version_not_found"),
        ({"algorithm": "magic"}, 404, "model_version_not_found"),
        ({"threshold": "NaN"}, 400, "invalid"),
        ({"threshold": 1e308}, 400, "invalid"),
        ({"device": "tpu"}, 400, "invalid"),
        ({"runtime": "abacus"}, 400, "invalid"),
        ({"runtime": ["torch"]}, 400, "invalid"),
        ({"precision": "fp8"}, 400, "invalid"),
        ({"precision": 16}, 400, "invalid"),
    ],
)
def test_load_model_refuses(
    signed_in: Client, deployment: Deployment, body: dict[str, Any], status: int, code: str
) -> None:
    problem(signed_in.post("/api/load_model", body, content_type="application/json"), status, code)
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.ACTIVE
    assert Deployment.objects.count() == 1


@pytest.mark.parametrize(
    ("workers", "words"), [({}, "service is down"), ({"inference@a": ["inference"]}, "has not finished loading")]
)
def test_loading_that_takes_too_long_changes_nothing(
    signed_in: Client,
    deployment: Deployment,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    workers: dict[str, list[str]],
    words: str,
) -> None:
    settings.LOAD_TIMEOUT = 0.2
    monkeypatch.setattr(broker, "live_workers", lambda: workers)
    document = problem(signed_in.post("/api/load_model", {}, content_type="application/json"), 503, "no_worker")
    assert words in document["detail"]
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.ACTIVE
    assert Deployment.objects.latest("id").status == Deployment.Status.FAILED


def test_without_a_model_there_is_no_verdict(signed_in: Client) -> None:
    document = problem(signed_in.post("/api/test_image", {"image": upload(parts.png(1))}), 409, "no_model_loaded")
    assert "load_model" in document["detail"]
    assert not Asset.objects.exists()


def test_without_a_worker_there_is_no_verdict(signed_in: Client, deployment: Deployment, settings: Any) -> None:
    settings.ANSWER_TIMEOUT = 0.2
    problem(signed_in.post("/api/test_image", {"image": upload(parts.png(1))}), 503, "no_worker")
    assert InspectionRequest.objects.get().status == InspectionRequest.Status.EXPIRED


# ---------------------------------------------------------------- what a verdict says, and what is none
@pytest.mark.slow
def test_a_model_runs_the_way_it_was_loaded(signed_in: Client, deployment: Deployment, worker: None) -> None:
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    body = {"runtime": "onnxruntime", "precision": "fp32"}
    response = signed_in.post("/api/load_model", body, content_type="application/json")
    assert response.status_code == 200, response.content
    assert (body | {"precision_chosen": "fp32"}).items() <= response.json().items()
    assert signed_in.get("/api/status").json()["model"]["runtime"] == "onnxruntime"
    made = Deployment.objects.latest("id")
    assert made.choice["because"] == "it was requested"
    told = AuditEvent.objects.filter(kind__startswith="deployment.").order_by("sequence")
    events = {event.kind: json.loads(event.after) for event in told}
    assert body.items() <= events["deployment.requested"].items()
    assert events["deployment.activated"]["choice"] == made.choice
    judged = signed_in.post("/api/test_image", {"image": upload(parts.png(7))}).json()
    assert (judged["timings"]["runtime"], judged["timings"]["precision"]) == ("onnxruntime", "fp32")


def test_auto_is_chosen_by_the_worker(signed_in: Client, deployment: Deployment, worker: None) -> None:
    document = signed_in.post("/api/load_model", {"precision": "auto"}, content_type="application/json").json()
    assert (document["runtime"], document["precision"]) == ("torch", "auto")
    assert document["precision_chosen"] in ("fp32", "bf16")
    assert {row["precision"] for row in Deployment.objects.latest("id").choice["measured"]} >= {"fp32"}


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"runtime": "torch", "precision": "int8"}, "int8 is not to be had"),
        ({"runtime": "onnxruntime"}, "pip install onnxruntime"),
        ({"runtime": "openvino", "precision": "bf16"}, "pip install openvino"),
    ],
)
def test_what_is_not_to_be_had_changes_nothing(
    signed_in: Client,
    deployment: Deployment,
    worker: None,
    monkeypatch: pytest.MonkeyPatch,
    body: dict[str, str],
    says: str,
) -> None:
    for name in ("onnxruntime", "openvino"):
        monkeypatch.setitem(sys.modules, name, None)
    response = signed_in.post("/api/load_model", body, content_type="application/json")
    document = problem(response, 409, "runtime_unavailable")
    assert says in document["detail"]
    assert "stays in production" in document["detail"]
    deployment.refresh_from_db()
    assert deployment.status == Deployment.Status.ACTIVE
    assert Deployment.objects.latest("id").error_code == "runtime_unavailable"
    judged = signed_in.post("/api/test_image", {"image": upload(parts.png(7))}).json()
    assert judged["timings"]["runtime"] == "torch"


def test_a_defective_part_says_where(signed_in: Client, deployment: Deployment, worker: None) -> None:
    response = signed_in.post("/api/test_image", {"image": upload(parts.png(7, defective=True))})
    assert response.status_code == 200, response.content
    document = response.json()
    assert (document["outcome"], document["is_defective"]) == ("defective", True)
    assert (document["reason"], document["explanation"]) == ("", "")
    assert 0 < document["p_value"] <= 1
    assert document["score"] == document["reconstruction_error"] > document["threshold"]
    anomaly_map = np.array(document["anomaly_map"])
    assert anomaly_map.shape == (parts.SIDE, parts.SIDE)
    assert anomaly_map.max() == pytest.approx(document["score"], rel=1e-6)
    assert document["region_count"] == len(document["regions"])
    assert document["largest_region_px"] == max(region["area_px"] for region in document["regions"])
    for region in document["regions"]:
        box = np.s_[region["y"] : region["y"] + region["height"], region["x"] : region["x"] + region["width"]]
        assert anomaly_map[box].max() == pytest.approx(region["peak"], rel=1e-4)
        assert anomaly_map[region["peak_y"], region["peak_x"]] == pytest.approx(region["peak"], rel=1e-4)
    good = signed_in.post("/api/test_image", {"image": upload(parts.png(7)), "anomaly_map": "none"}).json()
    assert (good["outcome"], good["regions"], good["region_count"]) == ("good", [], 0)
    assert good["p_value"] > document["p_value"]


def test_what_cannot_be_compared_is_an_answer_and_never_good(
    signed_in: Client, deployment: Deployment, worker: None, blank: bytes
) -> None:
    for form in ("full", "url", "none"):
        response = signed_in.post("/api/test_image", {"image": upload(blank), "anomaly_map": form})
        assert response.status_code == 200, response.content
        document = response.json()
        assert (document["outcome"], document["reason"]) == ("not_comparable", "no_part_found")
        assert document["explanation"] == "No part can be separated from the background."
        nothing = ["is_defective", "score", "reconstruction_error", "confidence", "p_value", "anomaly_map"]
        nothing += ["regions", "region_count", "largest_region_px", "overlay_url"]
        assert {name: document[name] for name in nothing} == dict.fromkeys(nothing)
        assert document["threshold"] > 0
    address = f"/api/inspections/{document['inspection_id']}"
    assert signed_in.get(address).json()["outcome"] == "not_comparable"
    assert signed_in.get(f"{address}/image").content == blank
    assert signed_in.get(f"{address}/thumbnail").status_code == 200
    for picture in ("map", "overlay"):
        problem(signed_in.get(f"{address}/{picture}"), 404, "no_map")


def test_status_without_a_broker_says_so(signed_in: Client) -> None:
    document = signed_in.get("/api/status").json()
    assert document["broker"] == "unreachable"
    assert document["workers"] == []
    assert document["model_loaded"] is False


def test_status_says_how_images_are_prepared(signed_in: Client, deployment: Deployment) -> None:
    version = deployment.model_version
    version.preprocessing = {"illumination": {"chosen": "flatfield", "because": "x"}, "align": {"chosen": "none"}}
    version.save(update_fields=["preprocessing"])
    model = signed_in.get("/api/status").json()["model"]
    assert model["preprocessing"] == {"illumination": "flatfield", "align": "none"}


def test_the_request_id_is_echoed_and_recorded(signed_in: Client, deployment: Deployment) -> None:
    response = signed_in.post("/api/test_image", {"image": upload(b"junk")}, headers={"X-Request-ID": "cam-7:000123"})
    assert response["X-Request-ID"] == "cam-7:000123"
    assert AuditEvent.objects.latest("sequence").request_id == "cam-7:000123"
    odd = signed_in.get("/api/status", headers={"X-Request-ID": "a b\x7f" * 50})
    assert len(odd["X-Request-ID"]) == 32


def test_the_schema_is_valid_and_names_the_four_endpoints(signed_in: Client) -> None:
    response = signed_in.get("/api/schema?format=json")
    schema = response.json()
    validate_schema(schema)
    paths = {path.rstrip("/") for path in schema["paths"]}
    assert {path for _, path in PATHS} <= paths


def test_swagger_is_served_from_here(signed_in: Client) -> None:
    page = signed_in.get("/api/docs").content.decode()
    assert "swagger" in page
    assert "cdn" not in page
    assert 'src="http' not in page


def test_json_that_nests_too_deeply_is_refused(client: Client, user: User) -> None:
    client.force_login(user)
    body = "[" * 100_000
    problem(client.post("/api/load_model", body, content_type="application/json"), 400, "parse_error")


@pytest.mark.usefixtures("deployment", "worker")
def test_one_sender_has_so_many_pixels_judged_at_once_and_no_more(signed_in: Client, user: User) -> None:
    """While one image of theirs is judged, a token's next large one is refused, and what others send is not."""
    tokens = [issue_token(user=user, name=name, actor=user)[1] for name in ("busy", "other")]
    large = parts.encode(Image.new("RGB", (2000, 2000)))
    own = f"token-{ApiToken.objects.get(name='busy').pk}"

    def send(token: str, data: bytes) -> Any:
        headers = {"Authorization": f"Bearer {token}"}
        return signed_in.post("/api/test_image", {"image": upload(data)}, headers=headers)

    with budget().hold(62_000_000, caller=own):
        refused = send(tokens[0], large)
        problem(refused, 429, "too_many_pixels_at_once")
        assert refused["Retry-After"]
        assert not Inspection.objects.exists()
        assert send(tokens[0], parts.png(1)).status_code == 200
        assert send(tokens[1], large).status_code == 200
    assert send(tokens[0], large).status_code == 200


@pytest.mark.usefixtures("deployment", "worker")
def test_a_picture_too_large_to_be_let_in_is_refused_for_that(signed_in: Client) -> None:
    with budget().hold(150_000_000, caller="somebody"):
        answer = signed_in.post("/api/test_image", {"image": upload(badfiles.decompression_bomb_png())})
    problem(answer, 413, "too_many_pixels")


def test_a_service_that_is_down_says_when_to_try_again(
    signed_in: Client, deployment: Deployment, settings: Any
) -> None:
    settings.ANSWER_TIMEOUT = 0.1
    answer = signed_in.post("/api/test_image", {"image": upload(parts.png(1))})
    problem(answer, 503, "no_worker")
    assert answer["Retry-After"].isdigit()


@pytest.mark.parametrize(
    ("address", "called"), [("inspections", "history.api.read_page"), ("history", "history.views.render")]
)
def test_a_full_disk_is_no_defect_of_ours(
    signed_in: Client, address: str, called: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(f"inspection.{called}", full)
    signed_in.raise_request_exception = False
    answer = signed_in.get("/api/inspections" if address == "inspections" else reverse(address))
    assert answer.status_code == 507
    assert "disk is full" in answer.content.decode()
