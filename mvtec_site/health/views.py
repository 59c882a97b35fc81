"""/healthz, /readyz and /metrics."""

from __future__ import annotations

import hmac
import ipaddress

from django.conf import settings
from django.contrib.auth.decorators import login_not_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.http import require_safe
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from common.api import problems
from common.context import address_of
from mvtec_site.health import readiness
from mvtec_site.health.collector import Collector

_collector = Collector()


@login_not_required
def healthz(request: HttpRequest) -> HttpResponse:
    """The process answers."""
    return HttpResponse("ok\n", content_type="text/plain")


@login_not_required
def readyz(request: HttpRequest) -> JsonResponse:
    """What has to answer so that images are judged: true or false for each; 503 where one does not.

    `failing` says of those why, and since when. A worker that hangs gives no sign of life: what judges gives them, not
    what feeds it.
    """
    states = readiness.states()
    document: dict[str, object] = {name: state.ok for name, state in states.items()}
    failing = {name: {"reason": state.reason, "since": state.since} for name, state in states.items() if not state.ok}
    if failing:
        document["failing"] = failing
    return JsonResponse(document, status=503 if failing else 200)


@login_not_required
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Figures for Prometheus, for whoever has the token or asks from one of the networks; else nobody."""
    if not (_has_token(request) or _is_in_network(request)):
        refusal = problems.response(
            401 if settings.METRICS_TOKEN else 403,
            "metrics_not_allowed",
            "These figures are for the monitoring system: it sends METRICS_TOKEN as bearer token, or asks from one of "
            "METRICS_NETWORKS.",
        )
        if settings.METRICS_TOKEN:
            refusal["WWW-Authenticate"] = "Bearer"
        return refusal
    return HttpResponse(generate_latest(_collector), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return bool(settings.METRICS_TOKEN) and (
        scheme.lower() == "bearer" and hmac.compare_digest(token.strip().encode(), settings.METRICS_TOKEN.encode())
    )


def _is_in_network(request: HttpRequest) -> bool:
    """By the peer's address, or what PROXIES of ours saw. A proxy that PROXIES does not know speaks for anybody."""
    if not settings.PROXIES and ("X-Forwarded-For" in request.headers or "Forwarded" in request.headers):
        return False
    try:
        address = ipaddress.ip_address(address_of(request))
    except ValueError:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return any(address in ipaddress.ip_network(network) for network in settings.METRICS_NETWORKS)
