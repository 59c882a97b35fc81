"""Parts like a record, where a map on the disk is none."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from inspection.record.similar import _pattern, likeness_of, similar
from modelzoo.models import ModelVersion
from tests.inspection.judging.test_services import inspect

pytestmark = pytest.mark.django_db


def test_a_damaged_map_is_like_nothing_and_is_logged(version: ModelVersion, caplog: pytest.LogCaptureFixture) -> None:
    _pattern.cache_clear()  # a test before it may have read a map of the same name in another folder
    record, intact, damaged = (inspect(version, seed=seed) for seed in (5000, 5001, 5002))
    assert damaged.map is not None
    path = Path(damaged.map.file.path)
    path.chmod(0o600)
    path.write_bytes(b"no map")
    with caplog.at_level(logging.ERROR):
        found = {one.record.pk for one in similar(record)}
    assert damaged.pk not in found
    assert likeness_of(record, intact) is not None
    assert likeness_of(record, damaged) is None
    assert "is damaged" in caplog.text
