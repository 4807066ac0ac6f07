"""Holders of a lease that stood still, and clocks that jump: nothing wrong is published, no checkpoint spoiled, nothing live collected."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def test_four_holders_that_stood_still(report_of: Callable[..., dict[str, Any]]) -> None:
    report = report_of("sleepers.py", "stop", "FOLDER", "4", "1")
    assert sum(report["outcomes"].values()) == 4


def test_four_jumps_of_the_clock(report_of: Callable[..., dict[str, Any]]) -> None:
    report = report_of("sleepers.py", "clock", "FOLDER", "4", "1")
    assert any(outcome.startswith("alive,") for outcome in report["outcomes"])
    assert any(outcome.startswith("killed,") for outcome in report["outcomes"])


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_soak_100_holders_that_stood_still(report_of: Callable[..., dict[str, Any]], keep: Callable[..., None]) -> None:
    keep("stopped_holders", report_of("sleepers.py", "stop", "FOLDER", "100", "2", limit=7000))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_soak_100_jumps_of_the_clock(report_of: Callable[..., dict[str, Any]], keep: Callable[..., None]) -> None:
    keep("clock_jumps", report_of("sleepers.py", "clock", "FOLDER", "100", "2", limit=3500))
