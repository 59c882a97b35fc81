"""`manage.py doctor` finds each fault that is made here, says what mends it, and changes nothing."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.utils import timezone

from edge.models import ConnectionStatus
from jobs import broker
from jobs.metrics import publishing
from modelzoo.loading import reports
from mvtec_site.health.doctor import backends, configuration, machine, work
from mvtec_site.health.doctor.findings import Finding, Level, run
from records.audit.services import audit
from records.models import AuditCheckpoint
from tests.edge.line import webhook
from tests.environment import ROOT

pytestmark = pytest.mark.django_db


def found(check: Callable[..., Any], *arguments: Any) -> dict[str, list[Finding]]:
    """By level; whoever has something to mend says how."""
    findings = list(check(*arguments))
    assert all(bool(finding.fix) == (finding.level != Level.OK) for finding in findings)
    return {level: [one for one in findings if one.level == level] for level in Level}


def the_one(findings: list[Finding]) -> Finding:
    [only] = findings
    return only


# ---------------------------------------------------------------- the command
def test_a_fresh_folder_is_told_what_to_do_and_nothing_is_made(tmp_path: Path) -> None:
    var_dir = tmp_path / "var"
    environment = os.environ | {"VAR_DIR": str(var_dir), "DATABASE_URL": "", "REDIS_URL": "redis://127.0.0.1:1/0"}
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor", "--json"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert document["problems"] == sum(one["level"] == "problem" for one in document["findings"]) >= 2
    fixes = {one["topic"]: one["fix"] for one in document["findings"] if one["level"] == "problem"}
    assert fixes["database"] == "python manage.py migrate"
    assert "REDIS_URL" in fixes["broker"]
    files = {path.name for path in var_dir.rglob("*") if path.is_file()}
    assert files <= {"secret_key"}  # which every command makes


def test_an_installation_that_runs_has_no_problem(
    real_broker: redis.Redis, deployment: Any, settings: Any, tmp_path: Path
) -> None:
    settings.VAR_DIR = settings.AUDIT_CHECKPOINT_DIR = tmp_path
    tmp_path.chmod(0o700)
    for queue in broker.QUEUES:
        broker.beat(f"{queue}@here", [queue])
    broker.beat_scheduler()
    out = StringIO()
    with Listening(b"HTTP/1.0 200 OK\r\n\r\nok\n") as port:
        call_command("doctor", "--port", str(port), stdout=out)
    text = out.getvalue()
    assert "\n0 problems, " in text
    assert "ok       database: " in text
    assert "ok       models: 1 of the models" in text
    assert "warning  backup: No backup was ever made.\n         -> python manage.py backup" in text


def test_a_check_that_fails_is_a_finding() -> None:
    def check_something() -> Any:
        raise ValueError("surprise")

    finding = the_one(list(run([check_something])))
    assert (finding.level, finding.topic) == (Level.PROBLEM, "something")
    assert "ValueError: surprise" in finding.text


# ---------------------------------------------------------------- the machine
def test_packages(settings: Any, tmp_path: Path) -> None:
    assert found(machine.check_packages)[Level.PROBLEM] == []
    settings.BASE_DIR = tmp_path
    (tmp_path / "requirements.txt").write_text(
        "Django>=99  # too new\nnothing-of-this-name>=1  # gone\nredis>=5  # ok\n"
    )
    text = the_one(found(machine.check_packages)[Level.PROBLEM]).text
    assert "Django is 5." in text
    assert "nothing-of-this-name is missing" in text
    assert "redis" not in text


def test_an_old_python_and_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.sys, "version_info", (3, 9, 1))
    assert "3.9.1" in the_one(found(machine.check_python)[Level.PROBLEM]).text
    monkeypatch.setattr(machine, "_processor_flags", lambda: {"sse4_2"})
    assert "AVX2" in the_one(found(machine.check_processor)[Level.WARNING]).text


def test_open_files(settings: Any) -> None:
    settings.WEB_CONNECTIONS = 10**9
    assert "ulimit" in the_one(found(machine.check_limits)[Level.WARNING]).fix


@pytest.mark.parametrize(("free", "level"), [(50, Level.OK), (8, Level.WARNING), (1, Level.PROBLEM)])
def test_disk(monkeypatch: pytest.MonkeyPatch, free: int, level: Level) -> None:
    monkeypatch.setattr(
        machine.shutil, "disk_usage", lambda path: type("D", (), {"free": free * 10**9, "total": 10**11})
    )
    assert len(found(machine.check_disk)[level]) == 1


def test_files_that_others_may_read(settings: Any, tmp_path: Path) -> None:
    settings.VAR_DIR, settings.AUDIT_SIGNING_KEY = tmp_path, tmp_path / "elsewhere.pem"
    tmp_path.chmod(0o700)
    for name in ("secret_key", "elsewhere.pem", "db.sqlite3"):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(0o600)
    assert found(machine.check_permissions)[Level.PROBLEM] == []
    (tmp_path / "elsewhere.pem").chmod(0o644)
    tmp_path.chmod(0o755)
    fixes = [one.fix for one in found(machine.check_permissions)[Level.PROBLEM]]
    assert fixes == [f"chmod 700 {tmp_path}", f"chmod 600 {tmp_path / 'elsewhere.pem'}"]
    assert (tmp_path / "elsewhere.pem").stat().st_mode & 0o777 == 0o644, "it is said, not done"


class Listening:
    """A server that gives one answer, at a port of its own."""

    def __init__(self, answer: bytes) -> None:
        self._answer, self._socket = answer, socket.create_server(("127.0.0.1", 0))

    def __enter__(self) -> int:
        threading.Thread(target=self._serve, daemon=True).start()
        return int(self._socket.getsockname()[1])

    def _serve(self) -> None:
        connection, _ = self._socket.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(self._answer)

    def __exit__(self, *_: object) -> None:
        self._socket.close()


def test_ports() -> None:
    with Listening(b"HTTP/1.0 200 OK\r\n\r\nok\n") as port:
        assert "answers" in the_one(found(machine.check_port, port)[Level.OK]).text
    with Listening(b"SSH-2.0-x\r\n") as port:
        assert "Something listens" in the_one(found(machine.check_port, port)[Level.PROBLEM]).text
    assert "free" in the_one(found(machine.check_port, port)[Level.OK]).text


# ---------------------------------------------------------------- settings
@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"DEBUG": True}, Level.PROBLEM, "DEBUG is on"),
        ({"SECRET_KEY": "short"}, Level.PROBLEM, "SECRET_KEY"),
        ({"REDIS_URL": "redis://x", "DATABASE_URL": ""}, Level.WARNING, "SQLite"),
        ({"REDIS_URL": "", "DATABASE_URL": "postgresql://x/y"}, Level.WARNING, "REDIS_URL is not"),
        ({"LEASE_SECONDS": 600.0}, Level.WARNING, "LEASE_SECONDS=600"),
        ({"LOAD_TIMEOUT": 1.0}, Level.WARNING, "LOAD_TIMEOUT"),
        ({"BATCH_ROOTS": ["/nowhere/at/all"]}, Level.WARNING, "/nowhere/at/all"),
        ({"METRICS_NETWORKS": ["10.0.0.0/8"], "HTTPS": True, "PROXIES": 0}, Level.WARNING, "METRICS_NETWORKS"),
    ],
)
def test_settings_that_contradict(settings: Any, changes: dict[str, Any], level: Level, words: str) -> None:
    for name, value in ({"REDIS_URL": "", "DATABASE_URL": ""} | changes).items():
        setattr(settings, name, value)
    assert words in the_one(found(configuration.check_settings)[level]).text


@pytest.mark.parametrize(
    ("changes", "level", "words"),
    [
        ({"ALLOWED_HOSTS": ["*"], "HTTPS": True, "PROXIES": 1}, Level.WARNING, "ALLOWED_HOSTS is *"),
        ({"ALLOWED_HOSTS": ["inspect.plant"], "HTTPS": False}, Level.WARNING, "without HTTPS"),
        ({"HTTPS": True, "PROXIES": 0}, Level.WARNING, "PROXIES=0"),
        ({"HTTPS": True, "PROXIES": 1, "CSRF_TRUSTED_ORIGINS": ["http://a"]}, Level.PROBLEM, "http://a"),
        ({"HTTPS": False, "ALLOWED_HOSTS": ["localhost"]}, Level.OK, "fit together"),
    ],
)
def test_hosts_and_proxies(settings: Any, changes: dict[str, Any], level: Level, words: str) -> None:
    for name, value in changes.items():
        setattr(settings, name, value)
    assert words in the_one(found(configuration.check_web)[level]).text


def test_mail(settings: Any) -> None:
    assert len(found(configuration.check_mail)[Level.OK]) == 1
    settings.ALARM_EMAILS, settings.EMAIL_HOST, settings.EMAIL_PORT = ["a@example.org"], "127.0.0.1", 1
    assert "takes no connection" in the_one(found(configuration.check_mail)[Level.PROBLEM]).text
    with Listening(b"220\r\n") as port:
        settings.EMAIL_PORT = port
        assert found(configuration.check_mail)[Level.PROBLEM] == []


def test_copies_of_checkpoints(settings: Any, tmp_path: Path) -> None:
    settings.AUDIT_CHECKPOINT_DIR = ""
    assert len(found(configuration.check_checkpoint_copies)[Level.WARNING]) == 1
    settings.AUDIT_CHECKPOINT_DIR = str(tmp_path / "absent")
    assert len(found(configuration.check_checkpoint_copies)[Level.PROBLEM]) == 1
    settings.AUDIT_CHECKPOINT_DIR = str(tmp_path)
    assert len(found(configuration.check_checkpoint_copies)[Level.OK]) == 1


def test_traces(settings: Any) -> None:
    assert not any(found(configuration.check_traces).values())
    settings.OTEL_EXPORTER_OTLP_ENDPOINT = "http://127.0.0.1:1"
    assert "takes no connection" in the_one(found(configuration.check_traces)[Level.WARNING]).text


# ---------------------------------------------------------------- database, broker, storage, clocks
def test_a_database_that_is_well() -> None:
    assert found(backends.check_database)[Level.PROBLEM] == []


def test_a_migration_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends.MigrationExecutor, "migration_plan", lambda self, targets: [("records.0099_x", False)])
    assert "migrate" in the_one(found(backends.check_database)[Level.PROBLEM]).fix
    checked = backends.with_database(work.check_backup)
    assert not any(found(checked).values())


def test_a_database_that_is_newer_than_the_code() -> None:
    from django.db.migrations.recorder import MigrationRecorder

    MigrationRecorder.Migration.objects.create(app="records", name="9999_from_the_future")
    assert "9999_from_the_future" in the_one(found(backends.check_database)[Level.PROBLEM]).text


def test_a_database_that_does_not_answer() -> None:
    environment = os.environ | {"DATABASE_URL": "postgresql://a:hunter22@127.0.0.1:1/x"}
    done = subprocess.run(
        [sys.executable, "manage.py", "doctor"], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "problem  database: The database does not answer" in done.stdout
    assert "Traceback" not in done.stderr
    assert "hunter22" not in done.stdout + done.stderr


def test_a_broker_that_is_gone(no_broker: None) -> None:
    assert "does not answer" in the_one(found(backends.check_broker)[Level.PROBLEM]).text
    assert not any(found(work.check_workers).values())  # that is said once
    assert not any(found(work.check_scheduler).values())


def test_a_broker_that_forgets(real_broker: redis.Redis) -> None:
    assert found(backends.check_broker)[Level.PROBLEM] == []
    before: Any = real_broker.config_get("maxmemory*")
    real_broker.config_set("maxmemory", "200mb")
    real_broker.config_set("maxmemory-policy", "allkeys-lru")
    real_broker.config_set("appendonly", "no")
    try:
        result = found(backends.check_broker)
    finally:
        for name in ("maxmemory", "maxmemory-policy"):
            real_broker.config_set(name, before[name])
    assert "allkeys-lru" in the_one(result[Level.PROBLEM]).text
    assert "appendonly yes" in the_one(result[Level.WARNING]).fix


def test_storage(settings: Any, tmp_path: Path) -> None:
    assert len(found(backends.check_storage)[Level.OK]) == 1
    (tmp_path / "blocked").write_text("")
    options = {"OPTIONS": {"location": tmp_path / "blocked" / "media"}}
    settings.STORAGES = settings.STORAGES | {"default": settings.STORAGES["default"] | options}
    assert "cannot be stored" in the_one(found(backends.check_storage)[Level.PROBLEM]).text


def test_clocks(real_broker: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(found(backends.check_clocks)[Level.OK]) == 1
    monkeypatch.setattr(backends, "_broker_clock", lambda: time.time() - 60)
    assert "behind" in the_one(found(backends.check_clocks)[Level.PROBLEM]).text


# ---------------------------------------------------------------- the work
def test_models_that_are_damaged_or_cannot_be_loaded(real_broker: redis.Redis, deployment: Any) -> None:
    assert found(work.check_models)[Level.PROBLEM] == []
    broker.beat("inference@here", ["inference"])
    real_broker.hset(reports._KEY, reports._field("here", deployment), "runtime_unavailable")
    assert "runtime_unavailable" in the_one(found(work.check_models)[Level.PROBLEM]).text
    tensors = deployment.model_version.artifact_path / "model.safetensors"
    content = bytearray(tensors.read_bytes())
    content[-1] ^= 1
    tensors.chmod(0o600)
    tensors.write_bytes(content)
    texts = [one.text for one in found(work.check_models)[Level.PROBLEM]]
    assert any("model.safetensors was changed" in text for text in texts)


def test_no_model_is_no_problem_yet(real_broker: redis.Redis) -> None:
    assert "No model" in the_one(found(work.check_models)[Level.WARNING]).text


def test_workers_that_are_missing_or_run_other_code(real_broker: redis.Redis) -> None:
    topics = [one.text for one in found(work.check_workers)[Level.PROBLEM]]
    assert len(topics) == 2
    for queue in broker.QUEUES:
        broker.beat(f"{queue}@here", [queue])
    assert found(work.check_workers)[Level.PROBLEM] == []
    row = {"at": time.time(), "host": "here", "role": "inference", "code": "0.0.1+old"}
    real_broker.hset(publishing.PROCESSES, "here:inference:1", json.dumps(row))
    finding = the_one(found(work.check_workers)[Level.PROBLEM])
    assert "inference on here runs 0.0.1+old" in finding.text


def test_the_scheduler(real_broker: redis.Redis) -> None:
    broker.beat_scheduler()
    assert len(found(work.check_scheduler)[Level.OK]) == 1
    real_broker.delete("scheduler")
    assert "since 2" in the_one(found(work.check_scheduler)[Level.PROBLEM]).text


def test_checkpoints(settings: Any) -> None:
    assert not any(found(work.check_checkpoints).values())  # nothing to sign yet
    audit(kind="sign_out", subject=("x", ""), actor=None)
    assert len(found(work.check_checkpoints)[Level.WARNING]) == 1
    fields = {"head": "0" * 64, "events": 1, "key_id": "k", "signature": "s"}
    AuditCheckpoint.objects.create(sequence=1, at=timezone.now() - timedelta(hours=49), **fields)
    assert "49 hours old" in the_one(found(work.check_checkpoints)[Level.PROBLEM]).text
    AuditCheckpoint.objects.create(sequence=2, at=timezone.now(), **(fields | {"events": 2}))
    assert len(found(work.check_checkpoints)[Level.OK]) == 1


def test_backups(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "ever" in the_one(found(work.check_backup)[Level.WARNING]).text
    audit(kind="backup.made", subject=("backup", ""), actor=None, after={"file": "x"})
    assert len(found(work.check_backup)[Level.OK]) == 1
    later = timezone.now() + timedelta(days=30)
    monkeypatch.setattr(work.timezone, "now", lambda: later)
    assert "days old" in the_one(found(work.check_backup)[Level.WARNING]).text


def test_triggers(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(found(work.check_triggers)[Level.OK]) == 1
    monkeypatch.setattr(work, "trigger_faults", lambda: ["the trigger x is missing"])
    assert "trigger x is missing" in the_one(found(work.check_triggers)[Level.PROBLEM]).text


def test_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from modelzoo.detectors.backbones import weights

    monkeypatch.setattr(weights, "local_backbones", lambda besides: ["efficientnet_lite0"])
    assert len(found(work.check_weights)[Level.WARNING]) == 1
    monkeypatch.setattr(weights, "local_backbones", lambda besides: ["resnet18", "efficientnet_lite0"])
    assert len(found(work.check_weights)[Level.OK]) == 1
    monkeypatch.setattr(weights, "local_backbones", lambda besides: [])
    assert len(found(work.check_weights)[Level.PROBLEM]) == 1


# ---------------------------------------------------------------- connections to the line
@pytest.mark.django_db
def test_connections_that_nobody_keeps_or_that_fail_are_named() -> None:
    assert not any(found(work.check_connections).values())
    connection = webhook()
    assert "No process keeps the connection mes" in the_one(found(work.check_connections)[Level.PROBLEM]).text
    now = timezone.now()
    ConnectionStatus.objects.create(connection=connection, state="failing", since=now, seen_at=now, error="503")
    assert "fails: 503" in the_one(found(work.check_connections)[Level.PROBLEM]).text
    ConnectionStatus.objects.update(state="open")
    assert found(work.check_connections)[Level.PROBLEM] == []
    assert "All of 1" in the_one(found(work.check_connections)[Level.OK]).text
