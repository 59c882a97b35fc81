"""Tests of the detectors. The package is imported before torch, because it chooses how torch's threads wait."""

import modelzoo.detectors  # noqa: F401
