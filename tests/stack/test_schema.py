"""Everything the API's schema allows, and what it does not, sent to the running system: no 5xx, no broken promise."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from drf_spectacular.generators import SchemaGenerator
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode, checks

from tests import parts
from tests.stack.conftest import Stack, new_stack, trained

pytestmark = [pytest.mark.stack, pytest.mark.slow]

EXAMPLES = int(os.environ.get("SCHEMA_EXAMPLES", "8"))
# `positive_data_acceptance` is left out: a well-formed id of nothing is rightly refused.
checks.load_all_checks()
CHECKS = checks.CHECKS.get_by_names(
    [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "negative_data_rejection",
        "ignored_auth",
    ]
)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A system that has something of everything, and an admin who may do anything but not too often."""
    with new_stack(trained(), ANSWER_TIMEOUT="20") as made:
        made.manage("shell", "--verbosity", "0", "--command", _ADMIN)
        made.token = made.manage("create_token", "ada", "suite").stdout.strip()
        made.start()
        with made.client() as client:
            assert client.post("/api/load_model", json={}).status_code == 200
            for seed in range(4):
                image = {"image": (f"{seed}.png", parts.png(seed, defective=seed % 2 == 0), "image/png")}
                assert client.post("/api/test_image", files=image, data={"anomaly_map": "none"}).status_code == 200
        yield made


_ADMIN = "from tests.conftest import person; person('ada', 'admin')"


def _operations() -> list[Any]:
    """One for each path and method, from the schema as it is served."""
    document = SchemaGenerator().get_schema(request=None, public=True)
    schema: Any = schemathesis.openapi.from_dict(json.loads(json.dumps(document, default=str)))
    # It would revoke the token that it comes in with.
    schema = schema.exclude(method="DELETE", path_regex="^/api/tokens/")
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["sense", "garbage"])
@pytest.mark.parametrize("operation", _operations(), ids=lambda operation: operation.label)
def test_the_api_keeps_its_promises(operation: Any, mode: GenerationMode, stack: Stack) -> None:
    headers = {"Authorization": f"Bearer {stack.token}"}

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    def check(case: Any) -> None:
        case.call_and_validate(base_url=stack.address, headers=headers, checks=CHECKS)

    check()
