"""The machine: Python and packages, processor, limits, disk, files that others may read."""

from __future__ import annotations

import os
import resource
import shutil
import socket
import stat
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from django.conf import settings
from packaging.requirements import Requirement

from mvtec_site.health.doctor.findings import Finding, ok, problem, warning

_PYTHONS = ((3, 11), (3, 12), (3, 13))
_FREE_PROBLEM, _FREE_WARNING = 0.03, 0.1


def check_python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] in _PYTHONS:
        yield ok("python", f"Python {version}.")
    else:
        yield problem("python", f"Python {version} is not one that was tested.", "Install Python 3.11, 3.12 or 3.13.")


def check_packages() -> Iterator[Finding]:
    """What requirements.txt asks for, where this is a checkout or an image."""
    path = Path(settings.BASE_DIR) / "requirements.txt"
    lines = [line.partition("#")[0].strip() for line in path.read_text().splitlines()]
    wrong = [text for line in lines if line and (text := _wrong(Requirement(line)))]
    if wrong:
        yield problem(
            "packages", f"Not as requirements.txt says: {', '.join(wrong)}.", "pip install -r requirements.txt"
        )
    else:
        yield ok("packages", "All packages of requirements.txt are installed in versions that it allows.")


def _wrong(requirement: Requirement) -> str:
    try:
        version = metadata.version(requirement.name)
    except metadata.PackageNotFoundError:
        return f"{requirement.name} is missing"
    # A local part, such as +cpu, says which build it is.
    if requirement.specifier.contains(version.partition("+")[0], prereleases=True):
        return ""
    return f"{requirement.name} is {version} instead of {requirement.specifier}"


def check_processor() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    flags = _processor_flags()
    if flags and "avx2" not in flags:
        yield warning(
            "processor",
            f"{cores} cores without AVX2: an image takes several times as long.",
            "Use a processor with AVX2; in a virtual machine, pass the host's processor through.",
        )
        return
    names = [name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in flags]
    yield ok("processor", f"{cores} cores{', ' + ' '.join(names) if names else ''}.")


def _processor_flags() -> set[str]:
    """Empty where they are not known."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return next((set(line.partition(":")[2].split()) for line in lines if line.startswith("flags")), set())


def check_limits() -> Iterator[Finding]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    required = 200 + 3 * settings.WEB_CONNECTIONS
    if hard != resource.RLIM_INFINITY and hard < required:
        yield warning(
            "limits",
            f"A process may open {hard} files, and WEB_CONNECTIONS={settings.WEB_CONNECTIONS} can need {required}: "
            "fewer connections are taken.",
            f"Raise the limit (ulimit -Hn {required}, LimitNOFILE= of systemd), or lower WEB_CONNECTIONS.",
        )
    else:
        yield ok("limits", "A process may open as many files as WEB_CONNECTIONS can need.")


def check_disk() -> Iterator[Finding]:
    disk = shutil.disk_usage(settings.VAR_DIR)
    share = disk.free / disk.total
    text = f"{disk.free / 1e9:,.1f} of {disk.total / 1e9:,.1f} GB are free where VAR_DIR is ({share:.0%})."
    fix = "Set a retention policy (manage.py set_retention), or give the disk more room. A full one refuses images."
    if share < _FREE_PROBLEM:
        yield problem("disk", text, fix)
    elif share < _FREE_WARNING:
        yield warning("disk", text, fix)
    else:
        yield ok("disk", text)


def check_permissions() -> Iterator[Finding]:
    """The state belongs to one account; keys, sessions and records in it are nobody else's."""
    folder = Path(settings.VAR_DIR)
    names = ("secret_key", "audit_key.pem", "db.sqlite3", "demo_login.json", "logs", "media")
    paths = [folder, *(folder / name for name in names), Path(settings.AUDIT_SIGNING_KEY)]
    readable = [path for path in dict.fromkeys(paths) if _is_open(path)]
    for path in readable:
        mode = stat.S_IMODE(path.stat().st_mode)
        wanted = "700" if path.is_dir() else "600"
        yield problem(
            "permissions",
            f"{path} may be read by other accounts of this machine (mode {mode:o}).",
            f"chmod {wanted} {path}",
        )
    foreign = [path for path in paths if path.exists() and path.stat().st_uid != os.geteuid()]
    for path in foreign[:1]:
        yield warning(
            "permissions",
            f"{path} belongs to another account than the one that asks.",
            "Run the services, and this command, as the account that owns VAR_DIR.",
        )
    if not os.access(folder, os.W_OK):
        yield problem("permissions", f"{folder} cannot be written.", f"chown -R {_account()} {folder}")
    elif not readable and not foreign:
        yield ok("permissions", f"{folder} and the keys are for this account alone.")


def _is_open(path: Path) -> bool:
    return path.exists() and bool(path.stat().st_mode & 0o077)


def _account() -> str:
    return str(os.geteuid())


def check_port(port: int) -> Iterator[Finding]:
    """Whether somebody listens at the web server's port, and whether that is this product."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=3) as connection:
            connection.sendall(b"GET /healthz HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
            connection.settimeout(3)
            answer = connection.recv(4096)
    except ConnectionRefusedError:
        yield ok("port", f"Nobody listens at port {port} of this machine: it is free.")
        return
    except OSError:
        answer = b""
    if b" 200 " in answer.split(b"\r\n")[0]:
        yield ok("port", f"A web server answers at port {port}.")
    else:
        yield problem(
            "port",
            f"Something listens at port {port} and does not answer as this web server does.",
            "Stop it, or start this one at another port (--port, --bind, WEB_PORT); ALLOWED_HOSTS needs 127.0.0.1.",
        )
