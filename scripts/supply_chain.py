"""What a release is made of, and what is known against it: a CycloneDX bill of materials and an audit of dependencies.

    .venv/bin/python scripts/supply_chain.py              # dist/mvtec-inspection-VERSION.cdx.json, then the audit
    .venv/bin/python scripts/supply_chain.py --strict     # for a release: fails too where nothing could be audited

Both read requirements.lock, which is what the image and `make setup LOCKED=1` install. Exit status 1: a version that is
locked has a known vulnerability. Without a network the audit says so and does not fail.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
OSV = "https://api.osv.dev/v1/query"


def write_bill_of_materials(folder: Path) -> Path:
    """The bill of materials of the locked requirements, under our own name and version; checked by its schema."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{project['name']}-{project['version']}.cdx.json"
    program = Path(sys.executable).parent / "cyclonedx-py"
    subprocess.run(
        [
            *(str(program), "requirements", str(LOCK), "--pyproject", str(ROOT / "pyproject.toml")),
            *("--mc-type", "application", "--output-reproducible", "--validate", "--output-file", str(path)),
        ],
        check=True,
    )
    return path


def audit(osv_url: str) -> tuple[list[str], int, int]:
    """Vulnerabilities as sentences, how many packages were looked up, and how many there are."""
    command = [
        *(sys.executable, "-m", "pip_audit", "--requirement", str(LOCK), "--require-hashes", "--disable-pip"),
        *("--progress-spinner", "off", "--format", "json", "--vulnerability-service", "osv", "--osv-url", osv_url),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    try:
        packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = done.stderr.strip().splitlines()[-1:] or ["pip-audit said nothing"]
        print(f"The audit did not come to an end: {last[0]}", file=sys.stderr)  # noqa: T201 - a script
        return [], 0, 0
    found = [
        f"{package['name']} {package['version']}: {flaw['id']}"
        f" (mended in {', '.join(flaw['fix_versions']) or 'no version yet'})"
        for package in packages
        for flaw in package.get("vulns", [])
    ]
    return found, sum("skip_reason" not in package for package in packages), len(packages)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Bill of materials and audit of the locked requirements.")
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="folder of the bill (default: dist)")
    parser.add_argument("--osv-url", default=OSV, help="the vulnerability database (default: %(default)s)")
    parser.add_argument("--strict", action="store_true", help="fail where not every package could be audited")
    options = parser.parse_args(words)
    print(f"Bill of materials: {write_bill_of_materials(options.output)}")  # noqa: T201
    found, audited, of = audit(options.osv_url)
    for sentence in found:
        print(sentence)  # noqa: T201
    if not audited or audited < of:
        print(f"NOT AUDITED: {of - audited if of else 'all'} packages; is there a network? Try again with one.")  # noqa: T201
    if audited:
        print(f"{audited} of {of} packages audited, {len(found)} known vulnerabilities.")  # noqa: T201
    return 1 if found or (options.strict and (not audited or audited < of)) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
