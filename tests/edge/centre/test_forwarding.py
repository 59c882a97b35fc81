"""What a node forwards: with the record, held from retention, never given up; and what it does not send on."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from edge.centre import client as client_module
from edge.centre.client import CentreClient
from edge.centre.content import package_of
from edge.centre.receipts import fault_of, keep_receipt
from edge.centre.sender import CentreSender
from edge.centre.services import connect_as_set
from edge.connections.kinds import Figures
from edge.connections.selectors import find_connection, target_of
from edge.connections.services import create_connection
from edge.deliveries.queue import begin, finish, next_in, remove_old
from edge.models import CentreReceipt, Connection, Delivery, HeldFile, Lane
from edge.nodes.services import anchor_chain, create_node
from edge.nodes.wire import event_values
from inspection.models import Inspection
from jobs.outbox import NotReady, NotSent, Refused
from records.assets.models import Asset
from records.models import AuditEvent
from retention.selectors import discardable
from tests.edge.line import inspected
from tests.triggers import without_triggers

pytestmark = [pytest.mark.django_db]
judging = pytest.mark.usefixtures("worker", "deployment")


@pytest.fixture
def centre(db: None) -> Connection:
    return create_connection(
        name="centre",
        kind="centre",
        settings={"url": "https://centre.example", "node_name": "east"},
        secrets={"token": "mvt_of_sixteen_characters"},
        actor=None,
    )


def client_of(connection: Connection) -> CentreClient:
    return CentreClient(target_of(find_connection(connection.pk)))


# ---------------------------------------------------------------- the outbox
@judging
def test_files_are_held_from_retention_until_they_are_forwarded(centre: Connection) -> None:
    record = inspected(1, defective=True, station="east")
    delivery = Delivery.objects.get()
    assert delivery.inspection_id == record.pk
    assert set(HeldFile.objects.values_list("asset", flat=True)) == {record.asset_id, record.map_id}
    from retention.services import set_policy

    set_policy(category=record.category, good_after_days=1, defective_after_days=1, reason="test", actor=None)
    later = timezone.now() + timedelta(days=400)

    def removable() -> set[int]:
        return set(discardable(now=later, orphan_days=0).values_list("pk", flat=True))

    assert not removable()
    assert begin(delivery)
    finish(delivery, NotSent("offline"))
    assert HeldFile.objects.count() == 2
    delivery.refresh_from_db()
    assert begin(delivery)
    finish(delivery, None)
    assert not HeldFile.objects.exists()
    assert removable() == {record.asset_id, record.map_id}
    assert Asset.objects.filter(pk__in=removable()).count() == 2


@judging
def test_what_waits_for_the_centre_is_never_given_up(centre: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    inspected(1, station="east")
    delivery = Delivery.objects.get()
    much_later = timezone.now() + timedelta(days=365 * 5)
    monkeypatch.setattr("edge.deliveries.queue.timezone.now", lambda: much_later)
    for _ in range(70):
        delivery.refresh_from_db()
        assert begin(delivery)
        finish(delivery, NotSent("offline"))
    delivery.refresh_from_db()
    assert (delivery.status, delivery.failures) == ("waiting", 0)
    assert remove_old() == 0


@judging
def test_what_the_centre_cannot_take_yet_is_offered_again_later(centre: Connection) -> None:
    inspected(1, station="east")
    [lane] = Lane.objects.all()
    [delivery] = next_in(lane)
    assert begin(delivery)
    finish(delivery, NotReady("no model", wait=timedelta(seconds=15)))
    assert next_in(lane) == []
    delivery.refresh_from_db()
    assert (delivery.status, delivery.failures, delivery.error) == ("waiting", 0, "no model")


# ---------------------------------------------------------------- what is sent
@judging
def test_a_record_that_was_changed_is_not_sent_on(centre: Connection) -> None:
    record = inspected(1, defective=True, station="east", lot="7")
    assert package_of(record).document["record_id"] == str(record.pk)
    path = Path(record.asset.file.path)
    data = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(Refused, match="another one than its hash says"):
        package_of(record)
    path.write_bytes(data)
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=record.pk).update(lot="8")
    with pytest.raises(Refused, match="was changed after event"):
        package_of(Inspection.objects.get(pk=record.pk))


@judging
def test_an_image_without_a_record_is_done_with(centre: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    inspected(1, station="east")
    delivery = Delivery.objects.get()
    Delivery.objects.filter(pk=delivery.pk).update(inspection=None, event="no_verdict")
    sent: list[Any] = []
    monkeypatch.setattr(CentreClient, "send_record", lambda self, *words: sent.append(words))
    sender = CentreSender(target_of(find_connection(centre.pk)), Figures())

    class Message:
        delivery_id = str(delivery.pk)

    sender.send(Message())  # type: ignore[arg-type]
    assert sent == []


def answer(status: int, **document: Any) -> Any:
    from common.web.outgoing import Answer

    return Answer(status, json.dumps(document) if document else "<html>", None)


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (answer(422, code="node_record_invalid", detail="x"), Refused),
        (answer(409, code="node_record_differs", detail="x"), Refused),
        (answer(409, code="node_model_unknown", detail="x"), NotReady),
        (answer(429, code="throttled", detail="x"), NotReady),
        (answer(507, code="storage_failed", detail="x"), NotReady),
        (answer(401, code="authentication_failed", detail="x"), NotSent),
        (answer(403, code="node_disabled", detail="x"), NotSent),
        (answer(503, code="database_unavailable", detail="x"), NotSent),
        (answer(404), NotSent),
        (answer(502), NotSent),
        (answer(200), NotSent),
        (answer(413), NotSent),
    ],
)
def test_what_an_answer_means(
    centre: Connection, monkeypatch: pytest.MonkeyPatch, given: Any, error: type[Exception]
) -> None:
    """Nothing that a proxy, an outage or a wrong token says makes a dead letter of a record."""
    monkeypatch.setattr(client_module, "post", lambda *words, **how: given)
    with pytest.raises(error) as raised:
        client_of(centre).send_record({}, b"", None)
    assert type(raised.value) is error


# ---------------------------------------------------------------- receipts
def receipt_of(events: int = 1) -> dict[str, Any]:
    node, _ = create_node(name="east", actor=None)
    said = [event_values(event) for event in AuditEvent.objects.order_by("sequence")[:events]]
    return anchor_chain(node=node, events=said, actor=None)


def test_a_receipt_is_kept_and_checked(settings: Any, tmp_path: Path, db: None) -> None:
    receipt = receipt_of()
    settings.VAR_DIR = tmp_path
    keep_receipt(receipt, node="east")
    keep_receipt(receipt, node="east")
    kept = CentreReceipt.objects.get()
    assert fault_of(kept) == ""
    kept.head = "0" * 64
    assert fault_of(kept) == "its signature does not fit"
    with pytest.raises(NotSent, match="not genuine"):
        keep_receipt(receipt | {"sequence": 99}, node="east")
    with pytest.raises(NotSent, match="not genuine"):
        keep_receipt(receipt, node="west")
    with pytest.raises(NotSent, match="cannot be read"):
        keep_receipt({}, node="east")
    settings.VAR_DIR = tmp_path / "elsewhere"
    assert "is not in centre_public_keys" in fault_of(CentreReceipt.objects.get())


# ---------------------------------------------------------------- the command
def say(*words: str) -> str:
    err = io.StringIO()
    call_command("edge", *words, stdout=io.StringIO(), stderr=err)
    return err.getvalue()


def test_the_connection_is_what_the_environment_says(settings: Any, db: None) -> None:
    assert connect_as_set(actor=None) is None
    settings.EDGE_CENTRE_URL, settings.EDGE_NODE_NAME = "https://centre.example", "east"
    settings.EDGE_CENTRE_TOKEN = "mvt_of_sixteen_characters"
    made = connect_as_set(actor=None)
    assert made
    again = connect_as_set(actor=None)
    assert again
    assert (again.pk, again.revision) == (made.pk, 1)
    settings.EDGE_CENTRE_URL, settings.EDGE_CENTRE_TOKEN = "https://other.example", "mvt_another_one_of_them"
    changed = connect_as_set(actor=None)
    assert changed
    assert (changed.pk, changed.settings["url"]) == (made.pk, "https://other.example")
    assert target_of(find_connection(changed.pk)).secret("token") == "mvt_another_one_of_them"
    assert Connection.objects.count() == 1


def test_setup_says_what_is_missing(db: None) -> None:
    with pytest.raises(CommandError, match="Still missing: model, centre"):
        say("--setup")
    assert "No centre" in say("--status")


@judging
def test_verification_without_the_centre(centre: Connection) -> None:
    record = inspected(1, defective=True, station="east", lot="7")
    assert "unbroken" in say("--verify", "--offline")
    with pytest.raises(CommandError, match="could not be asked"):
        say("--verify")
    with without_triggers("inspection_inspection"):
        Inspection.objects.filter(pk=record.pk).update(lot="8")
    with pytest.raises(CommandError, match="changed outside the application"):
        say("--verify", "--offline")


@judging
def test_the_centre_says_whether_a_node_agrees(centre: Connection, db: None) -> None:
    out = io.StringIO()
    call_command("create_node", "west", stdout=out, stderr=io.StringIO())
    assert out.getvalue().startswith("mvt_")
    err = io.StringIO()
    call_command("verify_node", "west", stdout=io.StringIO(), stderr=err)
    assert "0 records of west agree" in err.getvalue()
    with pytest.raises(CommandError, match="There is no edge node north"):
        call_command("verify_node", "north", stdout=io.StringIO(), stderr=io.StringIO())
