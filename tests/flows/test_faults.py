"""A user's likelihood that raises, a worker that dies, a server that is not there: words, exit codes, and no hang."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_faults_of_two_datasets_do_not_touch_the_third(fitcore: Any, server: str, make_points: Callable[..., Path], tmp_path: Path) -> None:
    off, dead, good = make_points("off", fault="raise"), make_points("dead", fault="exit"), make_points("good")
    # The same points have the same digests: the good one comes last, or its results would answer for the others.
    answer = fitcore.run(off, dead, good, store=tmp_path / "store", PREFECT_API_URL=server)
    assert answer.returncode == 1, answer.stderr
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert [(row["name"], row["status"]) for row in rows] == [("off", "failed"), ("dead", "failed"), ("good", "done")]
    assert "the detector [A] was off" in rows[0]["error"]
    assert "ZeroDivisionError" in rows[0]["error"]
    assert "the worker process ended with exit code 9 during 'stage'. Work up to the last checkpoint is saved" in rows[1]["error"]
    assert "off: failed: " in answer.stderr
    assert "the detector [A] was off" in answer.stderr
    assert "dead: failed: the worker process ended with exit code 9" in answer.stderr
    assert rows[2]["stages"][0]["n_calls"] > 300


def test_a_dead_server_is_said_soon(fitcore: Any, make_points: Callable[..., Path], tmp_path: Path) -> None:
    start = time.monotonic()
    answer = fitcore.run(
        make_points(),
        store=tmp_path / "store",
        PREFECT_API_URL="http://127.0.0.1:9/api",
        FITCORE_SERVER_SECONDS="1",
        FITCORE_TEST_MARK="dead",
    )
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: No Prefect server answers at http://127.0.0.1:9/api within 1 s. Check PREFECT_API_URL")
    assert answer.stdout == ""
    assert time.monotonic() - start < 30
    assert not fitcore.processes_of("dead")
