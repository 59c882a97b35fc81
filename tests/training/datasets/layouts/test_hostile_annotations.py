"""Annotations and tables from strangers: whatever stands in them, they are read, or refused in a sentence."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from common.errors import UserError
from records.assets.selectors import dataset_limits
from tests.layouts import EXAMPLES, put
from training.datasets.layouts.scan import scan

_VALUES: tuple[Any, ...] = (
    None,
    1,
    -1,
    "x",
    "",
    [],
    {},
    [[]],
    [1],
    {"a": 1},
    1e308,
    float("nan"),
    True,
    [["x"] * 6],
    10**400,
)
_WORDS = ("", "9" * 30, "nan", "\0", " ", ",", '"', "<", "-1", "inf", "é", "<!DOCTYPE x>")


def mutated(value: Any, rng: random.Random) -> Any:
    if rng.random() < 0.15:
        return rng.choice(_VALUES)
    if isinstance(value, dict):
        return {key: mutated(inner, rng) for key, inner in value.items()}
    return [mutated(inner, rng) for inner in value] if isinstance(value, list) else value


def damaged(path: Path, text: str, rng: random.Random) -> str:
    if path.suffix in (".json", ".manifest"):
        return "\n".join(json.dumps(mutated(json.loads(line), rng)) for line in text.splitlines())
    letters = list(text)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(letters) + 1)
        letters[at : at + rng.randint(0, 3)] = rng.choice(_WORDS)
    return "".join(letters)


_EXAMPLES = ("coco", "lookout_for_vision", "sagemaker_boxes", "pascal_voc", "yolo", "elpv", "visa")


@pytest.mark.parametrize("name", _EXAMPLES)
def test_damaged_annotations_are_read_or_refused(name: str, tmp_path: Path) -> None:
    folder, rng = EXAMPLES[name].write(tmp_path / "part"), random.Random(name)
    suffixes = (".json", ".manifest", ".xml", ".txt", ".csv", ".yaml")
    texts = {path: path.read_text() for path in sorted(folder.rglob("*")) if path.suffix in suffixes}
    for _ in range(25):
        for path, text in texts.items():
            path.write_text(damaged(path, text, rng))
        with suppress(UserError):
            scan(folder, dataset_limits())


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    folder = EXAMPLES["pascal_voc"].write(tmp_path / "part")
    for number in range(9):
        put(folder / f"Annotations/{number:03}.xml", "<annotation/>")
    for path in folder.rglob("*.xml"):
        path.write_text(f'<!DOCTYPE a [<!ENTITY b "crack">]>{path.read_text().replace("crack", "&b;")}')
    with pytest.raises(UserError, match="was not recognised"):
        scan(folder, dataset_limits())
