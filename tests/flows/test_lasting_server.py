"""A real Prefect server that lasts: runs find it, a wrong password is told, and its death in the midst of a search costs no work."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import fitcore as fc
from fitcore.chain import asked
from flows.catalogue import chain_of, find

pytestmark = pytest.mark.slow


def slow_run(lasting: Any, dataset: Path, store: Path) -> Any:
    """A run that is at its first search: the process, once it has made some calls."""
    words = ["run", dataset, "--pipeline", "toy", "--store", store, "--json"]
    process = lasting.fitcore.start(*words, mark=str(store), **lasting.environment)
    entry = find("toy")
    loaded = entry.load(dataset)
    lasting.fitcore.wait_for(store.exists, "the store")
    digest = asked(chain_of(entry, loaded, {}), loaded, fc.Store(store))["first"].digest
    lasting.fitcore.wait_for(lambda: any(attempt.n_calls > 200 for attempt in fc.Store(store).attempts(digest)), "200 calls")
    return process


def test_runs_find_it_and_others_are_not_let_in(lasting: Any, fitcore: Any, make_points: Callable[..., Path], tmp_path: Path) -> None:
    lasting.start()
    assert lasting("status").returncode == 0
    assert lasting.start()["was_running"] is True
    answer = fitcore.run(make_points("found"), store=tmp_path / "store", **lasting.environment)
    assert answer.returncode == 0, answer.stderr
    assert lasting.count("COMPLETED") == 2  # the chain, and its latent variables
    named = {"PREFECT_API_URL": lasting.status()["url"], "PREFECT_API_AUTH_STRING": "fitcore:wrong"}
    answer = fitcore.run(make_points("other"), store=tmp_path / "other", **lasting.environment, **named)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert (
        f"error: The Prefect server at {named['PREFECT_API_URL']} does not accept the password (401). Set PREFECT_API_AUTH" in answer.stderr
    )
    stopped = lasting("stop")
    assert (stopped.returncode, stopped.stdout.split(":")[0]) == (0, "stopped")
    tail = (tmp_path / "data" / "server" / "server.log").read_text()
    assert (tmp_path / "data" / "server" / "password").read_text().strip() not in tail


def test_one_that_dies_and_comes_back(
    lasting: Any, fitcore: Any, installed: None, make_points: Callable[..., Path], tmp_path: Path
) -> None:
    lasting.start()
    process = slow_run(lasting, make_points("back", pause=0.03), tmp_path / "store")
    lasting.kill()
    assert lasting.start()["was_running"] is False
    output, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    assert json.loads(output)["status"] == "done"
    fitcore.wait_for(lambda: lasting.count("COMPLETED") == 2, "both flows told as completed")


def test_one_that_dies_and_stays_away(
    lasting: Any, fitcore: Any, installed: None, make_points: Callable[..., Path], tmp_path: Path
) -> None:
    lasting.start()
    dataset, store = make_points("away", pause=0.01), tmp_path / "store"
    process = slow_run(lasting, dataset, store)
    lasting.kill()
    output, errors = process.communicate(timeout=1000)
    row = json.loads(output)
    assert (process.returncode, row["status"]) == (75, "interrupted"), errors
    assert "the Prefect server" in row["error"]
    assert "the same command goes on" in row["error"]
    assert not fitcore.processes_of(str(store))
    again = fitcore.run(dataset, store=store, **lasting.environment)  # by a server of its own
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["stages"][0]["cached"] is True
