"""How the schema tells of idempotency keys: what a caller sends, and what says that an answer is repeated."""

from __future__ import annotations

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter

from inspection.judging.idempotency import HEADER, REPLAYED

KEY = OpenApiParameter(
    HEADER,
    # Blanks at the ends would not arrive.
    {"type": "string", "minLength": 1, "maxLength": 200, "pattern": r"^[!-~]([ -~]*[!-~])?$"},
    OpenApiParameter.HEADER,
    description="The same key, from the same caller, for the same request: it is done once, and answered alike.",
)
REPLAY = OpenApiParameter(
    REPLAYED,
    OpenApiTypes.STR,
    OpenApiParameter.HEADER,
    description="`true` where the answer repeats that of an earlier request with the same key.",
    response=[200],
)
