"""A client's request means what it says: what nothing would read is refused by name, and leaves no trace."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework import serializers

from common.api.parsers import JSONParser
from common.api.requests import nearest_name
from inspection.models import Inspection, InspectionRequest
from modelzoo.models import Deployment, ModelVersion
from mvtec_site.management.commands.run import host_names_sentence
from records.models import Asset, AuditEvent
from tests import parts
from tests.mvtec_site.test_api import problem, upload
from tests.mvtec_site.test_roles import ENDPOINTS, TABLE, VIEWS, address

pytestmark = pytest.mark.django_db

MULTIPART = "multipart/form-data; boundary=x-boundary"


def post(client: Client, path: str, body: Any) -> Any:
    text = body if isinstance(body, str | bytes) else json.dumps(body)
    return client.post(f"/api/{path}", text, content_type="application/json")


def send(client: Client, path: str, *sent: tuple[bytes, bytes]) -> Any:
    """A multipart body of headers and contents as they are given."""
    pieces = [b"--x-boundary\r\nContent-Disposition: form-data; " + head + b"\r\n\r\n" + data for head, data in sent]
    body = b"\r\n".join([*pieces, b"--x-boundary--\r\n"])
    return client.generic("POST", path, body, content_type=MULTIPART)


IMAGE = (b'name="image"; filename="a.png"', parts.png(1))


# ---------------------------------------------------------------- fields that nothing reads
@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("serial", "serial_number"),
        ("serialNumber", "serial_number"),
        ("Serial-Number", "serial_number"),
        ("lot_number", "lot"),
        ("Station", "station"),
        ("part_no", "part_number"),
        ("statoin", "station"),
        ("xyz", None),
    ],
)
def test_a_field_that_is_unknown_is_named_with_the_nearest_one(
    signed_in: Client, deployment: Deployment, name: str, nearest: str | None
) -> None:
    document = problem(
        signed_in.post("/api/test_image", {"image": upload(parts.png(1)), name: "1"}), 400, "unknown_field"
    )
    assert (document["field"], document["nearest"]) == (name, nearest)
    assert name in document["detail"]
    assert nearest is None or f"Did you mean {nearest}?" in document["detail"]
    assert not Asset.objects.exists()
    assert not InspectionRequest.objects.exists()


@pytest.mark.parametrize("body", [{"version": 1}, {"model_version_id": 1}, {"model_version": "1", "treshold": 99}])
def test_load_model_reads_every_field_or_does_nothing(signed_in: Client, version: ModelVersion, body: Any) -> None:
    problem(post(signed_in, "load_model", body), 400, "unknown_field")
    problem(signed_in.post("/api/load_model", body), 400, "unknown_field")
    assert not Deployment.objects.exists()


def bodies() -> Iterator[tuple[str, str]]:
    for name, row in TABLE.items():
        for method in {"POST", "PUT", "PATCH"} & set(row.methods):
            yield name, method


@pytest.mark.parametrize(("name", "method"), sorted(bodies()))
def test_every_endpoint_with_a_body_refuses_what_it_does_not_read(
    admin_user: User, name: str, method: str, settings: Any
) -> None:
    """Also those that take no fields, and what stands in the address instead."""
    client = Client()
    client.force_login(admin_user)
    path = address(name)
    events = AuditEvent.objects.count()
    takes_json = any(issubclass(parser, JSONParser) for parser in VIEWS[name].parser_classes)
    content_type = "application/json" if takes_json else MULTIPART
    body = b'{"no_such_field": 1}'
    if not takes_json:
        body = b'--x-boundary\r\nContent-Disposition: form-data; name="no_such_field"\r\n\r\n1\r\n--x-boundary--\r\n'
    response = client.generic(method, path, body, content_type=content_type)
    # An object that the address names and that is not there may be told first.
    if response.status_code != 404:
        assert problem(response, 400, "unknown_field")["field"] == "no_such_field"
    assert problem(client.generic(method, f"{path}?no_such_field=1"), 400, "unknown_field")
    if takes_json:
        for text, code in (
            (b'{"reason": "a", "reason": "b"}', "repeated_field"),
            (b'{"reason": "\xe4"}', "parse_error"),
            (b'{"reason": NaN}', "parse_error"),
            (b"[1]", "invalid"),
            (b"null", "invalid"),
            (b'"text"', "invalid"),
        ):
            response = client.generic(method, path, text, content_type=content_type)
            if response.status_code != 404:
                problem(response, 400, code)
    assert AuditEvent.objects.count() == events


@pytest.mark.parametrize("name", sorted(name for name, row in TABLE.items() if "GET" in row.methods))
def test_every_address_refuses_parameters_that_it_does_not_read(admin_user: User, name: str) -> None:
    client = Client()
    client.force_login(admin_user)
    document = problem(client.get(f"{address(name)}?no_such_filter=1"), 400, "invalid_filter")
    assert document["parameter"] == "no_such_filter"


def test_parameters_are_named_with_the_nearest_one_and_given_once(signed_in: Client, version: ModelVersion) -> None:
    document = problem(signed_in.get("/api/model-versions?kategory=disc"), 400, "invalid_filter")
    assert (document["parameter"], document["nearest"]) == ("kategory", "category")
    problem(signed_in.get("/api/model-versions?category=disc&category=ring"), 400, "invalid_filter")
    assert signed_in.get("/api/inspections?outcome=good&outcome=defective").status_code == 200
    body = {"name": "x", "category": "disc", "filters": {"serial_no": "1"}}
    document = problem(post(signed_in, "datasets/from-reviews", body), 400, "invalid_filter")
    assert (document["parameter"], document["nearest"]) == ("serial_no", "serial")
    problem(signed_in.get("/api/status?format=json"), 400, "invalid_filter")


@pytest.mark.parametrize(
    "query", ["audit-events?since=", "audit-events/export?until=", "retention-runs?dry_run=", "inspections?since="]
)
def test_an_empty_parameter_is_refused_and_not_left_out(admin_user: User, query: str) -> None:
    client = Client()
    client.force_login(admin_user)
    document = problem(client.get(f"/api/{query}"), 400, "invalid_filter")
    assert document["parameter"] in query
    assert "is empty" in document["detail"]


def test_fields_of_fields_are_read_as_well(signed_in: Client, version: ModelVersion, worker: None) -> None:
    body: dict[str, Any] = {
        "dataset": "disc",
        "algorithm": "padim",
        "calibration": {"method": "percentile", "percentil": 90},
    }
    document = problem(post(signed_in, "training-runs", body), 400, "unknown_field")
    assert (document["field"], document["nearest"]) == ("calibration.percentil", "percentile")
    post(signed_in, "load_model", {})
    record = signed_in.post("/api/test_image", {"image": upload(parts.png(1))}).json()["inspection_id"]
    body = {"verdict": "defective", "regions": [{"x": 1, "y": 1, "width": 2, "height": 2, "colour": "red"}]}
    document = problem(post(signed_in, f"inspections/{record}/reviews", body), 400, "unknown_field")
    assert document["field"] == "regions[0].colour"


def test_a_field_is_given_once(signed_in: Client, deployment: Deployment, worker: None) -> None:
    twice = {"image": upload(parts.png(1)), "serial_number": ["1", "2"]}
    assert problem(signed_in.post("/api/test_image", twice), 400, "repeated_field")["field"] == "serial_number"
    form = "threshold=1&threshold=2"
    response = signed_in.post("/api/load_model", form, content_type="application/x-www-form-urlencoded")
    problem(response, 400, "repeated_field")
    many = {"images": [upload(parts.png(1)), upload(parts.png(2))], "wait": "5"}
    assert signed_in.post("/api/batches", many).json()["total"] == 2


def test_the_token_of_a_browsers_form_is_no_unknown_field(signed_in: Client, deployment: Deployment) -> None:
    said = {"csrfmiddlewaretoken": "x", "model_version": "0"}
    problem(signed_in.post("/api/load_model", said), 404, "model_version_not_found")


def test_the_nearest_name_shares_its_words() -> None:
    known = ("lot", "part_number", "serial_number", "model_version")
    found = {name: nearest_name(name, known) for name in ("lot_number", "LotNo", "number", "version_id", "", "ä", "_")}
    assert found["lot_number"] == found["LotNo"] == "lot"
    assert found["version_id"] == "model_version"
    assert found["number"] in ("part_number", "serial_number")
    assert nearest_name("x", ()) is None


# ---------------------------------------------------------------- several images
@pytest.mark.parametrize("names", [("image", "image"), ("image", "photo"), ("image", "mask")])
def test_two_files_in_a_request_for_one_image(
    signed_in: Client, deployment: Deployment, worker: None, names: tuple[str, str]
) -> None:
    sent: list[tuple[bytes, bytes]] = [
        (f'name="{name}"; filename="{index}.png"'.encode(), parts.png(index)) for index, name in enumerate(names)
    ]
    document = problem(send(signed_in, "/api/test_image", *sent), 400, "several_images")
    assert "several are a batch" in document["detail"]
    assert ", ".join(names) in document["detail"]
    assert send(signed_in, "/inspect", *sent).status_code == 400
    assert not Asset.objects.exists()


def test_two_archives_or_a_file_that_nothing_reads(signed_in: Client, deployment: Deployment) -> None:
    two = [(b'name="archive"; filename="a.zip"', b"PK"), (b'name="archive"; filename="b.zip"', b"PK")]
    for path in ("/api/datasets", "/api/batches"):
        assert problem(send(signed_in, path, *two), 400, "repeated_field")["field"] == "archive"
        document = problem(
            send(signed_in, path, (b'name="zip_archive"; filename="a.zip"', b"PK")), 400, "unknown_field"
        )
        assert document["nearest"] == "archive"


# ---------------------------------------------------------------- bytes that are not UTF-8
def test_latin_1_in_a_file_name_is_repaired_and_in_a_field_refused(
    signed_in: Client, deployment: Deployment, worker: None
) -> None:
    name = b'name="image"; filename="Teil\xe4.png"'
    assert send(signed_in, "/api/test_image", (name, parts.png(1))).json()["filename"] == "Teilä.png"
    document = problem(
        send(signed_in, "/api/test_image", IMAGE, (b'name="station"', b"Pr\xfcfstand")), 400, "unreadable_text"
    )
    assert document["field"] == "station"
    declared = b'name="station"\r\nContent-Type: text/plain; charset=iso-8859-1'
    judged = send(signed_in, "/api/test_image", IMAGE, (declared, b"Pr\xfcfstand")).json()
    assert judged["station"] == "Prüfstand"
    page = send(signed_in, "/inspect", IMAGE, (b'name="station"', b"Pr\xfcfstand"))
    assert page.status_code == 400
    assert "station cannot be read as utf-8" in page.content.decode()
    assert Inspection.objects.count() == 2


def test_text_is_utf_8_wherever_it_stands(signed_in: Client, deployment: Deployment, operator: User) -> None:
    def refused(response: Any, field: str) -> None:
        assert problem(response, 400, "unreadable_text")["field"] == field

    refused(signed_in.get("/api/inspections?lot=Gr%F6sse"), "lot")
    refused(post(signed_in, "load_model", {"category": "lost \ufffd"}), "category")
    form = "application/x-www-form-urlencoded"
    refused(signed_in.post("/api/load_model", "category=Gr%F6sse", content_type=form), "category")
    page = signed_in.get("/history/?lot=Gr%F6sse")
    assert page.status_code == 400
    assert "lot contains characters that were not UTF-8" in page.content.decode()
    page = signed_in.post("/models/default-category", "category=disc&reason=Gr%F6sse", content_type=form)
    assert page.status_code == 400
    assert "reason contains characters" in page.content.decode()
    response = signed_in.post(
        "/api/test_image", {"image": upload(parts.png(1))}, headers={"Idempotency-Key": "Gr\xf6sse"}
    )
    problem(response, 400, "invalid_idempotency_key")
    document = problem(post(signed_in, "load_model", b'{"category": "Gr\xf6sse"}'), 400, "parse_error")
    assert "UTF-8" in document["detail"]
    body = '\ufeff{"model_version": "0"}'.encode()
    problem(post(signed_in, "load_model", body), 404, "model_version_not_found")


@pytest.mark.parametrize(
    ("content_type", "body", "says"),
    [
        (MULTIPART, b'--x-boundary\nContent-Disposition: form-data; name="a"\n\n1\n--x-boundary--\n', "LF alone"),
        (MULTIPART, b'--x-boundary\r\nContent-Disposition: form-data; name="lot"\r\n\r\nL', "not whole"),
        ("multipart/form-data", b"--x\r\n", "Let the HTTP library set"),
        ("multipart/form-data; boundary=y", b"--x-boundary--\r\n", "does not occur"),
    ],
)
def test_a_broken_multipart_body_is_told_the_cause(
    signed_in: Client, deployment: Deployment, content_type: str, body: bytes, says: str
) -> None:
    document = problem(
        signed_in.generic("POST", "/api/test_image", body, content_type=content_type), 400, "malformed_multipart"
    )
    assert says in document["detail"]
    assert "Nothing was kept" in document["detail"]
    page = signed_in.generic("POST", "/inspect", body, content_type=content_type)
    assert page.status_code == 400
    assert says in page.content.decode()


# ---------------------------------------------------------------- sentences
def test_sentences_name_the_cause_and_the_remedy(signed_in: Client, deployment: Deployment) -> None:
    def detail(response: Any) -> str:
        return str(response.json()["detail"])

    said = detail(signed_in.post("/api/test_image", {"lot": "1"}))
    assert said == "image: is missing; send a file in the multipart field of this name."
    assert "filename" in detail(signed_in.post("/api/test_image", {"image": "text"}))
    said = detail(signed_in.post("/api/test_image", {"image": upload(parts.png(1)), "anomaly_map": "big"}))
    assert said == "anomaly_map: must be one of full, url, none, not big."
    assert "multipart/form-data" in detail(post(signed_in, "test_image", {}))
    assert "Possible: POST" in detail(signed_in.get("/api/test_image"))
    assert "Bearer TOKEN" in detail(Client().get("/api/status"))
    assert "application/json" in detail(signed_in.get("/api/status", headers={"Accept": "text/csv"}))
    assert "line 1, column 2" in detail(post(signed_in, "load_model", "{"))
    assert detail(post(signed_in, "load_model", [])).startswith("The body must be a JSON object")
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username="olga"))
    assert "X-CSRFToken" in detail(client.post("/api/load_model"))


_FRAMEWORK = re.compile(r"this field|not a valid|Ensure |Expected a|submitted|valid (integer|number|boolean)", re.I)


def test_no_field_speaks_the_frameworks_words() -> None:
    def shapes(of: type[serializers.Serializer]) -> Iterator[type[serializers.Serializer]]:
        for shape in of.__subclasses__():
            yield shape
            yield from shapes(shape)

    inputs = [
        shape for shape in shapes(serializers.Serializer) if shape.__name__.endswith(("Input", "Query", "Filters"))
    ]
    assert len(inputs) > 20
    assert set(VIEWS) == set(ENDPOINTS), "all views, and with them all shapes, are imported"
    for shape in inputs:
        for name, field in {"": shape(), **shape().fields}.items():
            for sentence in field.error_messages.values():
                assert not _FRAMEWORK.search(str(sentence)), (shape.__name__, name, sentence)


def test_a_host_name_that_is_not_ours_names_the_setting(signed_in: Client) -> None:
    for path in ("/api/status", "/"):
        response = signed_in.get(path, headers={"Host": "inspect-pc:8101"})
        assert response.status_code == 400
        said = response.content.decode()
        assert "inspect-pc" in said
        assert "ALLOWED_HOSTS" in said
    problem(signed_in.get("/api/status", headers={"Host": "inspect-pc:8101"}), 400, "host_not_allowed")
    said = signed_in.get("/", headers={"Host": "<script>"}).content.decode()
    assert "not a host name" in said
    assert "&lt;script&gt;" not in said


def test_who_lets_others_in_is_told_by_which_names(settings: Any) -> None:
    settings.ALLOWED_HOSTS = ["localhost", "inspect-pc"]
    assert host_names_sentence("127.0.0.1") == ""
    assert "localhost, inspect-pc" in host_names_sentence("0.0.0.0")
    assert "ALLOWED_HOSTS=localhost,inspect-pc," in host_names_sentence("0.0.0.0")
    settings.ALLOWED_HOSTS = ["*"]
    assert host_names_sentence("0.0.0.0") == ""


def test_no_sentence_shows_a_path_of_the_server(
    signed_in: Client, version: ModelVersion, worker: None, settings: Any
) -> None:
    (version.artifact_path / "manifest.json").unlink()
    document = problem(post(signed_in, "load_model", {}), 409, "model_unusable")
    assert str(settings.MODEL_PATH) not in json.dumps(document)


@pytest.mark.parametrize(
    "body",
    [
        r'{"\ud800": 1}',
        r'{"\ud800": 1, "\ud800": 2}',
        r'{"model_version": {"\udfff": 1}}',
        r'{"model_version": "1", "precision": "\ud800"}',
    ],
)
def test_half_a_character_is_refused(signed_in: Client, body: str) -> None:
    """JSON can say it, and no answer could be written with it."""
    problem(post(signed_in, "load_model", body), 400, "unreadable_text")
