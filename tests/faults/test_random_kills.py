"""SIGKILL at random instants of a chain: nothing published is unreadable or lost, and the end is the same to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

PHASES = {"start", "sampling", "checkpoint", "commit", "latents"}


def test_60_kills_at_random_instants(report_of: Callable[..., dict[str, Any]]) -> None:
    report = report_of("kills.py", "random", "FOLDER", "60", "1")
    assert report["count"] >= 60
    assert set(report["phases"]) == PHASES
    assert min(report["phases"].values()) >= 6


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_soak_1000_kills_at_random_instants(report_of: Callable[..., dict[str, Any]], keep: Callable[..., None]) -> None:
    report = report_of("kills.py", "random", "FOLDER", "1000", "2", limit=7000)
    assert report["count"] >= 1000
    assert min(report["phases"].values()) >= 100
    keep("random_kills", report)
