"""Settings that contradict each other, or leave a door open."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings

from mvtec_site.health.doctor.findings import Finding, ok, problem, warning

_LOCAL = {"localhost", "127.0.0.1", "[::1]", "::1"}
_MIN_SECRET_KEY = 40


def check_settings() -> Iterator[Finding]:
    found = list(_contradictions())
    yield from found or [ok("settings", "No two settings contradict each other.")]


def _contradictions() -> Iterator[Finding]:
    if settings.DEBUG:
        yield problem("settings", "DEBUG is on: error pages show code and settings to everybody.", "Unset DEBUG.")
    if len(settings.SECRET_KEY) < _MIN_SECRET_KEY:
        yield problem(
            "settings",
            f"SECRET_KEY has fewer than {_MIN_SECRET_KEY} characters: sessions can be forged.",
            "SECRET_KEY=$(python -c 'import secrets; print(secrets.token_urlsafe(64))'); all sign in again.",
        )
    if settings.REDIS_URL and not settings.DATABASE_URL:
        yield warning(
            "settings",
            "REDIS_URL is set and DATABASE_URL is not: SQLite serves the processes of one machine only.",
            "Point DATABASE_URL at PostgreSQL where several machines work together.",
        )
    if settings.DATABASE_URL and not settings.REDIS_URL:
        yield warning(
            "settings",
            "DATABASE_URL is set and REDIS_URL is not: each machine has a broker of its own.",
            "Point REDIS_URL at one broker where several machines work together.",
        )
    if settings.LEASE_SECONDS > settings.ANSWER_TIMEOUT * 4:
        yield warning(
            "settings",
            f"LEASE_SECONDS={settings.LEASE_SECONDS:g} is long beside ANSWER_TIMEOUT={settings.ANSWER_TIMEOUT:g}: "
            "work of a worker that died waits that long.",
            "Lower LEASE_SECONDS.",
        )
    if settings.LOAD_TIMEOUT < settings.ANSWER_TIMEOUT:
        yield warning(
            "settings",
            "LOAD_TIMEOUT is shorter than ANSWER_TIMEOUT: a model that loads slowly is given up before an image is.",
            "Raise LOAD_TIMEOUT.",
        )
    for root in settings.BATCH_ROOTS:
        if not Path(root).is_dir():
            yield warning(
                "settings", f"BATCH_ROOTS names {root}, which is no folder here.", "Mount it, or take it out."
            )
    if settings.METRICS_NETWORKS and settings.HTTPS and not settings.PROXIES:
        yield warning(
            "settings",
            "METRICS_NETWORKS is set behind a proxy that PROXIES does not count: what it forwards is refused.",
            "Set PROXIES to the number of proxies in front, or use METRICS_TOKEN.",
        )


def check_web() -> Iterator[Finding]:
    """HTTPS, host names and proxies."""
    hosts = set(settings.ALLOWED_HOSTS)
    wrong = [origin for origin in settings.CSRF_TRUSTED_ORIGINS if settings.HTTPS and not origin.startswith("https://")]
    found: list[Finding] = []
    if "*" in hosts:
        found.append(
            warning("web", "ALLOWED_HOSTS is *: any name is answered to.", "List the names that the browser shows.")
        )
    if not settings.HTTPS and hosts - _LOCAL:
        found.append(
            warning(
                "web",
                "Others are answered (ALLOWED_HOSTS) without HTTPS: passwords and tokens pass in the clear.",
                "Put a proxy with TLS in front, then HTTPS=1 and PROXIES=1.",
            )
        )
    if settings.HTTPS and not settings.PROXIES:
        found.append(
            warning(
                "web",
                "HTTPS=1 and PROXIES=0: every caller has the proxy's address in the audit log and in lock-outs.",
                "Set PROXIES to the number of proxies in front.",
            )
        )
    if wrong:
        found.append(
            problem(
                "web",
                f"HTTPS=1, and CSRF_TRUSTED_ORIGINS has {', '.join(wrong)}: its forms are refused.",
                "Write the origins with https://.",
            )
        )
    yield from found or [ok("web", "Host names, HTTPS and proxies fit together.")]


def check_mail() -> Iterator[Finding]:
    """Whether the mail server takes connections, where messages go by mail."""
    if not settings.ALARM_EMAILS:
        yield ok("mail", "No alarms go by e-mail (ALARM_EMAILS).")
        return
    host, port = settings.EMAIL_HOST, settings.EMAIL_PORT
    try:
        socket.create_connection((host, port), timeout=3).close()
    except OSError as error:
        yield problem(
            "mail",
            f"The mail server {host}:{port} takes no connection ({error.strerror or error}); alarms are not sent.",
            "Correct EMAIL_HOST and EMAIL_PORT, or start it.",
        )
        return
    yield ok("mail", f"The mail server {host}:{port} takes connections.")
    if settings.EMAIL_HOST_PASSWORD and not settings.EMAIL_USE_TLS and host not in _LOCAL:
        yield warning("mail", "The password of the mail server is sent in the clear.", "Set EMAIL_TLS=1.")


def check_checkpoint_copies() -> Iterator[Finding]:
    folder = settings.AUDIT_CHECKPOINT_DIR
    if not folder:
        yield warning(
            "checkpoints elsewhere",
            "AUDIT_CHECKPOINT_DIR is not set: whoever owns the database could take its newest events away unseen.",
            "Set it to a share that the people who run this system cannot write to a second time (docs/audit.md).",
        )
    elif not Path(folder).is_dir() or not os.access(folder, os.W_OK):
        yield problem(
            "checkpoints elsewhere",
            f"AUDIT_CHECKPOINT_DIR={folder} is no folder that can be written.",
            "Mount it, or correct its permissions.",
        )
    else:
        yield ok("checkpoints elsewhere", "Checkpoints of the audit chain go into AUDIT_CHECKPOINT_DIR, too.")


def check_traces() -> Iterator[Finding]:
    endpoint = settings.OTEL_EXPORTER_OTLP_ENDPOINT
    if not endpoint:
        return
    from importlib.util import find_spec

    if find_spec("opentelemetry") is None:
        yield problem(
            "traces",
            "OTEL_EXPORTER_OTLP_ENDPOINT is set and OpenTelemetry is not installed: no traces are sent.",
            "pip install -r requirements-opentelemetry.txt",
        )
        return
    address = urlsplit(endpoint)
    try:
        socket.create_connection((address.hostname or "", address.port or 4318), timeout=3).close()
    except OSError as error:
        yield warning("traces", f"The collector takes no connection ({error}).", "Start it, or unset the endpoint.")
        return
    yield ok("traces", "The collector of traces takes connections.")
