"""A node with its token, and a record as the node would send it: the test's database is that of both."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from edge.centre.content import package_of
from edge.models import EdgeNode
from edge.nodes.services import create_node
from inspection.models import Inspection
from tests.edge.line import inspected


@dataclass
class Node:
    """What calls the centre, by its token."""

    node: EdgeNode
    token: str
    client: Client = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(headers={"Authorization": f"Bearer {self.token}"})

    def contact(self, **fields: Any) -> Any:
        return self.client.post(
            "/api/edge-nodes/self/contact", {"node": self.node.name, **fields}, content_type="application/json"
        )

    def anchor(self, events: Any) -> Any:
        return self.client.post("/api/edge-nodes/self/anchors", {"events": events}, content_type="application/json")

    def forward(self, record: dict[str, Any] | str, image: bytes, anomaly_map: bytes | None) -> Any:
        files = {"image": SimpleUploadedFile("image", image)}
        if anomaly_map is not None:
            files["map"] = SimpleUploadedFile("map", anomaly_map)
        text = record if isinstance(record, str) else json.dumps(record)
        return self.client.post("/api/edge-nodes/self/records", {"record": text, **files})

    def forward_inspection(self, inspection: Inspection, **changes: Any) -> Any:
        package = package_of(inspection)
        return self.forward(package.document | changes, package.image, package.map)


@pytest.fixture
def node(db: None) -> Node:
    made, token = create_node(name="east", station="east", actor=None)
    return Node(made, token)


@pytest.fixture
def record(worker: None, deployment: Any) -> Inspection:
    """On the node."""
    made = inspected(1, defective=True, station="east", lot="7", serial_number="S1")
    return Inspection.objects.select_related("asset", "map", "threshold", "model_version", "category").get(pk=made.pk)
