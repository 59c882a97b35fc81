"""The split that the system makes: whole groups, the same everywhere, a third of the good images."""

from __future__ import annotations

import hashlib
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from training.datasets.layouts.split import MIN_GOOD_TO_SPLIT, TEST_SHARE, groups_of_parts, held_out, part_names
from training.datasets.layouts.tree import TreeFile


def files(*names: str) -> list[TreeFile]:
    return [TreeFile(Path("/data", name), tuple(name.split("/"))) for name in names]


def images(*names: str) -> list[tuple[TreeFile, str]]:
    return [(file, hashlib.sha256(name.encode()).hexdigest()) for file, name in zip(files(*names), names, strict=True)]


def groups(*names: str) -> set[frozenset[str]]:
    found = groups_of_parts(images(*names))
    return {frozenset(names[position].rpartition("/")[2] for position in group) for group in found}


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.randoms())
@settings(max_examples=60, deadline=None)
def test_groups_stay_whole_and_neither_order_nor_names_matter(parts, random):
    rows = [(f"good/{part}-{number}.png", part) for number, part in enumerate(parts)]
    similar = [[at for at, (_, other) in enumerate(rows) if other == part] for part in set(parts)]
    made = images(*(name for name, _ in rows))
    test = held_out(made, similar)
    assert len(test) <= len(rows) // TEST_SHARE
    assert all(not 0 < len(test & set(group)) < len(group) for group in similar)
    order = list(range(len(rows)))
    random.shuffle(order)
    shuffled = [(TreeFile(Path("/else"), ("ok", f"{at}.png")), made[at][1]) for at in order]
    moved = [[order.index(at) for at in group] for group in similar]
    assert {order[at] for at in held_out(shuffled, moved)} == test


def test_a_third_is_held_out_and_of_very_few_none():
    names = [f"good/{letter * 3}.png" for letter in "abcdefghijklmnopqrstuvwxyzabcd"[: 2 * TEST_SHARE * 4]]
    assert len(held_out(images(*names))) == len(names) // TEST_SHARE
    assert held_out(images(*names[: MIN_GOOD_TO_SPLIT - 1])) == set()


def test_views_of_one_part_are_one_group():
    assert groups("good/000_regular.png", "good/000_overexposed.png", "good/001_regular.png") == {
        frozenset({"000_regular.png", "000_overexposed.png"}),
        frozenset({"001_regular.png"}),
    }
    assert groups("a/exp1_num_7.jpg", "a/exp4_num_7.jpg", "a/exp1_num_8.jpg", "b/exp1_num_7.jpg") == {
        frozenset({"exp1_num_7.jpg", "exp4_num_7.jpg"}),
        frozenset({"exp1_num_8.jpg"}),
        frozenset({"exp1_num_7.jpg"}),
    }
    sheets = [f"good/ND_{sheet:02}_{place}.bmp" for sheet in range(4) for place in range(3)]
    assert {len(group) for group in groups(*sheets)} == {3}


def test_a_running_number_with_the_number_of_the_view_tells_the_part():
    names = [f"MT_Free/exp{view}_num_{number}.jpg" for view, number in ((1, 9031), (2, 9056), (5, 9103), (1, 9838))]
    assert groups(*names) == {
        frozenset({"exp1_num_9031.jpg", "exp2_num_9056.jpg", "exp5_num_9103.jpg"}),
        frozenset({"exp1_num_9838.jpg"}),
    }


def test_ordinary_numbers_are_parts_of_their_own():
    names = [f"ok_front/cast_ok_0_{number}.jpeg" for number in (12, 13, 14, 1018, 1028)]
    assert len(set(part_names(files(*names)))) == len(names)
    numbered = [f"good/{number:03}.png" for number in range(20)]
    assert len(set(part_names(files(*numbered)))) == len(numbered)
