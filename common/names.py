"""Names that people give to kinds of parts and data sets, and the short form that addresses and folders have."""

from __future__ import annotations

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.utils.text import slugify

MAX_CHARACTERS = 100
# A folder below MODEL_PATH has the name too, and file systems end at 255 bytes.
MAX_BYTES = 240


def normalised(name: str) -> str:
    """The name as it is compared: one form of Unicode (NFKC), lower case, one space between words."""
    return " ".join(unicodedata.normalize("NFKC", name).lower().split())


def short_name(name: str) -> str:
    """Letters and digits of any script, `_`, and one `-` for everything between them: "Gehäuse groß (V2)" becomes
    "gehäuse-groß-v2". Empty where nothing is left, or where it would be too long."""
    letters = (char if _is_letter(char) else "-" for char in normalised(name))
    short = re.sub("-+", "-", "".join(letters)).strip("-")
    return short if len(short) <= MAX_CHARACTERS and len(short.encode()) <= MAX_BYTES else ""


def ascii_name(name: str) -> str:
    """What releases before this one made of a name: without letters that are not Latin."""
    return slugify(name)


def validate_short_name(name: str) -> None:
    """Raises `ValidationError` for anything that `short_name` would not have made."""
    if not name or name != short_name(name):
        raise ValidationError("Use letters and digits of any script in lower case, - and _.")


def _is_letter(char: str) -> bool:
    # Marks belong to letters: without them words of Hindi or Thai would fall together.
    return char == "_" or unicodedata.category(char)[0] in "LMN"
