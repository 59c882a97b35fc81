"""The page of edge nodes: what everybody sees, and what administrators do there."""

from __future__ import annotations

import re

import pytest
from django.contrib.auth.models import User
from django.test import Client

from edge.models import EdgeNode
from tests.edge.nodes.conftest import Node

pytestmark = pytest.mark.django_db


def test_everybody_sees_how_nodes_are(node: Node, signed_in: Client) -> None:
    assert "never heard" in signed_in.get("/nodes/").content.decode()
    node.contact(waiting=1234)
    EdgeNode.objects.update(refusal="It has no such model.", refused_at="2026-01-01T00:00:00Z")
    page = signed_in.get("/nodes/").content.decode()
    assert "online" in page
    assert "1,234" in page
    assert "It has no such model." in page
    assert "New token" not in page
    assert signed_in.post("/nodes/new", {"name": "west"}).status_code == 403
    assert signed_in.post(f"/nodes/{node.node.pk}/act", {"action": "disable"}).status_code == 403


def test_an_administrator_makes_and_disables_them(administrator: User) -> None:
    client = Client()
    client.force_login(administrator)
    made = client.post("/nodes/new", {"name": "west", "station": "w"})
    assert "no-store" in made["Cache-Control"]
    [token] = re.findall(r'value="(mvt_[^"]+)"', made.content.decode())
    node = EdgeNode.objects.get()
    assert Node(node, token).contact().status_code == 200
    assert client.post("/nodes/new", {"name": "west"}).status_code == 409
    assert client.post("/nodes/new", {"name": "Not a name"}).status_code == 422
    assert client.post(f"/nodes/{node.pk}/act", {"action": "disable"}).status_code == 302
    assert Node(node, token).contact().json()["code"] == "node_disabled"
    assert client.post(f"/nodes/{node.pk}/act", {"action": "enable"}).status_code == 302
    again = client.post(f"/nodes/{node.pk}/act", {"action": "token"})
    [other] = re.findall(r'value="(mvt_[^"]+)"', again.content.decode())
    assert Node(node, token).contact().status_code == 401
    assert Node(node, other).contact().status_code == 200
    assert client.post(f"/nodes/{node.pk}/act", {"action": "explode"}).status_code == 404
    assert client.post("/nodes/999/act", {"action": "token"}).status_code == 404
