from collections.abc import Iterator

import pytest

from mvtec_site.health import readiness
from tests.brokers import no_broker, real_broker, valkey

__all__ = ["no_broker", "real_broker", "valkey"]


@pytest.fixture(autouse=True)
def _looked_at_anew() -> Iterator[None]:
    readiness.forget()
    yield
    readiness.forget()
