"""What folder names say about the parts in them."""

from __future__ import annotations

import unicodedata
from typing import Literal

import pytest

from training.datasets.layouts.labels import GOOD_WORDS, Reading, reading_of

GOOD = ["good", "ok", "OK", "Good", "good parts", "Good_Parts", "NORMAL", "io", "i.O.", "gut", "Gutteile", "No-Defects"]
GOOD += ["良品", "正常", "годные", "хороший", "sans défaut", "v pořádku", "정상"]
DEFECTS = [
    "scratch",
    "bent",
    "color",
    "thread_top",
    "NOK",
    "not_ok",
    "not good",
    "not_ok2",
    "not_accepted",
    "non-conforming",
    "no_good_parts",
    "rejected_good",
    "bent_defects",
    "n.i.O.",
    "ko",
    "NG",
    "abnormal",
    "划痕",
]
UNCLEAR = ["ok2", "good_old", "Gutteile-neu", "GoodParts2", "MT_Free", "normal (new)", "0", "other", "unsorted"]
# Words that say the opposite alone, and known words with something beside them.
UNCLEAR += ["no_defects_2", "No Defect (old)", "defect_free_2", "ohne_fehler_alt", "not_defective_b", "NoDefects2"]
UNCLEAR += ["accepted_parts", "intact-parts", "fehlerfrei_2", "sin_defectos_2", "bonnes_pièces_2", "无缺陷2"]


@pytest.mark.parametrize("name", GOOD)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_known_words_are_good_in_any_spelling(name: str, form: Literal["NFC", "NFD"]) -> None:
    assert reading_of(unicodedata.normalize(form, name), has_masks=False) is Reading.GOOD


@pytest.mark.parametrize("name", DEFECTS)
def test_names_of_defects_are_defects(name: str) -> None:
    assert reading_of(name, has_masks=False) is Reading.DEFECT


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_can_be_read_either_way_is_asked_unless_masks_tell(name: str) -> None:
    assert reading_of(name, has_masks=False) is Reading.UNDECIDED
    assert reading_of(name, has_masks=True) is Reading.DEFECT
    assert reading_of(name, has_masks=False, good=[name.upper()]) is Reading.GOOD
    assert reading_of(name, has_masks=False, defect=[name]) is Reading.DEFECT


def test_good_parts_with_masks_of_defects_are_asked_about() -> None:
    assert reading_of("ok", has_masks=True) is Reading.UNDECIDED


def test_no_good_word_is_a_bad_one() -> None:
    assert all(reading_of(word, has_masks=False) is Reading.GOOD for word in GOOD_WORDS)
