"""Short names: letters of every script stay, and they are stable."""

from __future__ import annotations

import unicodedata

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from common.names import MAX_BYTES, short_name, validate_short_name


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("Gehäuse groß (V2)", "gehäuse-groß-v2"),
        (unicodedata.normalize("NFD", "Gehäuse"), "gehäuse"),
        ("螺丝1", "螺丝1"),
        ("螺丝", "螺丝"),
        ("पेंच", "पेंच"),
        ("\uff33crew\u3000v1.2", "screw-v1-2"),
        ("solar_cell", "solar_cell"),
        ("..", ""),
        ("🔩", ""),
        ("x" * 101, ""),
        ("螺" * 90, ""),
    ],
)
def test_short_names(name: str, short: str) -> None:
    assert short_name(name) == short


@given(st.text(max_size=120))
def test_a_short_name_is_its_own_and_safe_in_addresses_and_folders(name: str) -> None:
    short = short_name(name)
    assert short_name(short) == short
    assert len(short.encode()) <= MAX_BYTES
    assert not set(short) & set("/\\.?#%& \0\n")
    if short:
        validate_short_name(short)


def test_other_names_are_not_valid() -> None:
    for name in ("", "A", "a b", "a/b"):
        with pytest.raises(ValidationError):
            validate_short_name(name)
