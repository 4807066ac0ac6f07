"""Datasets side by side: the same bytes as one after the other, one lane's fault its own, and a signal stops them all."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore import Store
from flows import launch


def lines(make_points: Callable[..., Path], **more: Any) -> list[Path]:
    """Three lines of other data each."""
    return [make_points(name, y=[0.1 * i + 0.01 * k for k in range(20)], **more) for i, name in enumerate("abc")]


def published(store: Path) -> dict[str, bytes]:
    return {path.parent.name: path.read_bytes() for path in (store / "results").rglob("result.h5")}


def test_side_by_side_they_end_in_the_same_bytes(fitcore: Any, server: str, make_points: Callable[..., Path], tmp_path: Path) -> None:
    datasets, answers = lines(make_points), {}
    for jobs in (1, 3):
        store = tmp_path / str(jobs)
        answer = fitcore.run(*datasets, store=store, more=("--jobs", str(jobs)), PREFECT_API_URL=server, FITCORE_THREADS="3")
        assert answer.returncode == 0, answer.stderr
        answers[jobs] = [json.loads(line) for line in answer.stdout.splitlines()]
        assert [row["name"] for row in answers[jobs]] == ["a", "b", "c"]
        assert "1 of 3 done: " in answer.stderr
        assert "3 of 3 done: " in answer.stderr
    assert published(tmp_path / "1") == published(tmp_path / "3")
    assert len(published(tmp_path / "1")) == 6
    writers = {attempt.holder.pid for digest in published(tmp_path / "3") for attempt in Store(tmp_path / "3").attempts(digest)}
    assert len(writers) == 3
    assert len({attempt.holder.pid for digest in published(tmp_path / "1") for attempt in Store(tmp_path / "1").attempts(digest)}) == 1


def test_a_fault_in_one_lane_is_its_own(fitcore: Any, server: str, make_points: Callable[..., Path], tmp_path: Path) -> None:
    dead, good = make_points("dead", fault="exit"), make_points("good", y=[0.5] * 20)
    answer = fitcore.run(dead, good, store=tmp_path / "store", more=("--jobs", "2"), PREFECT_API_URL=server)
    rows = [json.loads(line) for line in answer.stdout.splitlines()]
    assert answer.returncode == 1, answer.stderr
    assert [(row["name"], row["status"]) for row in rows] == [("dead", "failed"), ("good", "done")]


def test_one_signal_saves_all_lanes(fitcore: Any, server: str, make_points: Callable[..., Path], tmp_path: Path) -> None:
    store = tmp_path / "store"
    datasets = lines(make_points, pause=0.01)
    words = ("run", *datasets, "--pipeline", "toy", "--store", store, "--json", "--jobs", "2")
    process = fitcore.start(*words, mark="lanes", PREFECT_API_URL=server)

    fitcore.wait_for(lambda: len(list((store / "work").glob("*/*"))) >= 2, "two searches")
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    rows = [json.loads(line) for line in output.splitlines()]
    assert [row["status"] for row in rows] == ["interrupted"] * 3
    fitcore.wait_for(lambda: not fitcore.processes_of("lanes"), "the end of all processes", 30.0)


@pytest.mark.parametrize("is_killed", [False, True], ids=["interrupted", "its holder is killed"])
def test_a_dataset_at_work_elsewhere_is_waited_for(
    is_killed: bool, fitcore: Any, server: str, make_points: Callable[..., Path], tmp_path: Path
) -> None:
    """After the others are done; an interrupt ends the wait, and what a killed holder left is gone on with."""
    store, long, other = tmp_path / "store", make_points("long", pause=0.04), make_points("other", y=[0.5] * 20)
    common = ("--pipeline", "toy", "--store", store, "--json")
    holder = fitcore.start("run", long, *common, mark="holder", PREFECT_API_URL=server)
    fitcore.wait_for(lambda: (store / "work").is_dir() and Store(store).activity().works, "the holder")
    waiting = fitcore.start("run", long, other, *common, "--jobs", "1", mark="waiting", PREFECT_API_URL=server)
    said = []
    for line in waiting.stderr:
        said.append(line)
        if line.startswith("1 of 2 done: "):
            break
    assert [line for line in said if line.startswith("long: waits: process ")], said
    if is_killed:
        for pid in fitcore.processes_of("holder"):
            os.kill(pid, signal.SIGKILL)
    else:
        waiting.send_signal(signal.SIGINT)
    output, errors = waiting.communicate(timeout=120)
    rows = [json.loads(line) for line in output.splitlines()]
    assert waiting.returncode == (0 if is_killed else 75), errors
    assert [row["status"] for row in rows] == ["done" if is_killed else "interrupted", "done"]
    if not is_killed:
        holder.send_signal(signal.SIGINT)
    holder.communicate(timeout=120)


@pytest.mark.parametrize(
    ("threads", "gigabytes", "limit", "lanes"),
    [
        (1, 64, "max", 1),
        (2, 24, None, 2),
        (64, 256, "max", 16),
        (8, 7, None, 2),
        (4, 1, None, 1),
        (8, 64, "7000000000", 2),
        (8, 7, "64000000000", 2),
    ],
)
def test_lanes_are_bounded_by_cores_and_memory(
    threads: int, gigabytes: float, limit: str | None, lanes: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "memory.max"
    if limit is not None:
        file.write_text(limit + "\n")
    monkeypatch.setattr(launch, "CONTAINER_LIMIT", file)
    monkeypatch.setattr(launch.os, "sysconf", lambda name: {"SC_PAGE_SIZE": 1000, "SC_PHYS_PAGES": int(gigabytes * 1e6)}[name])
    assert launch.most_lanes(threads) == lanes
