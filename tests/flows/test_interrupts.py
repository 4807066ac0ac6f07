"""Signals and kills: nothing that was saved is lost, the answer is the same to the last bit, and no process is left."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore import Store

PAUSE = 0.004


@pytest.fixture
def slow_line(finished: Any, tmp_path: Path) -> Path:
    """The points of ``finished`` with a likelihood that takes its time; the time is no part of its identity."""
    folder = tmp_path / "line"
    folder.mkdir()
    data = json.loads((finished[0] / "points.json").read_text())
    (folder / "points.json").write_text(json.dumps({**data, "pause": PAUSE}))
    return folder


def words_for(dataset: Path, store: Path) -> tuple[str | Path, ...]:
    return ("run", dataset, "--pipeline", "toy", "--store", store, "--json")


def calls_so_far(store: Path, digests: list[str]) -> int:
    """Calls of all attempts at some digests, as their beats tell."""
    if not store.is_dir():
        return 0
    return sum(attempt.n_calls - attempt.n_calls_at_start for digest in digests for attempt in Store(store).attempts(digest))


def result_bytes(store: Path, digests: list[str]) -> dict[str, bytes]:
    return {digest: Store(store).read(digest).path.read_bytes() for digest in digests}


def digests_of(finished: Any) -> list[str]:
    return [stage["digest"] for stage in json.loads(finished[2].stdout)["stages"]]


def repeated_calls(store: Path, digests: list[str]) -> list[int]:
    repeated = []
    for digest in digests:
        attempts = Store(store).attempts(digest)
        repeated += [a.n_calls - b.n_calls_at_start for a, b in itertools.pairwise(attempts)]
    return repeated


def nobody_left(fitcore: Any, mark: str) -> None:
    try:
        fitcore.wait_for(lambda: not fitcore.processes_of(mark), "the end of all processes", 30.0)
    except AssertionError:
        raise AssertionError(f"left over: {fitcore.processes_of(mark)}") from None


def kill_and_go_on(fitcore: Any, dataset: Path, store: Path, digests: list[str], instants: list[int], **environment: str) -> None:
    """Kill the whole process group whenever so many more calls were made, then let the command finish."""
    for number, more in enumerate(instants):
        mark = f"{store}-{number}"
        goal = calls_so_far(store, digests) + more
        process = fitcore.start(*words_for(dataset, store), mark=mark, **environment)
        while process.poll() is None and calls_so_far(store, digests) < goal:
            time.sleep(0.02)
        if process.poll() is None:
            assert len(fitcore.processes_of(mark)) >= 3
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        nobody_left(fitcore, mark)
    answer = fitcore(*words_for(dataset, store), **environment)
    assert answer.returncode == 0, answer.stderr
    assert json.loads(answer.stdout)["status"] == "done"


def check_same(finished: Any, store: Path, n_kills: int) -> None:
    digests = digests_of(finished)
    assert result_bytes(store, digests) == result_bytes(finished[1], digests)
    repeated = repeated_calls(store, digests)
    print("repeated calls", repeated)
    assert len(repeated) >= n_kills
    # An interval is 25 times the cost of a save (well under 60 ms here), 1.5 s, at 1 / PAUSE calls a second, and the batch on its way.
    assert max(repeated) <= 1.5 / PAUSE + 50
    assert not [finding for finding in Store(store).verify() if finding.is_damage]


def test_after_a_kill_the_same_command_goes_on(fitcore: Any, finished: Any, slow_line: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    kill_and_go_on(fitcore, slow_line, store, digests_of(finished), [300])
    check_same(finished, store, 1)


@pytest.mark.slow
def test_ten_kills_at_random_instants(fitcore: Any, finished: Any, slow_line: Path, tmp_path: Path, server: str) -> None:
    store = tmp_path / "store"
    generator = random.Random(8)
    instants = [generator.randrange(1, 350) for _ in range(10)]
    kill_and_go_on(fitcore, slow_line, store, digests_of(finished), instants, PREFECT_API_URL=server)
    check_same(finished, store, 5)


@pytest.mark.slow
def test_kills_before_any_call(fitcore: Any, finished: Any, slow_line: Path, tmp_path: Path) -> None:
    for number, seconds in enumerate((0.5, 2.5, 5.0)):
        process = fitcore.start(*words_for(slow_line, tmp_path / "store"), mark=f"{tmp_path}-{number}")
        time.sleep(seconds)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        nobody_left(fitcore, f"{tmp_path}-{number}")


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_saves_and_the_same_command_finishes(
    fitcore: Any, finished: Any, slow_line: Path, tmp_path: Path, server: str, number: int
) -> None:
    store, digests = tmp_path / "store", digests_of(finished)
    process = fitcore.start(*words_for(slow_line, store), mark=str(store), PREFECT_API_URL=server)
    fitcore.wait_for(lambda: process.poll() is not None or calls_so_far(store, digests) > 200, "200 calls")
    start = time.monotonic()
    process.send_signal(number)
    output, errors = process.communicate(timeout=60)
    seconds = time.monotonic() - start
    assert process.returncode == 75, errors
    assert seconds < 20
    row = json.loads(output)
    assert (row["name"], row["status"]) == ("line", "interrupted")
    assert "the same command goes on" in row["error"]
    assert errors.count("saving the search at its next batch") == 1
    assert "Traceback" not in errors
    nobody_left(fitcore, str(store))
    last = [attempt for digest in digests for attempt in Store(store).attempts(digest)][-1]
    assert last.ended == "interrupted"
    answer = fitcore(*words_for(slow_line, store), PREFECT_API_URL=server)
    assert answer.returncode == 0, answer.stderr
    assert result_bytes(store, digests) == result_bytes(finished[1], digests)
    assert repeated_calls(store, digests)[-1] == 0


def test_a_time_limit_saves_and_the_same_command_goes_on(fitcore: Any, finished: Any, slow_line: Path, tmp_path: Path, server: str) -> None:
    store, digests = tmp_path / "store", digests_of(finished)
    for limit in ("0.1s", "8s"):  # before anything began, and in the midst of a search on most machines
        answer = fitcore(*words_for(slow_line, store), "--time-limit", limit, PREFECT_API_URL=server)
        assert answer.returncode == 75, answer.stderr
        assert json.loads(answer.stdout)["status"] == "interrupted"
        assert "the time limit is reached" in answer.stderr
        assert "Traceback" not in answer.stderr
    answer = fitcore(*words_for(slow_line, store), "--time-limit", "1h", PREFECT_API_URL=server)
    assert answer.returncode == 0, answer.stderr
    assert result_bytes(store, digests) == result_bytes(finished[1], digests)


def test_a_signal_to_every_process_saves_too(fitcore: Any, finished: Any, slow_line: Path, tmp_path: Path) -> None:
    """As a service manager sends it; and SIGHUP before it means nothing under nohup."""
    store, digests = tmp_path / "store", digests_of(finished)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        process = fitcore.start(*words_for(slow_line, store), mark=str(store))
    finally:
        signal.signal(signal.SIGHUP, ignored)
    fitcore.wait_for(lambda: process.poll() is not None or calls_so_far(store, digests) > 100, "100 calls")
    process.send_signal(signal.SIGHUP)
    fitcore.wait_for(lambda: process.poll() is not None or calls_so_far(store, digests) > 200, "200 calls")
    pids = fitcore.processes_of(str(store))
    assert len(pids) >= 4
    for pid in pids:
        os.kill(pid, signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert json.loads(output)["status"] == "interrupted"
    nobody_left(fitcore, str(store))


@pytest.mark.slow
def test_a_server_that_dies_costs_no_work(fitcore: Any, finished: Any, slow_line: Path, tmp_path: Path) -> None:
    store, digests = tmp_path / "store", digests_of(finished)
    process = fitcore.start(*words_for(slow_line, store), mark=str(store))
    fitcore.wait_for(lambda: process.poll() is not None or calls_so_far(store, digests) > 200, "200 calls")
    (embedded,) = [pid for pid, command in fitcore.processes_of(str(store)).items() if "flows.embedded" in command]
    os.kill(embedded, signal.SIGKILL)
    output, errors = process.communicate(timeout=90)
    assert process.returncode == 75, errors
    assert json.loads(output)["status"] == "interrupted"
    assert "The Prefect server started for this run ended with code -9" in errors
    nobody_left(fitcore, str(store))
    assert fitcore(*words_for(slow_line, store)).returncode == 0
    assert result_bytes(store, digests) == result_bytes(finished[1], digests)
    assert max(repeated_calls(store, digests)) == 0


def test_a_signal_before_the_first_search(fitcore: Any, slow_line: Path, tmp_path: Path) -> None:
    process = fitcore.start(*words_for(slow_line, tmp_path / "store"), mark=str(tmp_path))
    fitcore.wait_for(lambda: len(fitcore.processes_of(str(tmp_path))) >= 3, "the flow process and the server")
    start = time.monotonic()
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 75, errors
    assert time.monotonic() - start < 20
    assert json.loads(output)["status"] == "interrupted"
    nobody_left(fitcore, str(tmp_path))


def test_ctrl_c_twice_ends_at_once(fitcore: Any, make_points: Callable[..., Path], tmp_path: Path, server: str) -> None:
    dataset, store = make_points(pause=1.0), tmp_path / "store"  # a batch takes 50 s: the first Ctrl-C cannot have been enough
    process = fitcore.start(*words_for(dataset, store), mark=str(store), PREFECT_API_URL=server)
    assert process.stderr is not None
    fitcore.wait_for(lambda: (store / "work").is_dir() and any((store / "work").iterdir()), "the search")
    os.killpg(process.pid, signal.SIGINT)
    assert any("saving the search" in line for line in process.stderr)
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert time.monotonic() - start < 15
    assert json.loads(output)["status"] == "interrupted"
    nobody_left(fitcore, str(store))
    shutil.rmtree(store)


def test_the_worker_does_not_outlive_the_command(fitcore: Any, slow_line: Path, tmp_path: Path, server: str, finished: Any) -> None:
    store = tmp_path / "store"
    process = fitcore.start(*words_for(slow_line, store), mark=str(store), PREFECT_API_URL=server)
    fitcore.wait_for(lambda: calls_so_far(store, digests_of(finished)) > 50, "the calls")
    process.kill()  # only the command line itself
    process.communicate()
    nobody_left(fitcore, str(store))
