"""`manage.py watch_folder PATH --station S`: inspect files as cameras drop them into a folder."""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import signal
import threading
from argparse import ArgumentParser
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.contrib.auth.models import User

from common.commands import ProductCommand
from common.errors import UserError
from common.rights import Right, require
from inspection.part_layouts.selectors import find_layout
from inspection.watching.services import (
    PART_FIELDS,
    VIEW_FIELDS,
    FileResult,
    TemporarilyUnavailable,
    Watch,
    Watcher,
)
from jobs.metrics import publishing
from modelzoo.selectors import NoModelLoaded, deployment_in_force


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 3600:
        raise argparse.ArgumentTypeError("must be 0 to 3600 seconds")
    return value


class Command(ProductCommand):
    help = (
        "Inspect the images that appear in a folder, each once, with the model in production. Runs until SIGTERM "
        "or Ctrl-C; waits for workers, broker, database and the folder itself while they are away. With --json "
        "it prints one line of JSON for each file, with --once one document. Exit status of --once: 0 when every "
        "complete file has a record, else 1."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path, metavar="PATH")
        parser.add_argument("--station", required=True, help="station of the camera; stored in every record")
        parser.add_argument(
            "--category",
            default="",
            help="whose model judges; required if several are in production and none is the default",
        )
        parser.add_argument("--user", default="", help="operator of the records; needs the right to inspect")
        parser.add_argument(
            "--after",
            choices=["move", "mark", "keep"],
            default="move",
            help=("what to do with a file after it is judged"),
        )
        parser.add_argument(
            "--done-dir", type=Path, help="with move; default PATH/done, refused ones: failed beside it"
        )
        parser.add_argument("--settle", type=_seconds, default=2.0, help="complete when unchanged for so many seconds")
        parser.add_argument(
            "--patience",
            type=_seconds,
            default=300.0,
            help="a file that is cut off, empty or no image yet is refused when unchanged for so many seconds",
        )
        parser.add_argument("--poll", type=_seconds, default=1.0, help="seconds between two scans")
        parser.add_argument("--pattern", default="", help=f"regular expression with groups {', '.join(PART_FIELDS)}")
        parser.add_argument(
            "--layout",
            default="",
            help=f"each file is a view of a part of this layout, which says the categories; --pattern then has the "
            f"groups {', '.join(VIEW_FIELDS)} too",
        )
        parser.add_argument("--recursive", action="store_true", help="also sub-folders")
        parser.add_argument("--once", action="store_true", help="handle the files that are complete now, then end")
        self.json_option(parser)

    def perform(self, **options: Any) -> None:
        watcher = Watcher(_watch(options), self.say)
        with _until_signalled(watcher.stop):
            if options["once"]:
                self._once(watcher, as_json=options["json"])
                return
            publishing.start("watcher")
            self.say(f"Watching {watcher.watch.folder} for {watcher.watch.station}.")
            for result in watcher.run(poll=options["poll"]):
                self.say(_sentence(result))
                if options["json"]:
                    self.stdout.write(json.dumps(result.document))
                    self.stdout.flush()
            self.say("Stopped.")

    def _once(self, watcher: Watcher, *, as_json: bool) -> None:
        files: list[dict[str, Any]] = []
        trouble = ""
        try:
            for result in watcher.once():
                files.append(result.document)
                self.say(_sentence(result))
        except TemporarilyUnavailable as error:
            trouble = str(error)
        statuses = Counter(file["status"] for file in files)
        outcomes = Counter(file["outcome"] for file in files if "outcome" in file)
        summary = {
            **{status: statuses[status] for status in ("inspected", "again", "refused", "unreadable")},
            **{outcome: outcomes[outcome] for outcome in ("good", "defective", "not_comparable")},
            "left": None if trouble else len(watcher.left()),
            "trouble": trouble or None,
        }
        if as_json:
            self.answer(summary | {"files": files})
        if trouble:
            raise UserError(f"{trouble} {len(files)} files were handled; the others stay where they are.")
        if without := statuses["refused"] + statuses["unreadable"]:
            raise UserError(f"{without} of {len(files)} files have no record; the others do.")


def _watch(options: dict[str, Any]) -> Watch:
    folder = options["folder"].absolute()
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder. Nothing is watched.")
    done = options["done_dir"].absolute() if options["done_dir"] else None
    if done and folder.is_relative_to(done):
        raise UserError(f"--done-dir must not be the folder itself or one around it: {done}. Nothing is watched.")
    station = options["station"].strip()
    if not 0 < len(station) <= 100:
        raise UserError("--station must have 1 to 100 characters. Nothing is watched.")
    layout = _layout(options)
    if not layout:
        with contextlib.suppress(NoModelLoaded):  # which is waited for
            deployment_in_force(options["category"])
    return Watch(
        folder=folder,
        station=station,
        category=options["category"],
        actor=_operator(options["user"]),
        after=options["after"],
        done=done,
        settle=options["settle"],
        patience=options["patience"],
        recursive=options["recursive"],
        pattern=_pattern(options["pattern"], views=bool(layout)),
        layout=layout,
    )


def _operator(name: str) -> User | None:
    if not name:
        return None
    user = User.objects.filter(username=name).first()
    if user is None:
        raise UserError(f"There is no user {name}. Nothing is watched.")
    require(user, Right.INSPECT)
    return user


def _layout(options: dict[str, Any]) -> str:
    """The name of the layout of the parts, where files are views; '' where each is a part by itself."""
    if not options["layout"]:
        return ""
    if options["category"]:
        raise UserError("--layout says the category of each view: leave --category out. Nothing is watched.")
    layout = find_layout(options["layout"])
    if not layout.in_use:
        raise UserError(f"Part layout {layout.name} is retired. Nothing is watched.")
    return layout.name


def _pattern(text: str, *, views: bool) -> re.Pattern[str] | None:
    if not text:
        if views:
            raise UserError(f"--layout needs --pattern with the groups {', '.join(VIEW_FIELDS)}. Nothing is watched.")
        return None
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UserError(f"--pattern is not a regular expression ({error}). Nothing is watched.") from error
    named = set(pattern.groupindex)
    allowed = {*PART_FIELDS, *(VIEW_FIELDS if views else ())}
    if not named or not named <= allowed:
        names = ", ".join((*PART_FIELDS, *(VIEW_FIELDS if views else ())))
        raise UserError(f"--pattern must have groups named (?P<name>...), of {names} only.")
    if views and not named >= set(VIEW_FIELDS):
        raise UserError(f"With --layout --pattern must have the groups {', '.join(VIEW_FIELDS)}. Nothing is watched.")
    return pattern


def _sentence(result: FileResult) -> str:
    document = result.document
    if "code" in document:
        sentence = f"{result.status}: {document['detail']}"
    else:
        score = "" if document["score"] is None else f", score {document['score']:.6g}"
        sentence = f"{document['outcome'].replace('_', ' ')}{score}, inspection {document['inspection_id']}"
        if "part_id" in document:
            verdict = document["part_outcome"] or "open"
            sentence += f", part {document['part_id']}: {verdict.replace('_', ' ')}"
        if result.status == "again":
            sentence += " (recorded before)"
    where = f" -> {document['now_at']}" if document["now_at"] else ""
    return f"{document['file']}: {sentence}{where}"


@contextlib.contextmanager
def _until_signalled(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and Ctrl-C end it after the file in hand; a second Ctrl-C at once."""
    before: dict[int, Any] = {}

    def on_signal(number: int, frame: object) -> None:
        stop.set()
        signal.signal(number, before[number])

    for number in (int(signal.SIGTERM), int(signal.SIGINT)):
        before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
