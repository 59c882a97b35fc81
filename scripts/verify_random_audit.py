#!/usr/bin/env python3
"""Verify the export of a random audit without the system: `python verify_random_audit.py EXPORT.json [options]`.

Needs Python 3.9 or newer and nothing else. It says what holds, and ends with 1 where something does not.

    --log LOG.jsonl            an export of the audit log: each part is in it, and none of the shift is left out
    --checkpoint CHECK.json    a checkpoint that was kept elsewhere: its event has the same hash in the log (with --log)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Sequence
from decimal import ROUND_CEILING, Decimal
from pathlib import Path
from typing import Any

Object = dict[str, Any]  # as JSON has them

HASHED = (
    *("sequence", "at", "actor_id", "actor_name", "kind", "object_type", "object_id", "before", "after"),
    *("source", "request_id", "address", "previous_hash"),
)
HASHED_WITH_KEY = (*HASHED, "attests", "key_id")  # where the event has a key


class Wrong(Exception):
    """What does not hold."""


def expect(holds: bool, sentence: str) -> None:
    if not holds:
        raise Wrong(sentence)


def event_hash(event: Object) -> str:
    """SHA-256 over the fields of an audit event, in this order, as a JSON array without blanks."""
    names = HASHED if event.get("key_id") is None else HASHED_WITH_KEY
    text = json.dumps([event[name] for name in names], ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def population_hash(population: list[Object]) -> str:
    lines = "".join(f"{one['inspection_id']} {one['outcome']} {one['event_hash']}\n" for one in population)
    return hashlib.sha256(lines.encode()).hexdigest()


def draw(population: list[Object], seed: str, passed: int, rejected: int) -> list[str]:
    """The parts with the lowest hashes of seed and id: so many of those judged good, and of those judged defective."""
    ranked = sorted(population, key=lambda one: hashlib.sha256(f"{seed} {one['inspection_id']}".encode()).hexdigest())
    good = [one["inspection_id"] for one in ranked if one["outcome"] == "good"][:passed]
    defective = [one["inspection_id"] for one in ranked if one["outcome"] == "defective"][:rejected]
    drawn = {*good, *defective}
    return [one["inspection_id"] for one in ranked if one["inspection_id"] in drawn]


def verify(export: Object) -> list[str]:
    """Raises `Wrong`. Returns what holds, in sentences."""
    expect(export.get("format") == "random-audit-1", "this is not the export of a random audit")
    closing, population = export["closing_event"], export["population"]
    expect(event_hash(closing) == closing["hash"], "the closing event was changed")
    expect(closing["kind"] == "audited_shift.closed", "the closing event closes no shift")
    fixed = json.loads(closing["after"])
    expect(
        population_hash(population) == fixed["population_sha256"],
        "the parts are not those that the closing event fixed: one was added, removed or changed",
    )
    counts = {verdict: sum(one["outcome"] == verdict for one in population) for verdict in ("good", "defective")}
    expect(counts == {"good": fixed["passed"], "defective": fixed["rejected"]}, "the counts of the parts differ")
    percent = Decimal(fixed["percent"])
    share = int((fixed["passed"] * percent / 100).to_integral_value(ROUND_CEILING))
    number = min(fixed["passed"], max(share, fixed["at_least"] if percent else 0))
    expect(fixed["draws"] == number, f"{fixed['draws']} parts were drawn, and the plan asks for {number}")
    expect(
        fixed["controls"] == min(fixed["rejected"], fixed["planned_controls"] if number else 0),
        "another number of rejected parts was mixed in than the plan asks for",
    )
    expect(export["seed"] == closing["hash"], "the seed is not the hash of the closing event")
    drawn = draw(population, export["seed"], fixed["draws"], fixed["controls"])
    expect(drawn == export["drawn"], "the drawn parts are not those that the seed gives")
    held = {}
    for event in export["decision_events"]:
        expect(event_hash(event) == event["hash"], f"decision event {event['sequence']} was changed")
        expect(event["sequence"] > closing["sequence"], f"decision event {event['sequence']} is older than the draw")
        after = json.loads(event["after"])
        expect(after["inspection"] not in held, f"part {after['inspection']} was decided twice")
        held[after["inspection"]] = after["verdict"]
    decisions = {one["inspection_id"]: one["verdict"] for one in export["decisions"]}
    expect(decisions == held, "the decisions are not those of their audit events")
    expect(set(decisions) <= set(drawn), "a part was decided that was not drawn")
    passed = {one["inspection_id"] for one in population if one["outcome"] == "good"}
    verdicts = [decisions.get(one, "open") for one in drawn if one in passed]
    figures = export["figures"]
    for name in ("good", "defective", "doubtful", "open"):
        expect(figures[name] == verdicts.count(name), f"the number of {name} parts differs")
    return [
        f"Shift {fixed['number']} of {fixed['category']}, {fixed['starts_at']} to {fixed['ends_at']}, closed "
        f"{closing['at']} by event {closing['sequence']}.",
        f"{len(population)} judged parts ({fixed['passed']} passed) are those that the event fixed.",
        f"{fixed['draws']} passed and {fixed['controls']} rejected parts are those that its hash draws.",
        ", ".join(f"{verdicts.count(name)} {name}" for name in ("good", "defective", "doubtful", "open"))
        + " among the passed ones, as their events say.",
    ]


def verify_in_log(export: Object, path: str, checkpoint: Object | None) -> list[str]:
    """The same events are in an unbroken log, and no judged part of the shift is missing in the export."""
    fixed, closing = json.loads(export["closing_event"]["after"]), export["closing_event"]
    known = {one["event_hash"]: one for one in export["population"]}
    versions, judged, previous, found, count = set(), [], "", set(), 0
    with Path(path).open(encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            expect(
                not previous or event["previous_hash"] == previous,
                f"the log is broken at event {event['sequence']}",
            )
            expect(event_hash(event) == event["hash"], f"event {event['sequence']} of the log was changed")
            previous, count = event["hash"], count + 1
            found.add(event["hash"])
            if checkpoint and event["sequence"] == checkpoint["sequence"]:
                expect(event["hash"] == checkpoint["head"], "the log is not the one that the checkpoint saw")
            if event["kind"] == "inspection.recorded" and (
                fixed["first_sequence"] <= event["sequence"] <= fixed["last_sequence"]
            ):
                after = json.loads(event["after"])
                if event["hash"] in known:
                    versions.add(after["model_version"])
                    expect(after["outcome"] == known[event["hash"]]["outcome"], "a verdict differs from its event")
                    expect(
                        event["object_id"] == known[event["hash"]]["inspection_id"], "a part is not that of its event"
                    )
                if after["outcome"] in ("good", "defective"):
                    judged.append((event["hash"], after["model_version"]))
    missing = set(known) - found
    expect(not missing, f"{len(missing)} parts of the export are not in the log")
    left_out = [one for one, version in judged if version in versions and one not in known]
    expect(not left_out, f"{len(left_out)} parts that the log has are left out of the export")
    for event in (closing, *export["decision_events"]):
        expect(event["hash"] in found, f"event {event['sequence']} of the export is not in the log")
    return [f"All of it is in the log of {count} unbroken events, and no part of the shift is left out."]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("export")
    parser.add_argument("--log")
    parser.add_argument("--checkpoint")
    options = parser.parse_args(arguments)
    try:
        export = json.loads(Path(options.export).read_text("utf-8"))
        checkpoint = json.loads(Path(options.checkpoint).read_text("utf-8")) if options.checkpoint else None
        sentences = verify(export)
        if options.log:
            sentences += verify_in_log(export, options.log, checkpoint)
        sys.stdout.write("\n".join([*sentences, "Verified."]) + "\n")
    except Wrong as wrong:
        sys.stderr.write(f"NOT verified: {wrong}.\n")
        return 1
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        sys.stderr.write(f"NOT verified: the files cannot be read ({type(error).__name__}: {error}).\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
