"""What has to hold whatever was done to the system: asked of its database and its files, not of what it says."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tests.resilience.system import System
from tests.resilience.traffic import Traffic

# Records and requests by lot; files and artifacts whose bytes are not those on record.
_SCRIPT = """
import hashlib, json, sys
from collections import defaultdict
from inspection.models import Inspection, InspectionRequest
from modelzoo.loading.artifact_check import ArtifactFault
from modelzoo.loading.artifact_store import check_artifact
from modelzoo.models import ModelVersion
from records.models import Asset, AuditEvent
from training.models import TrainingRun

def fault_of(version):
    try:
        check_artifact(version)
    except ArtifactFault as fault:
        return str(fault)

def differs(asset):
    try:
        return hashlib.sha256(asset.read()).hexdigest() != asset.sha256
    except OSError:
        return True

records = defaultdict(lambda: defaultdict(list))
for lot, serial, pk in Inspection.objects.exclude(lot="").values_list("lot", "serial_number", "pk"):
    records[lot][serial].append(str(pk))
audited = set(AuditEvent.objects.filter(kind="inspection.recorded").values_list("object_id", flat=True))
open_requests = InspectionRequest.objects.filter(status__in=InspectionRequest.OPEN)
print(json.dumps({
    "records": records,
    "unaudited": [str(pk) for pk in Inspection.objects.values_list("pk", flat=True) if str(pk) not in audited],
    "open": list(open_requests.values_list("lot", flat=True)),
    "files": [asset.file.name for asset in Asset.objects.filter(discarded_at=None) if differs(asset)],
    "artifacts": [fault for fault in map(fault_of, ModelVersion.objects.all()) if fault],
    "runs": list(TrainingRun.objects.values_list("status", flat=True)),
    "versions": ModelVersion.objects.count(),
}))
"""


@dataclass
class Findings:
    """Of all that was sent: what is lost and doubled by lot, and everything else that is wrong, in sentences."""

    lost: dict[str, int] = field(default_factory=dict)
    doubled: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)


def look(system: System) -> dict[str, Any]:
    done = system.stack.manage("shell", "--verbosity", "0", "--command", _SCRIPT)
    content: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return content


def check(system: System, traffics: list[Traffic]) -> Findings:
    """Compares what the clients were told with what is there. The system runs, and nobody sends anything."""
    content, findings = look(system), Findings()
    for traffic in traffics:
        records = content["records"].get(traffic.lot, {})
        told = {answer.key: answer.record for answer in traffic.answers}
        lost = [key for key, record in told.items() if record not in records.get(key, [])]
        findings.lost[traffic.lot] = len(lost) + len(traffic.unanswered)
        findings.doubled[traffic.lot] = sum(len(found) - 1 for found in records.values())
    verified = system.stack.manage("verify_audit", "--records", check=False)
    if verified.returncode:
        findings.problems.append(f"verify_audit --records: {(verified.stdout + verified.stderr).strip()[:300]}")
    for name, sentence in (
        ("unaudited", "records without an audit event"),
        ("open", "requests that are neither judged nor given up"),
        ("files", "files that are not what is on record"),
        ("artifacts", "artifacts that are not whole"),
    ):
        if content[name]:
            findings.problems.append(f"{len(content[name])} {sentence}: {content[name][:3]}")
    stuck = [status for status in content["runs"] if status in ("queued", "running")]
    if stuck:
        findings.problems.append(f"{len(stuck)} training runs are stuck")
    if content["versions"] != content["runs"].count("succeeded"):
        findings.problems.append(f"{content['versions']} model versions of runs that ended: {content['runs']}")
    return findings
