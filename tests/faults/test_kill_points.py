"""SIGKILL before, in the middle of and after the changes that a chain makes to the disk: what was there stays, what follows is the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def test_kills_at_some_changes_of_the_disk(report_of: Callable[..., dict[str, Any]]) -> None:
    report = report_of("kills.py", "points", "FOLDER", "30")
    assert report["count"] >= 15
    assert report["points"] > 400


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_soak_kills_at_every_change_of_the_disk(report_of: Callable[..., dict[str, Any]], keep: Callable[..., None]) -> None:
    report = report_of("kills.py", "points", "FOLDER", "1", limit=7000)
    assert report["count"] == report["points"] > 400
    keep("kill_points", report)
