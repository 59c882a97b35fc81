"""Keys of records that sort by time, and that no random key can lie between.

UUIDs of version 8 (RFC 9562, section 5.8), bits from the left:

    48  the letters "inspec", the same in every key
     4  version, 8
    12  milliseconds since 1970, the upper of 42 bits (until 2109)
     2  variant, 0b10
    30  milliseconds since 1970, the lower bits
    32  random; counted on from the last one within a millisecond of one process

Why not version 7: its time stands in the first bits, where the keys of older records (version 4) are random, so that
any range of months has some of them in it. A range of these keys has none: the first 48 bits of all keys in it are the
same, and then the version differs (docs/adr/0020-a-month-is-a-range-of-keys.md).
"""

from __future__ import annotations

import secrets
import threading
from datetime import UTC, datetime, timedelta
from uuid import UUID

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_PREFIX = int.from_bytes(b"inspec", "big") << 80
_LOW_BITS, _TAIL_BITS = 30, 32
_TIME_BITS = 12 + _LOW_BITS
_VERSION, _VARIANT = 8 << 76, 0b10 << 62
_MAX_STEP = 256
# No key of `time_ordered_key` lies outside, and no UUID of another version inside; the second one is not part of it.
ALL_KEYS = (UUID(int=_PREFIX | _VERSION), UUID(int=_PREFIX | (9 << 76)))

_lock = threading.Lock()
_last = (-1, 0)  # milliseconds and tail of this process's last key


def time_ordered_key(at: datetime | None = None) -> UUID:
    """A key of this moment (without one: now): larger than all of earlier milliseconds.

    Those of one millisecond are larger than the ones that the same process made in it before; other processes' are
    told apart by chance (1 in 4 billion), and by the primary key.
    """
    global _last
    with _lock:
        milliseconds = _milliseconds(at or datetime.now(UTC))  # read here: threads are not to overtake each other
        before, tail = _last
        # The first one of a millisecond leaves the upper half of the tails to those that come after.
        tail = tail + 1 + secrets.randbelow(_MAX_STEP) if milliseconds == before else secrets.randbits(_TAIL_BITS - 1)
        if tail >> _TAIL_BITS:
            raise OverflowError("more than eight million keys of one millisecond")
        _last = (milliseconds, tail)
    return UUID(int=_of(milliseconds) | tail)


def first_key(at: datetime) -> UUID:
    """The bound of a moment: keys of its millisecond and later ones are not below it, earlier ones are."""
    return UUID(int=_of(_milliseconds(at)))


def moment_of(key: UUID) -> datetime | None:
    """To the millisecond, when a key was made; None where it is of another kind, as those of older records are."""
    if not ALL_KEYS[0] <= key < ALL_KEYS[1]:
        return None
    upper, lower = key.int >> 64 & 0xFFF, key.int >> _TAIL_BITS & (1 << _LOW_BITS) - 1
    return _EPOCH + (upper << _LOW_BITS | lower) * _MILLISECOND


def short_key(text: object) -> str:
    """By what people tell a key from others on a page: its last eight digits, which are random in every kind."""
    return str(text)[-8:]


def _milliseconds(at: datetime) -> int:
    milliseconds = (at - _EPOCH) // _MILLISECOND
    if not 0 <= milliseconds < 1 << _TIME_BITS:
        raise ValueError(f"{at.isoformat()} is not between 1970 and 2109")
    return milliseconds


def _of(milliseconds: int) -> int:
    upper, lower = milliseconds >> _LOW_BITS, milliseconds & (1 << _LOW_BITS) - 1
    return _PREFIX | _VERSION | upper << 64 | _VARIANT | lower << _TAIL_BITS
