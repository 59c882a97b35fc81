"""What pages know of a request that may have come from htmx."""

from __future__ import annotations

from django.http import HttpRequest
from django_htmx.middleware import HtmxDetails


class HtmxRequest(HttpRequest):
    """A request behind `HtmxMiddleware`: `request.htmx` is true where htmx asks for a part of a page."""

    htmx: HtmxDetails
