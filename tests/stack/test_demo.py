"""`manage.py demo --exit`: the newcomer's first command, with everything real."""

from __future__ import annotations

import pytest

from tests.stack.conftest import free_port, new_stack

pytestmark = [pytest.mark.stack, pytest.mark.slow]


def test_the_demo_twice() -> None:
    pytest.importorskip("elpv_dataset", reason="the wheel elpv-dataset is not installed")
    with new_stack() as stack:
        first = stack.manage("demo", "--exit", "--port", str(free_port()))
        assert "16 judged, 0 failed" in first.stdout
        script = "from modelzoo.models import ModelVersion as V; print(V.objects.get().metrics['image']['auroc'])"
        assert float(stack.manage("shell", "-v0", "-c", script).stdout) >= 0.75
        stack.start()  # once it uses what runs already, as in production
        again = stack.manage("demo", "--address", stack.address)
        assert "16 judged, 0 failed" in again.stdout
        assert stack.running()
        assert "is here already" in again.stderr
        assert "is trained already" in again.stderr
