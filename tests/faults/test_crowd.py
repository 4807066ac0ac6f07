"""Eight processes on one store: each key is published once, and everybody reads the same whole bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def test_eight_processes_publish_25_keys(report_of: Callable[..., dict[str, Any]]) -> None:
    report = report_of("crowd.py", "FOLDER", "8", "25")
    assert report["published"] == 25
    assert report["read"] >= 8 * 25 * 2
    assert report["winners"] >= 2


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_soak_eight_processes_publish_200_keys(report_of: Callable[..., dict[str, Any]], keep: Callable[..., None]) -> None:
    report = report_of("crowd.py", "FOLDER", "8", "200", limit=3500)
    assert report["published"] == 200
    assert report["winners"] >= 2
    keep("crowd", report)
