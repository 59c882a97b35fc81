"""The life of a model on real images, from its training to its way back: `python -m tests.stack.lifecycle` prints it.

`docs/lifecycle.md` has what it printed; `tests/stack/test_lifecycle.py` runs it and checks what came of it. Images:
monocrystalline solar cells of the wheel `elpv-dataset`. Everything goes over HTTP, as four people would do it.
"""

from __future__ import annotations

import io
import json
import random
import shutil
import sys
import tempfile
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import httpx
from PIL import Image, ImageFilter

from tests.stack.conftest import Stack, new_stack, peopled, wait_for
from training.datasets.layouts.elpv import write_elpv_mono

CATEGORY, STATION = "cells", "press 4"
OPTIONS = {"backbone": "efficientnet_lite0", "image_size": 96}
CALIBRATION = {"method": "conformal", "false_reject_rate": 0.05}
PEOPLE = {"ina": "engineer", "vera": "engineer", "otto": "operator", "audra": "auditor"}
# Kinds of events that are in the transcript; all others, such as the records, are in the log only.
SHOWN: tuple[str, ...] = (
    "alarm",
    "approval",
    "challenger",
    "comparison",
    "containment",
    "dataset",
    "deployment",
    "model_version",
)
SHOWN += ("promotion_gates", "reference_part", "threshold", "training_run")


@dataclass
class Story:
    """What happened, as lines to read, and the values a test checks."""

    stack: Stack
    clients: dict[str, httpx.Client]
    lines: list[str] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    parts: int = 0
    is_shown: bool = False  # at once, while it happens

    def chapter(self, title: str) -> None:
        self.note(f"\n# {title}")

    def note(self, text: str) -> None:
        self.lines.append(text)
        if self.is_shown:
            sys.stdout.write(text + "\n")

    def call(self, who: str, method: str, path: str, expected: int = 200, quiet: bool = False, **request: Any) -> Any:
        """One request of a person, in the transcript unless it is `quiet`; its answer."""
        answer = self.clients[who].request(method, f"/api/{path}", **request)
        assert answer.status_code == expected, f"{method} {path}: {answer.status_code} {answer.text}"
        is_json = "json" in answer.headers.get("content-type", "")
        body: Any = answer.json() if is_json and answer.content else answer.content
        if not quiet:
            sent = f" {json.dumps(request['json'], ensure_ascii=False)}" if "json" in request else ""
            self.note(f"{who}$ {method} /api/{path}{sent}")
            if answer.is_error:
                self.note(f"  {answer.status_code} {body['code']}: {body['detail']}")
        return body

    def inspect(self, image: bytes, name: str, *, serial_number: str = "", lot: str = "L-1") -> dict[str, Any]:
        self.parts += 1
        data = {"station": STATION, "lot": lot, "serial_number": serial_number or f"SN-{self.parts:04}"}
        files = {"image": (name, image, "image/png")}
        record: dict[str, Any] = self.call(
            "otto", "POST", "test_image", 200, True, files=files, data=data | {"anomaly_map": "none"}
        )
        return record


@dataclass
class Cells:
    """The images by what they are used for. `line` are those that come down the line, with the truth about each."""

    training: list[Path]
    evaluation: list[tuple[Path, bool]]
    line: list[tuple[Path, bool]]
    reference: tuple[Path, Path]  # a good and a defective cell

    @classmethod
    def of(cls, folder: Path) -> Cells:
        learnt, good, bad = (
            sorted((folder / name).glob("*.png")) for name in ("train/good", "test/good", "test/defective")
        )
        test = [(path, False) for path in good[:160:4]] + [(path, True) for path in bad[:160:4]]
        passing = [(path, False) for path in learnt[2::4] + learnt[3::4] + good[1:160:4] + good[160:]]
        random.Random(0).shuffle(passing)
        spoilt = iter(bad[162::6])
        line = []
        for number, one in enumerate(passing):
            line.append(one)
            if number % 12 == 5:
                line.append((next(spoilt), True))
        return cls(learnt[::4], test, line, (learnt[1], bad[161]))

    def write(self, folder: Path) -> Path:
        for path in self.training:
            _copy(path, folder / "train" / "good")
        for path, is_defective in self.evaluation:
            _copy(path, folder / "test" / ("defective" if is_defective else "good"))
        return folder


def _copy(path: Path, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(path, folder / path.name)


def out_of_focus(path: Path) -> bytes:
    out = io.BytesIO()
    with Image.open(path) as image:
        image.filter(ImageFilter.GaussianBlur(1.5)).save(out, "PNG")
    return out.getvalue()


# ---------------------------------------------------------------- the chapters
def _people(story: Story) -> None:
    for name, role in PEOPLE.items():
        if name != "ina":  # she is there already
            story.stack.manage("create_user", name, "--role", role, "--password-stdin", typed="a-long-password")
        token = story.stack.manage("create_token", name, "story").stdout.strip()
        headers = {"Authorization": f"Bearer {token}"}
        story.clients[name] = httpx.Client(base_url=story.stack.address, headers=headers, timeout=120)


def _train(story: Story, folder: Path) -> int:
    story.chapter("ina trains version 1")
    story.stack.manage("import_dataset", str(folder))
    story.note(
        f"  data set {folder.name}: {len(list(folder.rglob('train/*/*.png')))} good cells to learn from, "
        f"{len(list(folder.rglob('test/*/*.png')))} to evaluate on"
    )
    asked = {"dataset": CATEGORY, "algorithm": "padim", "options": OPTIONS, "calibration": CALIBRATION}
    run = story.call("ina", "POST", "training-runs", 202, json=asked)
    return _trained(story, run["id"])


def _trained(story: Story, run_id: int) -> int:
    def ended() -> Any:
        run = story.call("ina", "GET", f"training-runs/{run_id}", quiet=True)
        return run if run["status"] not in ("queued", "running") else None

    run = wait_for(ended, 240, story.stack.log.read_text)
    assert run["status"] == "succeeded", run
    version: int = run["model_version"]
    image = story.call("ina", "GET", f"model-versions/{version}/metrics", quiet=True)["metrics"]["image"]
    story.note(
        f"  version {version}: image AUROC {image['auroc']:.3f}, recall {image['recall']:.3f}, "
        f"false-reject rate {image['false_reject_rate']:.3f} at its threshold"
    )
    return version


def _release(story: Story, version: int) -> None:
    story.chapter("Somebody else approves it, and it goes into production")
    approval, reason = f"model-versions/{version}", {"reason": "figures and misses looked at"}
    story.call("ina", "POST", f"{approval}/approve", 403, json=reason)
    story.call("ina", "POST", f"{approval}/promote", 409, json={"reason": "line 4 starts"})
    story.call("vera", "POST", f"{approval}/approve", json=reason)
    story.call("ina", "POST", f"{approval}/promote", json={"reason": "line 4 starts"})


def _reference_parts(story: Story, cells: Cells) -> None:
    story.chapter("Two reference parts prove the station")
    golden, known_bad = cells.reference
    judged = {
        name: story.inspect(path.read_bytes(), path.name, serial_number=name)
        for name, path in (("GOLD-1", golden), ("BAD-1", known_bad))
    }
    for name, record in judged.items():
        score, expected = record["score"], record["outcome"]
        body = {
            "category": CATEGORY,
            "serial_number": name,
            "expected": expected,
            "lowest_score": round(score * 0.97, 4),
            "highest_score": round(score * 1.03, 4),
            "note": "of the sample box",
        }
        story.call("vera", "POST", "reference-parts", 201, json=body)
    _check_reference_parts(story, {"GOLD-1": golden.read_bytes(), "BAD-1": known_bad.read_bytes()}, "proven")


def _check_reference_parts(story: Story, images: dict[str, bytes], state: str) -> None:
    for name, image in images.items():
        record = story.inspect(image, f"{name}.png", serial_number=name)
        story.note(f"  otto inspects {name}: {record['outcome']}, score {record['score']:.3f}")

    def is_so() -> bool:
        states = story.call("audra", "GET", "station-states", quiet=True)["stations"]
        return any(row["station"] == STATION and row["state"] == state for row in states)

    wait_for(is_so, 60, lambda: str(story.call("audra", "GET", "station-states", quiet=True)))
    story.note(f"  {STATION} is {state}")


def _inspect(story: Story, parts: list[tuple[Path, bool]], lot: str) -> list[tuple[dict[str, Any], bool]]:
    records = [(story.inspect(path.read_bytes(), path.name, lot=lot), truth) for path, truth in parts]
    rejected = sum(record["outcome"] == "defective" for record, _ in records)
    story.note(f"  otto inspects {len(records)} cells of lot {lot}: {rejected} rejected")
    return records


def _review(story: Story, records: list[tuple[dict[str, Any], bool]], count: int) -> None:
    """The parts nearest to the threshold, with what is known of them."""
    nearest = sorted(records, key=lambda pair: abs(pair[0]["score"] - pair[0]["threshold"]))[:count]
    overruled = 0
    for record, is_defective in nearest:
        says = {"verdict": "defective", "defect_type": "crack"} if is_defective else {"verdict": "good"}
        review = story.call("otto", "POST", f"inspections/{record['inspection_id']}/reviews", 201, True, json=says)
        overruled += not review["agrees"]
    story.note(f"  otto reviews the {count} cells nearest to the threshold: {overruled} were judged wrong")


def _retrain(story: Story) -> int:
    story.chapter("Version 2 learns from what was reviewed")
    run = story.call("ina", "POST", f"categories/{CATEGORY}/retrain", 202)
    story.note(
        f"  data set {run['dataset']}: {run['added_good']} reviewed good cells more to learn from, "
        f"{run['added_test_good'] + run['added_defective']} more to evaluate on"
    )
    version = _trained(story, run["run_id"])

    def compared() -> Any:
        rows = story.call("ina", "GET", f"comparisons?model_version={version}", quiet=True)["results"]
        return rows[0] if rows and rows[0]["status"] not in ("queued", "running") else None

    comparison = wait_for(compared, 120, story.stack.log.read_text)
    assert comparison["status"] == "finished", comparison
    figures = comparison["figures"]
    story.note(
        f"  on {figures['images']} images that neither has learnt version {version} is wrong "
        f"{figures['candidate']['wrong']} times, version {comparison['production']} "
        f"{figures['production']['wrong']} times (McNemar's p {figures['mcnemar_p_value']:.2f})"
    )
    story.facts["comparison"] = comparison
    return version


def _challenge(story: Story, version: int, parts: list[tuple[Path, bool]]) -> str:
    story.chapter("It scores the line's images beside version 1, and decides nothing")
    asked = {"model_version": version, "reason": "to see it on live cells"}
    challenger: str = story.call("ina", "POST", "challengers", 202, json=asked)["challenger_id"]
    _inspect(story, parts, "L-2")
    _look_at_disagreements(story, challenger, len(parts))
    return challenger


def _look_at_disagreements(story: Story, challenger: str, count: int) -> None:
    def scored() -> Any:
        now = story.call("ina", "GET", f"challengers/{challenger}", quiet=True)
        return now if now["scored"] + now["failed"] >= count else None

    now = wait_for(scored, 90, lambda: str(story.call("ina", "GET", f"challengers/{challenger}", quiet=True)))
    assert not now["failed"], now
    rows = story.call("otto", "GET", f"challengers/{challenger}/disagreements?looked_at=false", quiet=True)["results"]
    for row in rows:
        body = {"comment": "looked at on the bench"}
        story.call("otto", "POST", f"challenger-results/{row['id']}/mark", 201, True, json=body)
    story.note(f"  {now['scored']} cells scored by both, otto looks at the {len(rows)} about which they disagree")
    story.facts["scored"], story.facts["disagreements"] = now["scored"], now["disagreements"]


def _refuse_and_adjust(story: Story, version: int, challenger: str, parts: list[tuple[Path, bool]]) -> None:
    story.chapter("A promotion gate refuses it, until its threshold is another one")
    gates = {
        "dataset_name": CATEGORY,
        "min_recall": 0.95,
        "max_false_reject_rate": 0.05,
        "min_challenger_images": len(parts),
        "reason": "what the customer asks for",
    }
    promote, reason = f"model-versions/{version}/promote", {"reason": "it learnt more cells"}
    story.call("vera", "PUT", f"categories/{CATEGORY}/promotion-gates", json=gates)
    _evaluate(story, version)
    story.call("vera", "POST", f"model-versions/{version}/approve", json={"reason": "compared with version 1"})
    refused = [story.call("ina", "POST", promote, 409, json=reason)]
    threshold = story.call("ina", "GET", f"thresholds?model_version={version}", quiet=True)["results"][0]["value"]
    lower = {
        "model_version": version,
        "value": round(threshold * 0.8, 3),
        "reason": "most of the reviewed cells that were judged wrong had passed",
    }
    story.call("ina", "POST", "thresholds", 201, json=lower)
    refused.append(story.call("ina", "POST", promote, 409, json=reason))
    _evaluate(story, version)
    _inspect(story, parts, "L-3")
    _look_at_disagreements(story, challenger, story.facts["scored"] + len(parts))
    story.call("ina", "POST", promote, json=reason)
    story.facts["refused"] = [problem["detail"] for problem in refused]


def _evaluate(story: Story, version: int) -> None:
    done = story.stack.json("evaluate", "--model-version", str(version), "--dataset", CATEGORY)
    image = done["image"]
    story.note(
        f"ina$ manage.py evaluate --model-version {version} --dataset {CATEGORY}\n"
        f"  recall {image['recall']:.3f}, false-reject rate {image['false_reject_rate']:.3f}"
    )


def _drift(story: Story, parts: list[tuple[Path, bool]]) -> None:
    story.chapter("The camera gets out of focus")
    before = {alarm["id"] for alarm in _alarms(story)}
    for path, _ in parts:
        story.inspect(out_of_focus(path), path.name, lot="L-2")
    story.note(f"  otto inspects {len(parts)} cells of lot L-2")
    opened = wait_for(lambda: [alarm for alarm in _alarms(story) if alarm["id"] not in before], 60, str)
    story.facts["drift_alarm"] = opened
    for alarm in opened:
        story.note(f"  alarm: {alarm['sentence']}")
    story.call("otto", "POST", f"alarms/{opened[0]['id']}/acknowledge")


def _alarms(story: Story) -> list[dict[str, Any]]:
    alarms: list[dict[str, Any]] = story.call("otto", "GET", "alarms", quiet=True)["results"]
    return alarms


def _fail_reference_parts(story: Story, cells: Cells) -> None:
    story.chapter("A reference part fails")
    images = dict(zip(("GOLD-1", "BAD-1"), map(out_of_focus, cells.reference), strict=True))
    _check_reference_parts(story, images, "failed")


def _contain(story: Story, escape: dict[str, Any]) -> None:
    """`escape`: the record of a cell that passed and has a crack, as its buyer found."""
    story.chapter("What else may have escaped")
    found = {"verdict": "defective", "defect_type": "crack", "comment": "the customer found it"}
    story.call("otto", "POST", f"inspections/{escape['inspection_id']}/reviews", 201, json=found)
    asked = {"inspection_id": escape["inspection_id"], "reason": "the customer found a crack", "min_likeness": 0.3}
    started = story.call("ina", "POST", "containments", 202, json=asked)
    identity = started["containment_id"]

    def over() -> Any:
        now = story.call("ina", "GET", f"containments/{identity}", quiet=True)
        return now if now["status"] not in ("queued", "running") else None

    ended = wait_for(over, 60, story.stack.log.read_text)
    story.facts["containment"] = ended
    story.note(
        f"  {ended['passed']} cells passed since the last {ended['since_what']}, {ended['listed']} are alike; "
        f"SHA-256 of the signed list: {ended['list_sha256'][:16]}..."
    )
    story.facts["containment_csv"] = story.call("ina", "GET", f"containments/{identity}/csv", quiet=True)


def _roll_back(story: Story, first: int) -> None:
    story.chapter("Back to version 1")
    reason = {"reason": "until the camera is mended, as before"}
    back = story.call("ina", "POST", f"categories/{CATEGORY}/rollback", json=reason)
    assert back["model_version"] == first, back


def _report(story: Story) -> None:
    story.chapter("The report of the shift")
    report = story.call("audra", "GET", f"report?kind=shift&category={CATEGORY}")
    story.facts["report"] = report
    counts, rate = report["counts"], report["counts"]["defect_rate"]
    story.note(
        f"  {counts['records']} inspected, {counts['defective']} rejected "
        f"({rate['value']:.1%}, 95 % interval {rate['low']:.1%} to {rate['high']:.1%})"
    )


def _trail(story: Story) -> None:
    story.chapter("Who did what, and that nothing was changed")
    story.facts["events"] = events = [
        json.loads(line) for line in story.stack.manage("export_audit").stdout.splitlines()
    ]
    shown = (event for event in events if event["kind"].partition(".")[0] in SHOWN)
    for (who, kind), group in groupby(shown, key=lambda event: (event["actor_name"] or "the system", event["kind"])):
        first, *more = group
        story.note(f"  {first['sequence']:>5}  {who:<10} {kind}{f' ({1 + len(more)} times)' if more else ''}")
    story.facts["verified"] = story.stack.manage("verify_audit", "--records", "--files").stderr.strip()
    story.note(f"audra$ manage.py verify_audit --records --files\n  {story.facts['verified']}")


def tell(stack: Stack, *, is_shown: bool = False) -> Story:
    story = Story(stack, {}, is_shown=is_shown)
    _people(story)
    with tempfile.TemporaryDirectory(prefix="cells-") as folder:
        cells = Cells.of(write_elpv_mono(Path(folder)))
        first = _train(story, cells.write(Path(folder) / CATEGORY))
        _release(story, first)
        _reference_parts(story, cells)
        story.chapter("A day on the line")
        records = _inspect(story, cells.line[:200], "L-1")
        _review(story, records, 20)
        second = _retrain(story)
        challenger = _challenge(story, second, cells.line[200:230])
        _refuse_and_adjust(story, second, challenger, cells.line[230:260])
        _drift(story, cells.line[260:310])
        _fail_reference_parts(story, cells)
        _contain(story, min((record for record, truth in records if truth), key=lambda record: record["score"]))
        _roll_back(story, first)
        _report(story)
        _trail(story)
    return story


def main() -> None:
    with new_stack(peopled(), REQUIRE_APPROVAL="true", DATABASE_URL="") as stack:
        stack.start()
        tell(stack, is_shown=True)


if __name__ == "__main__":
    main()
