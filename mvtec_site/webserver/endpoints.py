"""What may be sent to which address, and which threads serve it.

The server needs this as soon as a header is there, before anything of Django looks at the request; the middleware
asks it again, for whoever runs the application behind another server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from django.conf import settings

from common.rights import Right


class Lane(StrEnum):
    """Threads that serve one kind of request only, so that no kind can take all of them."""

    HEALTH = "health"  # the process answers; refusals
    CHECKS = "checks"  # readiness, and whether somebody may send a large body
    PAGES = "pages"
    INSPECTION = "inspection"  # waits for an inference worker
    TRANSFER = "transfer"  # uploads of many images, exports


@dataclass(frozen=True)
class Endpoint:
    """`max_body` in bytes; `rights`: who sends more than WEB_MAX_BODY_ANONYMOUS needs one of them, or none: a user."""

    lane: Lane
    max_body: int
    rights: tuple[Right, ...] = ()


@lru_cache(maxsize=1)
def endpoint_table() -> tuple[tuple[re.Pattern[str], Endpoint], ...]:
    small, form = settings.WEB_MAX_BODY_ANONYMOUS, settings.WEB_MAX_BODY
    image = 2 * settings.MAX_FILE_SIZE + form  # what is somewhat too large is told so by upload validation, and audited
    many = settings.BATCH_MAX_BYTES + form
    table = (
        (r"/healthz$", Endpoint(Lane.HEALTH, small)),
        (r"/(readyz|metrics)$", Endpoint(Lane.CHECKS, small)),
        (r"/(login|logout|admin/login|admin/logout)(/|$)", Endpoint(Lane.PAGES, small)),
        (r"/(api/test_image/?|inspect/?)$", Endpoint(Lane.INSPECTION, image, (Right.INSPECT,))),
        (r"/(inspect/[^/]+/again|api/requests/[^/]+/inspect)/?$", Endpoint(Lane.INSPECTION, form, (Right.INSPECT,))),
        (r"/api/edge-nodes/self/records/?$", Endpoint(Lane.TRANSFER, image)),
        (r"/api/edge-nodes/self/anchors/?$", Endpoint(Lane.PAGES, image)),
        (r"/api/load_model/?$", Endpoint(Lane.INSPECTION, form, (Right.DEPLOY,))),
        (r"/api/batches/[^/]+/report", Endpoint(Lane.TRANSFER, form)),
        (r"/(api/)?batches/[^/]+/cancel/?$", Endpoint(Lane.PAGES, form)),  # while others upload
        (r"/(api/batch_test|api/batches|batches)(/|$)", Endpoint(Lane.TRANSFER, many, (Right.INSPECT,))),
        (r"/(api/ignore-masks/?|training/ignored-regions/)$", Endpoint(Lane.PAGES, image, (Right.TRAIN,))),
        (
            r"/(api/calibration-pictures/?|models/scales/[^/]+/picture/?)$",
            Endpoint(Lane.PAGES, image, (Right.TUNE,)),
        ),
        (r"/(api/datasets|datasets)(/|$)", Endpoint(Lane.PAGES, many, (Right.TRAIN,))),
        (
            r"/api/(inspections|audit-events)/export|/api/model-versions/[^/]+/artifact|/api/report/(csv|pdf)",
            Endpoint(Lane.TRANSFER, form),
        ),
    )
    return tuple((re.compile(pattern), endpoint) for pattern, endpoint in table)


def endpoint_of(method: str, path: str) -> Endpoint:
    """The first entry whose pattern an address begins with; what is in none of them takes forms and JSON."""
    path = "/" + path.lstrip("/")
    for pattern, endpoint in endpoint_table():
        if pattern.match(path):
            return _of_method(method, endpoint)
    return Endpoint(Lane.PAGES, settings.WEB_MAX_BODY)


def _of_method(method: str, endpoint: Endpoint) -> Endpoint:
    """Pages beside an upload are pages, and an upload of many images is a transfer wherever it goes."""
    if endpoint.max_body > settings.WEB_MAX_BODY and endpoint.lane in (Lane.PAGES, Lane.TRANSFER):
        lane = Lane.PAGES if method in ("GET", "HEAD", "OPTIONS") else Lane.TRANSFER
        return Endpoint(lane, endpoint.max_body, endpoint.rights)
    return endpoint
