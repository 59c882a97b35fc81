"""`manage.py doctor`: what is wrong with this installation, and what mends it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from functools import partial, update_wrapper
from typing import Any

from common.commands import ProductCommand
from mvtec_site.health.doctor import backends, configuration, machine, partitions, work
from mvtec_site.health.doctor.backends import with_database
from mvtec_site.health.doctor.findings import Check, Finding, Level, run


class Command(ProductCommand):
    help = "Check this installation and say what to mend. Changes nothing. Exit status 1 where there is a problem."
    requires_migrations_current = False
    requires_system_checks: list[str] = []  # one of them makes folders

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, default=8000, help="at which the web server of this machine listens")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        findings = list(run(_checks(options["port"])))
        counts = Counter(finding.level for finding in findings)
        if options["json"]:
            self.answer(
                {
                    "problems": counts[Level.PROBLEM],
                    "warnings": counts[Level.WARNING],
                    "findings": [vars(finding) for finding in findings],
                }
            )
        else:
            for finding in findings:
                self.stdout.write("\n".join(_lines(finding)))
            self.stdout.write(f"{counts[Level.PROBLEM]} problems, {counts[Level.WARNING]} warnings.")
        if counts[Level.PROBLEM]:
            sys.exit(1)


def _checks(port: int) -> Iterator[Check]:
    yield from (machine.check_python, machine.check_packages, machine.check_processor, machine.check_limits)
    yield from (machine.check_disk, machine.check_permissions)
    yield update_wrapper(partial(machine.check_port, port), machine.check_port)
    yield from (configuration.check_settings, configuration.check_web, configuration.check_mail)
    yield from (configuration.check_checkpoint_copies, configuration.check_traces)
    yield from (backends.check_database, backends.check_broker, backends.check_storage, backends.check_clocks)
    yield from (work.check_weights, work.check_workers, work.check_scheduler)
    of_rows = (work.check_models, work.check_connections, work.check_triggers, partitions.check_partitions)
    yield from map(with_database, (*of_rows, work.check_checkpoints, work.check_backup))


def _lines(finding: Finding) -> Iterator[str]:
    yield f"{finding.level:<8} {finding.topic}: {finding.text}"
    if finding.fix:
        yield f"{'':<8} -> {finding.fix}"
