"""System checks: what is wrong with the installation is said before anything is changed."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from records.trigger_list import trigger_faults


@register(Tags.files)
def check_var_dir_is_writable(**_: Any) -> list[CheckMessage]:
    messages: list[CheckMessage] = []
    for name in ("VAR_DIR", "MODEL_PATH"):
        folder = Path(getattr(settings, name))
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=folder, prefix=".check-"):
                pass
        except OSError as error:
            messages.append(
                Error(
                    f"{name} must be a folder that can be written; {folder} cannot ({error.strerror or error}).",
                    hint=f"Nothing was changed. Set {name} to another folder or correct its permissions.",
                    id="mvtec.E001",
                )
            )
    return messages


@register(Tags.database)
def check_triggers(databases: Sequence[str] | None = None, **_: Any) -> list[CheckMessage]:
    """Asked with `check --database default`. A database that is yet to be migrated has not all of them."""
    if "default" not in (databases or ()):
        return []
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        return []
    return [
        Error(
            f"The database does not protect its records: {fault}.",
            hint="Find out who changed it. manage.py restore_triggers puts it back; manage.py verify_audit --records "
            "--files says what was changed meanwhile.",
            id="mvtec.E002",
        )
        for fault in trigger_faults()
    ]


@register(Tags.security, deploy=True)
def check_production_settings(**_: Any) -> list[CheckMessage]:
    """What a production installation must decide for itself."""
    messages: list[CheckMessage] = []
    if settings.ENV.entries["SECRET_KEY"].source == "default":
        messages.append(
            Warning(
                "SECRET_KEY is not set; the key in VAR_DIR is used.",
                hint="With several web servers all must share one SECRET_KEY.",
                id="mvtec.W001",
            )
        )
    if not settings.DATABASE_URL:
        messages.append(
            Warning(
                "DATABASE_URL is not set; SQLite serves one machine only.",
                hint="Point DATABASE_URL at PostgreSQL.",
                id="mvtec.W002",
            )
        )
    return messages
