"""`fitcore status`: what it says of a store, in words and as JSON, and that it makes none."""

from __future__ import annotations

import datetime
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore import SearchInterruptedError, Store
from flows import cli, status

DIGEST, OTHER = "ab" * 32, "cd" * 32
ABOUT = {"name": "lens.basin", "dataset": "J0252+0039", "command": "fitcore run lenses/J0252+0039 --store results"}


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    monkeypatch.setenv("COLUMNS", "200")

    def run(*words: Any) -> tuple[int, str, str]:
        code = 0
        try:
            cli.app(["status", *map(str, words)])
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return run


def left(store: Store, digest: str, **about: str) -> None:
    """Begin work, save, and leave it."""
    with store.lease(digest, about={**ABOUT, **about}) as lease:
        store.checkpoint(digest, lease=lease).save_arrays({"a": 1}, n_calls=1200)
        raise SearchInterruptedError("later")


def test_where_no_store_is_none_is_made(command: Any, tmp_path: Path) -> None:
    for folder in (tmp_path / "none", tmp_path):
        code, output, errors = command("--store", folder)
        assert (code, output) == (2, "")
        assert errors == f"error: There is no store {folder}. Name one by --store or FITCORE_STORE; 'fitcore run' makes one.\n"
    assert list(tmp_path.iterdir()) == []


def test_all_states(command: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    assert command("--store", store.path)[1].split("\n\n") == [
        f"{store.path}: 0 results, 0 chains, 0 in quarantine",
        "running: 0",
        "stands still: 0",
        "unfinished: 0\n",
    ]
    with pytest.raises(SearchInterruptedError):
        left(store, OTHER)
    with store.lease(DIGEST, about={**ABOUT, "name": "lens.power_law"}) as lease:
        lease.beat(4321, 22038.635)
        code, output, errors = command("--store", store.path)
        assert (code, errors) == (0, "")
        running, _, unfinished = output.split("\n\n")[1:]
        lines = running.splitlines()
        assert lines[0] == "running: 1"
        assert lines[1].split() == ["dataset", "stage", "where", "since", "calls", "calls/s", "log-evidence", "attempts"]
        assert lines[2].split()[:2] == ["J0252+0039", "power_law"]
        assert f":{os.getpid()}" in lines[2]
        assert "4,321" in lines[2]
        assert "22038.6" in lines[2]
        assert unfinished.splitlines()[0] == "unfinished: 1"
        assert "J0252+0039: basin: interrupted on " in unfinished
        assert unfinished.splitlines()[1].endswith(", attempt 1; 1,200 calls are saved")
        assert unfinished.splitlines()[2] == "  fitcore run lenses/J0252+0039 --store results"
        found = json.loads(command("--store", store.path, "--json")[1])
        (row,) = found["running"]
        assert (row["dataset"], row["stage"], row["n_calls"], row["log_evidence"]) == ("J0252+0039", "power_law", 4321, 22038.635)
        assert (row["pid"], row["n_attempts"], row["n_calls_repeated"]) == (os.getpid(), 1, 0)
        assert found["unfinished"][0]["n_calls_saved"] == 1200
        assert found["still"] == found["faults"] == []


def test_what_stands_still_says_why(command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fitcore.store.activity.IDLE_BEATS", -1)
    store = Store(tmp_path / "store")
    with store.lease(DIGEST, about=ABOUT) as lease:
        lease.beat(10)
        output = command("--store", store.path)[1]
    assert "stands still: 1" in output
    assert "J0252+0039: basin: it lives and makes no calls since " in output


def test_names_steer_no_terminal(command: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    evil = "\x1b[2J[red]x\nrunning: 9"
    with pytest.raises(SearchInterruptedError):
        left(store, OTHER, dataset=evil, command=evil, name=evil)
    with store.lease(DIGEST, about=dict.fromkeys(ABOUT, evil)):
        output = command("--store", store.path)[1]
    assert "\x1b" not in output
    assert "\nrunning: 9" not in output
    assert output.count("[red]x\\nrunning: 9") == 5


def test_damage_is_told_beside(command: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    with pytest.raises(SearchInterruptedError):
        left(store, OTHER)
    (claim,) = (store.path / "work").rglob("result-*.json")
    claim.unlink()
    claim.write_text("\x1b")
    code, output, errors = command("--store", store.path)
    assert code == 0
    assert "unfinished: 0" in output
    assert errors == f"damaged: {claim}: it says who works on a result, and is damaged; the next attempt is not hindered by it\n"


@pytest.mark.parametrize(
    ("since", "told"), [("2026-11-01T10:00:00+00:00", "1 min 00 s"), ("soon", "soon"), ("2026-11-01T10:00:00", "2026-11-01T10:00:00")]
)
def test_ages(since: str, told: str) -> None:
    assert status.age(since, datetime.datetime(2026, 11, 1, 10, 1, tzinfo=datetime.UTC)) == told


@pytest.mark.slow
def test_a_real_run_tells_what_it_is(fitcore: Any, make_points: Callable[..., Path], server: str, tmp_path: Path) -> None:
    dataset, store = make_points("shown", pause=0.02), tmp_path / "store"
    words = ["run", dataset, "--pipeline", "toy", "--store", store, "--set", "second.n_eff=200"]
    process = fitcore.start(*words, mark=str(tmp_path), PREFECT_API_URL=server)

    def row() -> dict[str, Any] | None:
        if not (store / "fitcore-store.json").exists():
            return None
        found = json.loads(fitcore("status", "--store", store, "--json").stdout)
        return found["running"][0] if found["running"] and found["running"][0]["n_calls"] > 100 else None

    seen = fitcore.wait_for(row, "a search")
    assert (seen["dataset"], seen["stage"]) == ("shown", "first")
    assert seen["command"] == f"fitcore run {dataset} --pipeline toy --store {store} --seed 0 --set second.n_eff=200"
    os.killpg(process.pid, 9)
    process.communicate()
    fitcore.wait_for(lambda: not fitcore.processes_of(str(tmp_path)), "the end of all processes")
    told = fitcore("status", "--store", store)
    assert told.returncode == 0
    assert "shown: first: its process was killed on " in told.stdout
    assert f"  {seen['command']}\n" in told.stdout
