"""What somebody does who can write to the database and the files and has no key; and by which command it is found.

`docs/audit.md` prints the table; test_manipulations.py does each of them, on both databases.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection
from django.utils import timezone

from inspection.audited_rows import expected_inspection
from inspection.models import Inspection
from modelzoo.models import ModelVersion
from records.audit.chain.checkpoints import checkpoint_of
from records.audit.chain.hashes import GENESIS
from records.audit.chain.signing import key_id, pem, public_key_folder
from records.models import Asset, AuditCheckpoint, AuditEvent
from records.trigger_list import installed_triggers
from tests.triggers import without_any_triggers

CHAIN, RECORDS, FILES, OUTSIDE = "verify_audit", "--records", "--files", "checkpoint kept outside"
COLUMNS = (CHAIN, RECORDS, FILES, OUTSIDE)


@dataclass(frozen=True)
class Manipulation:
    """`found_by`: which of `COLUMNS` find it, each by itself. `is_refused`: while the triggers are there."""

    what: str
    do: Callable[[], None]
    found_by: frozenset[str]
    is_refused: bool = False


def _sql(*statements: str) -> Callable[[], None]:
    def run() -> None:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)

    return run


def _last() -> AuditEvent:
    return AuditEvent.objects.order_by("-sequence")[0]


def _forged_event(kind: str, subject: Any, after: dict[str, Any], **other: Any) -> None:
    """At the end of the chain, with the hash that it must have, and an authenticator that he makes up."""
    last = _last()
    event = AuditEvent(
        sequence=last.sequence + 1, at=timezone.now(), actor_name="olga", kind=kind,
        object_type=subject._meta.label_lower, object_id=str(subject.pk), before="null", after=json.dumps(after),
        source="web", request_id="", address="", previous_hash=last.hash, attests="", key_id=last.key_id,
    )  # fmt: skip
    for name, value in other.items():
        setattr(event, name, value)
    event.hash = event.computed_hash()
    event.authenticator = event.key_id and hashlib.sha256(b"a guess").hexdigest()
    event.save(force_insert=True)


def _append_forged_record() -> None:
    record = Inspection.objects.select_related("asset", "map", "request").earliest("created_at")
    request = record.request
    request.pk = request.idempotency_key = None
    request._state.adding = True
    request.save(force_insert=True)
    record.pk, record.request, record.lot = None, request, "forged"
    record.pk = Inspection._meta.pk.get_default()
    record.save(force_insert=True)
    _forged_event("inspection.recorded", record, expected_inspection(Inspection.objects.get(pk=record.pk)))


def _append_without_authenticator() -> None:
    _forged_event("threshold.set", ModelVersion.objects.get(), {}, key_id=None, attests=None)


def _rewrite(*, strip: bool = False) -> None:
    """Every event again, with one changed, all hashes fitting; `strip`: as if the chain were an old one."""
    previous = GENESIS
    AuditEvent.objects.filter(sequence=1).update(actor_name="nobody")
    for event in AuditEvent.objects.order_by("sequence"):
        event.previous_hash = previous
        if strip:
            event.key_id = event.attests = event.authenticator = None
        event.hash = previous = event.computed_hash()
        event.save(force_update=True)


def _rewrite_and_remove_checkpoints() -> None:
    AuditCheckpoint.objects.all().delete()
    AuditEvent.objects.filter(kind="audit.checkpoint_made").update(kind="view.saved")
    _rewrite()


def _rewrite_as_an_old_chain() -> None:
    AuditCheckpoint.objects.all().delete()
    AuditEvent.objects.filter(kind="audit.checkpoint_made").update(kind="view.saved")
    _rewrite(strip=True)


def _rewrite_and_sign() -> None:
    """With a key of his own, which he puts among the public keys."""
    private = Ed25519PrivateKey.generate()
    identity = key_id(private.public_key())
    (public_key_folder() / f"{identity}.pem").write_text(pem(private.public_key()))
    _rewrite()
    for row in AuditCheckpoint.objects.all():
        row.head, row.key_id = AuditEvent.objects.get(sequence=row.sequence).hash, identity
        row.signature = base64.b64encode(private.sign(checkpoint_of(row).signed_text())).decode()
        row.save(force_update=True)


def _cut_off() -> None:
    """The newest event and, with them, the newest checkpoint."""
    newest = AuditCheckpoint.objects.order_by("-sequence")[0]
    AuditCheckpoint.objects.filter(pk=newest.pk).delete()
    AuditEvent.objects.filter(sequence__gte=newest.sequence).delete()


def _image() -> Asset:
    return Inspection.objects.earliest("created_at").asset


def _change_image() -> None:
    name = str(_image().file.name)
    default_storage.delete(name)
    default_storage.save(name, ContentFile(b"another picture"))


def _point_elsewhere() -> None:
    first, second = Asset.objects.filter(content_type="image/png").order_by("pk")[:2]
    Asset.objects.filter(pk=first.pk).update(file=str(second.file.name))


def _remove_map() -> None:
    record = Inspection.objects.filter(map__isnull=False).earliest("created_at")
    assert record.map
    default_storage.delete(str(record.map.file.name))


def _destroy_evidence() -> None:
    image = _image()
    default_storage.delete(str(image.file.name))
    Asset.objects.filter(pk=image.pk).update(discarded_at=timezone.now(), file="")


def _artifact() -> Path:
    return Path(settings.MODEL_PATH) / ModelVersion.objects.get().artifact


def _change_tensors() -> None:
    file = _artifact() / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def _change_manifest() -> None:
    file = _artifact() / "manifest.json"
    file.write_bytes(file.read_bytes() + b"\n")


def _swap_model() -> None:
    _change_manifest()
    sha256 = hashlib.sha256((_artifact() / "manifest.json").read_bytes()).hexdigest()
    ModelVersion.objects.update(artifact_sha256=sha256)


def _drop_triggers() -> None:
    with connection.cursor() as cursor:
        for name, statements in installed_triggers().items():
            table = statements[-1].split(" ON ", 1)[1].split(" ", 1)[0]
            cursor.execute(f"DROP TRIGGER {name}" + (f" ON {table}" if connection.vendor == "postgresql" else ""))


def _make_superuser() -> None:
    User.objects.filter(username="olga").update(is_superuser=True)


def _swap_names() -> None:
    User.objects.filter(username="olga").update(username="x")
    User.objects.filter(username="otto").update(username="olga")
    User.objects.filter(username="x").update(username="otto")


_ALL = frozenset(COLUMNS)
_ROWS, _ON_DISK = frozenset({RECORDS}), frozenset({FILES})
# Triggers are put back afterwards, as a careful person would.
MANIPULATIONS = (
    Manipulation("A record is edited", _sql("UPDATE inspection_inspection SET lot = 'L8'"), _ROWS, True),
    Manipulation(
        "A review is removed, and the standing of its record",
        _sql("DELETE FROM inspection_standing", "DELETE FROM inspection_review"),
        _ROWS,
        True,
    ),
    Manipulation("A threshold is edited", _sql("UPDATE modelzoo_threshold SET value = 99"), _ROWS, True),
    Manipulation("An event is edited", _sql("UPDATE records_auditevent SET kind = 'x' WHERE sequence = 2"), _ALL, True),
    Manipulation("An event is removed", _sql("DELETE FROM records_auditevent WHERE sequence = 2"), _ALL, True),
    Manipulation("A forged record is added, with a forged event at the end", _append_forged_record, _ALL),
    Manipulation("An event without authenticator is added at the end", _append_without_authenticator, _ALL, True),
    Manipulation("Every event is rewritten", _rewrite, _ALL, True),
    Manipulation(
        "Every event is rewritten, and the checkpoints are removed", _rewrite_and_remove_checkpoints, _ALL, True
    ),
    Manipulation(
        "Every event is rewritten as if there had been no authenticators", _rewrite_as_an_old_chain, _ALL, True
    ),
    Manipulation("Every event is rewritten, and signed with a key of one's own", _rewrite_and_sign, _ALL, True),
    Manipulation("The newest events and the newest checkpoint are removed", _cut_off, frozenset({OUTSIDE}), True),
    Manipulation("An image is exchanged", _change_image, _ON_DISK),
    Manipulation("An asset's row points at another file", _point_elsewhere, _ON_DISK),
    Manipulation("A map is removed", _remove_map, _ON_DISK),
    Manipulation("An image is deleted and marked as discarded", _destroy_evidence, _ROWS),
    Manipulation("An artifact differs in one bit", _change_tensors, _ON_DISK),
    Manipulation("A manifest is changed", _change_manifest, _ON_DISK),
    Manipulation("A model is exchanged, and its row", _swap_model, frozenset({RECORDS, FILES})),
    Manipulation("A standing is edited", _sql("UPDATE inspection_standing SET verdict = 'good'"), _ROWS),
    Manipulation(
        "A version's figures are edited", _sql("UPDATE modelzoo_modelversion SET metrics = '{\"auroc\": 1}'"), _ROWS
    ),
    Manipulation("A version's stage is edited", _sql("UPDATE modelzoo_modelversion SET stage = 'archived'"), _ROWS),
    Manipulation(
        "When somebody deployed is edited", _sql("UPDATE modelzoo_deployment SET activated_at = requested_at"), _ROWS
    ),
    Manipulation("A request is edited", _sql("UPDATE inspection_inspectionrequest SET lot = 'L8'"), _ROWS),
    Manipulation("An engineer is made a superuser", _make_superuser, _ROWS),
    Manipulation("Two user names are swapped", _swap_names, _ROWS),
    Manipulation("A password is exchanged", _sql("UPDATE auth_user SET password = 'x'"), _ROWS),
    Manipulation("All triggers are dropped", _drop_triggers, _ALL),
)


def table() -> str:
    """As it stands in docs/audit.md."""
    lines = [
        f"| who has the database and the files, and no key | refused | {' | '.join(_head(name) for name in COLUMNS)} |"
    ]
    lines.append("|---" * (len(COLUMNS) + 2) + "|")
    for one in MANIPULATIONS:
        cells = ["found" if name in one.found_by else "" for name in COLUMNS]
        lines.append(f"| {one.what} | {'yes' if one.is_refused else ''} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _head(name: str) -> str:
    return {CHAIN: "`verify_audit`", RECORDS: "`--records`", FILES: "`--files`", OUTSIDE: name}[name]


def manipulate(one: Manipulation) -> None:
    if one.do is _drop_triggers:
        one.do()
        return
    with without_any_triggers():
        one.do()
