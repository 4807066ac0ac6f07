"""Two command lines at the same time on one machine, each with a Prefect server of its own, on one cache and one store."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore import Store

pytestmark = pytest.mark.slow
PATIENT = {"FITCORE_SERVER_SECONDS": "500"}


def both(fitcore: Any, datasets: list[Path], store: Path) -> list[tuple[int, dict[str, Any], str]]:
    """Run a command line for each, at once: exit code, row, errors."""
    words = ["--pipeline", "toy", "--store", store, "--json"]
    started = [fitcore.start("run", dataset, *words, mark=str(store), **PATIENT) for dataset in datasets]
    ended = []
    for process in started:
        output, errors = process.communicate(timeout=1000)
        ended.append((process.returncode, json.loads(output), errors))
    assert not fitcore.processes_of(str(store))
    return ended


def test_of_two_datasets_both_are_done(fitcore: Any, make_points: Callable[..., Path], tmp_path: Path) -> None:
    names = ["one", "two"]
    datasets = [make_points(name) for name in names]
    second = json.loads((datasets[1] / "points.json").read_text())
    (datasets[1] / "points.json").write_text(json.dumps({**second, "y": [value + 0.25 for value in second["y"]]}))
    for code, row, errors in both(fitcore, datasets, tmp_path / "store"):
        assert (code, row["status"]) == (0, "done"), errors
        assert [stage["cached"] for stage in row["stages"]] == [False, False]
    assert sorted(run["name"] for run in Store(tmp_path / "store").runs()) == names


def test_of_one_dataset_one_computes_and_the_other_waits_for_it(fitcore: Any, make_points: Callable[..., Path], tmp_path: Path) -> None:
    dataset = make_points("shared", pause=0.005)
    ended = both(fitcore, [dataset, dataset], tmp_path / "store")
    for code, row, errors in ended:
        assert (code, row["status"]) == (0, "done"), errors
    assert sum("waits: " in errors and "is at work on" in errors for _, _, errors in ended) == 1
    store = Store(tmp_path / "store")
    for digest in {digest for run in store.runs() for digest in run["stages"].values()}:
        assert [attempt.ended for attempt in store.attempts(digest)] == ["done"]
    assert not [finding for finding in store.verify() if finding.is_damage]
