"""Every address with every method, garbage ones too: an answer of 4xx where it is none, and never a 5xx."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.contrib.admindocs.views import simplify_regex
from django.contrib.auth.models import User
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

METHODS = ("OPTIONS", "HEAD", "TRACE", "PATCH", "GARBAGE")


def _patterns(resolver: URLResolver, prefix: str = "") -> Iterator[str]:
    for entry in resolver.url_patterns:
        route = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            yield from _patterns(entry, route)
        elif isinstance(entry, URLPattern):
            yield route


def addresses() -> list[str]:
    found = set()
    for route in _patterns(get_resolver()):
        plain = route.replace("<uuid:", "<67358c99-9052-4e0b-92b8-98400b36614c:")
        plain = re.sub(r"<(67358c99[-0-9a-f]*):[^>]*>", r"\1", plain)
        plain = re.sub(r"/\??\$?$", "", plain) if plain.endswith("?$") else plain
        found.add(re.sub(r"<[^>]*>", "1", simplify_regex(plain)))
    return sorted(found)


@pytest.mark.django_db
@pytest.mark.parametrize("who", ["admin", "nobody"])
def test_no_method_is_a_server_error(client: Client, who: str) -> None:
    if who != "nobody":
        client.force_login(User.objects.create_user("somebody", is_superuser=who == "admin"))
    client.raise_request_exception = False
    known = [address for address in addresses() if not address.startswith("/admin/")]
    assert len(known) > 200
    failures = [
        (method[:10], address, status)
        for address in known
        for method in METHODS
        if (status := client.generic(method, address).status_code) >= 500 and status != 503
    ]
    assert failures == []
