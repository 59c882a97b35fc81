"""Bodies that cannot be read, or may not be sent: said so, whatever server stands in front."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import NoReverseMatch, reverse
from django.utils import timezone

from accounts.services import issue_token
from inspection.models import InspectionRequest
from mvtec_site.webserver import admission, refusals
from mvtec_site.webserver.admission import Admissions
from mvtec_site.webserver.endpoints import Endpoint, Lane, endpoint_of
from mvtec_site.webserver.refusals import ENVIRON_KEY, UnreceivedBody
from records.models import AuditEvent
from tests.environment import ROOT

pytestmark = pytest.mark.django_db


def problem(response: Any, status: int, code: str) -> None:
    assert (response.status_code, response["Content-Type"]) == (status, "application/problem+json")
    assert response.json()["code"] == code
    assert response["X-Request-ID"]


@pytest.mark.parametrize("path", ["load_model", "test_image", "reviews", "batches", "datasets", "tokens"])
def test_a_body_of_unknown_length_is_never_read_as_empty(signed_in: Client, path: str) -> None:
    chunked: Any = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    events = AuditEvent.objects.count()
    response = signed_in.post(f"/api/{path}", '{"model_version": "1"}', content_type="application/json", **chunked)
    problem(response, 411, "length_required")
    assert AuditEvent.objects.count() == events


def test_pages_say_it_too(signed_in: Client) -> None:
    chunked: Any = {"HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_LENGTH": ""}
    response = signed_in.post("/inspect", {"x": "y"}, HTTP_ACCEPT="text/html", **chunked)
    assert response.status_code == 411
    assert "Content-Length" in response.content.decode()


@pytest.mark.parametrize(
    ("meta", "status", "code"),
    [
        ({"CONTENT_LENGTH": "12x"}, 400, "invalid_length"),
        ({"CONTENT_LENGTH": "-1"}, 400, "invalid_length"),
        ({"CONTENT_LENGTH": "9" * 5000}, 400, "invalid_length"),
        ({"CONTENT_LENGTH": "٣"}, 400, "invalid_length"),
        ({"HTTP_CONTENT_ENCODING": "gzip"}, 415, "unsupported_content_encoding"),
        ({"CONTENT_LENGTH": str(2 * 1024**3)}, 413, "request_too_large"),
    ],
)
def test_other_bodies_that_would_be_read_as_something_else(
    signed_in: Client, meta: Any, status: int, code: str
) -> None:
    problem(signed_in.post("/api/load_model", "{}", content_type="application/json", **meta), status, code)


def test_a_body_as_it_is_may_say_so(signed_in: Client) -> None:
    answer = signed_in.post("/api/load_model", "{}", content_type="application/json", HTTP_CONTENT_ENCODING="identity")
    assert answer.status_code in (404, 409), "read, and found to name no model"


def unreceived(refusal: refusals.Refusal) -> dict[str, Any]:
    return {ENVIRON_KEY: refusal, "wsgi.input": UnreceivedBody(refusal)}


def image() -> dict[str, Any]:
    return {"image": SimpleUploadedFile("a.png", b"x" * 1000)}


@pytest.mark.parametrize("refusal", [refusals.BODY_TIMED_OUT, refusals.UPLOADS_FULL, refusals.busy(30)])
def test_what_the_server_refused_is_answered_before_anything_else(
    signed_in: Client, refusal: refusals.Refusal, django_assert_num_queries: Any
) -> None:
    with django_assert_num_queries(0):
        response = signed_in.post("/api/test_image", image(), **unreceived(refusal))
    problem(response, refusal.status, refusal.code)
    assert response.get("Retry-After") == (str(refusal.retry_after) if refusal.retry_after else None)


def test_who_may_not_send_a_body_gets_the_views_own_answer(client: Client) -> None:
    unknown = unreceived(refusals.NOT_SIGNED_IN)
    response = client.post("/api/test_image", image(), **unknown)
    problem(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Bearer"
    client.cookies["csrftoken"] = "a" * 32
    response = client.post("/inspect", image(), **unknown)
    assert response.status_code == 302
    assert response["Location"].startswith("/login/")


@pytest.mark.parametrize("path", ["/api/test_image", "/inspect"])
def test_a_view_that_would_take_the_body_does_not_take_it_for_empty(signed_in: Client, path: str) -> None:
    """The session began between the question and the answer, say."""
    response = signed_in.post(path, image(), HTTP_ACCEPT="*/*", **unreceived(refusals.NOT_SIGNED_IN))
    assert response.status_code == 401
    assert not InspectionRequest.objects.exists()


# ---------------------------------------------------------------- who may send a large body
LARGE = Endpoint(Lane.PAGES, 10**9)


@pytest.fixture
def _same_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server asks in a thread of its own; a test asks within its own transaction, whose connection stays open."""
    monkeypatch.setattr("mvtec_site.webserver.admission.close_old_connections", lambda: None)


def headers_of(key: str) -> dict[str, str]:
    return {"AUTHORIZATION": f"Bearer {key}"}


@pytest.mark.usefixtures("_same_connection")
def test_tokens_and_sessions_are_admitted_by_what_they_may(user: User, signed_in: Client) -> None:
    admissions = Admissions()
    upload = endpoint_of("POST", "/api/test_image")
    _, key = issue_token(user=user, name="a", actor=None, scopes=["inspect"])
    _, reader = issue_token(user=user, name="b", actor=None, scopes=["read"])
    _, old = issue_token(user=user, name="c", actor=None, expires_at=timezone.now() + timedelta(seconds=1))
    user.api_tokens.filter(name="c").update(expires_at=timezone.now())
    session = {"COOKIE": f"theme=dark; sessionid={signed_in.cookies['sessionid'].value}"}
    assert admissions.check(headers_of(key), upload, peer="127.0.0.1") is None
    assert admissions.check(session, upload, peer="127.0.0.1") is None
    assert admissions.check(headers_of(reader), upload, peer="127.0.0.1") is refusals.NOT_ALLOWED
    assert admissions.check(headers_of(reader), LARGE, peer="127.0.0.1") is None
    for unknown in (
        {},
        headers_of(old),
        headers_of("mvt_x"),
        {"AUTHORIZATION": "Bearer"},
        {"COOKIE": "sessionid=x; csrftoken=" + "a" * 32},
        {"COOKIE": "\x00;=;sessionid"},
    ):
        assert admissions.check(unknown, upload, peer="127.0.0.1") is refusals.NOT_SIGNED_IN
    user.is_active = False
    user.save()
    assert admissions.check(session, upload, peer="127.0.0.1") is refusals.NOT_SIGNED_IN


@pytest.mark.usefixtures("_same_connection")
def test_what_was_found_is_remembered_for_a_moment(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    admissions = Admissions()
    upload, training = endpoint_of("POST", "/api/test_image"), endpoint_of("POST", "/api/datasets")
    _, key = issue_token(user=user, name="a", actor=None, scopes=["inspect"])
    assert not admissions.remembered(headers_of(key), upload)
    admissions.check(headers_of(key), upload, peer="127.0.0.1")
    admissions.check(headers_of("mvt_x"), upload, peer="127.0.0.1")
    assert admissions.remembered(headers_of(key), upload)
    assert not admissions.remembered(headers_of(key), training)
    assert not admissions.remembered(headers_of("mvt_x"), upload)
    now = admission.time.monotonic()
    monkeypatch.setattr(admission.time, "monotonic", lambda: now + 60)
    assert not admissions.remembered(headers_of(key), upload)


# ---------------------------------------------------------------- the table of endpoints
def test_what_takes_files_takes_large_bodies(settings: Any) -> None:
    for name in ("test-image", "inspect"):
        assert endpoint_of("POST", reverse(name)).max_body > settings.MAX_FILE_SIZE
    for name in ("batch-test", "api-batches", "batches", "api-datasets", "datasets"):
        assert endpoint_of("POST", reverse(name)).max_body > settings.BATCH_MAX_BYTES
    for name in ("login", "healthz", "load-model", "reviews", "settings-password", "api-tokens", "admin:login"):
        assert endpoint_of("POST", reverse(name)).max_body <= settings.WEB_MAX_BODY


def test_every_form_with_a_file_leads_where_files_are_taken(settings: Any) -> None:
    forms = []
    for template in (ROOT / "templates").rglob("*.html"):
        for form in re.findall(r"<form\b[^>]*multipart/form-data[^>]*>", template.read_text()):
            forms += re.findall(r"(?:action|hx-post)=\"{% url '([-\w]+)'", form)
        forms += re.findall(r'partials/upload_attributes.html" with address="([-\w]+)"', template.read_text())
    assert {"inspect", "batches", "datasets"} <= set(forms)
    for name in forms:
        try:
            address = reverse(name)
        except NoReverseMatch:
            address = reverse(name, args=["disc"])
        assert endpoint_of("POST", address).max_body > settings.WEB_MAX_BODY, name
