"""Independent stages side by side: a worker each, the threads divided, the same bytes; one signal saves them all."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore import Store
from flows import branches
from flows.branches import Branches, width
from flows.protocol import RemoteError


@pytest.mark.parametrize(
    ("needs", "n"),
    [
        ({"a": []}, 1),
        ({"a": [], "b": ["a"], "c": ["a", "b"]}, 1),
        ({"a": [], "b": []}, 2),
        ({"a": [], "b": [], "c": ["a", "b"]}, 2),
        ({"a": [], "b": ["a"], "c": ["a"], "d": ["a"], "e": ["c"]}, 3),
    ],
)
def test_how_many_stages_may_run_side_by_side(needs: dict[str, list[str]], n: int) -> None:
    assert width(list(needs), needs) == n


class FakeWorker:
    """Answers when it is let; an order to stop is answered by an error."""

    made: list[FakeWorker]

    def __init__(self, listener: Any, threads: int | None = None) -> None:
        self.listener, self.threads, self.process = listener, threads, self
        self.is_stopping = self.is_closed = False
        self.code: int | None = None
        self.may_answer = threading.Event()
        self.is_asked = threading.Event()
        self.made.append(self)

    def poll(self) -> int | None:
        return self.code

    def ask(self, operation: str, **request: Any) -> Any:
        self.is_asked.set()
        self.may_answer.wait(60)
        self.listener({"event": "asked"})
        if self.is_stopping:
            raise RemoteError("SearchInterruptedError", "saved", retryable=True)
        return (operation, request)

    def ask_to_stop(self) -> None:
        self.is_stopping = True
        self.may_answer.set()

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[FakeWorker]:
    FakeWorker.made = []
    monkeypatch.setattr(branches, "WorkerProcess", FakeWorker)
    return FakeWorker.made


def asking(team: Branches, answers: list[Any]) -> threading.Thread:
    def ask() -> None:
        try:
            answers.append(team.ask("stage", stage="x"))
        except RemoteError as error:
            answers.append(error.kind)

    thread = threading.Thread(target=ask)
    thread.start()
    return thread


def test_who_asks_beside_another_gets_a_worker_of_its_own(fakes: list[FakeWorker]) -> None:
    events: list[Any] = []
    answers: list[Any] = []
    own = print
    first: Any = FakeWorker(own)
    with Branches(first, events.append, 2, 3) as team:
        one = asking(team, answers)
        assert first.is_asked.wait(60)
        other = asking(team, answers)
        while len(fakes) < 2:
            one.join(0.01)
        for fake in fakes:
            fake.may_answer.set()
        one.join()
        other.join()
        assert answers == [("stage", {"stage": "x", "threads": 3})] * 2
        assert fakes[1].threads == 3
        first.code = -9  # it died: nobody asks it again
        team.ask("stage", stage="x")
        assert len(fakes) == 2
    assert sorted(events, key=str) == [{"event": "asked", "branch": 1}, {"event": "asked", "branch": 1}, {"event": "asked"}]
    assert (first.is_closed, fakes[1].is_closed, first.listener) == (False, True, own)


def test_no_more_than_the_memory_allows(fakes: list[FakeWorker]) -> None:
    answers: list[Any] = []
    first: Any = FakeWorker(print)
    with Branches(first, lambda event: None, 1, 1) as team:
        one = asking(team, answers)
        assert first.is_asked.wait(60)
        other = asking(team, answers)
        other.join(0.1)
        assert len(fakes) == 1
        first.may_answer.set()
        one.join()
        other.join()
    assert (len(answers), len(fakes)) == (2, 1)


def test_stopping_saves_what_runs_and_begins_nothing(fakes: list[FakeWorker]) -> None:
    answers: list[Any] = []
    first: Any = FakeWorker(print)
    with Branches(first, lambda event: None, 2, 1) as team:
        thread = asking(team, answers)
        assert first.is_asked.wait(60)
        team.stop()
        thread.join()
        assert answers == ["SearchInterruptedError"]
        assert first.is_closed
        with pytest.raises(RemoteError, match="asked to stop before it began"):
            team.ask("stage")
    assert len(fakes) == 1


def published(store: Path) -> dict[str, str]:
    """The sha256 of the arrays of every result and part: a part's file also has its commit record, which tells of times."""
    found = Store(store)
    return {f"{d}/{part}": found.read(d, part).sha256 for d in found.digests() for part in ("result", *found.parts(d))}


def run(fitcore: Any, dataset: Path, store: Path, threads: int, server: str) -> dict[str, Any]:
    words = ("run", dataset, "--pipeline", "fork", "--store", store, "--json")
    answer = fitcore(*words, PREFECT_API_URL=server, FITCORE_THREADS=str(threads))
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


@pytest.mark.slow
def test_side_by_side_they_end_in_the_same_bytes(fitcore: Any, server: str, make_points: Callable[..., Path], tmp_path: Path) -> None:
    dataset = make_points(pause=0.002)
    alone, both = tmp_path / "alone", tmp_path / "both"
    rows = [run(fitcore, dataset, store, threads, server) for store, threads in ((alone, 1), (both, 2))]
    assert [stage["name"] for stage in rows[1]["stages"]] == ["left", "right", "joint"]
    assert [stage["digest"] for stage in rows[0]["stages"]] == [stage["digest"] for stage in rows[1]["stages"]]
    assert published(alone) == published(both)
    assert len(published(both)) == 4
    writers = {store: [Store(store).attempts(s["digest"])[-1].holder.pid for s in rows[0]["stages"]] for store in (alone, both)}
    assert len(set(writers[alone])) == 1
    assert writers[both][0] != writers[both][1]
    assert len(set(writers[both])) == 2


@pytest.mark.slow
def test_one_signal_saves_all_branches(fitcore: Any, server: str, make_points: Callable[..., Path], tmp_path: Path) -> None:
    dataset, quick, store, mark = make_points(pause=0.01), make_points(folder="quick"), tmp_path / "store", str(tmp_path)
    words = ("run", dataset, "--pipeline", "fork", "--store", store, "--json")
    process = fitcore.start(*words, mark=mark, PREFECT_API_URL=server, FITCORE_THREADS="2")

    def calls() -> list[int]:
        kept = Store(store)
        return [attempt.n_calls for folder in (store / "work").glob("*/*") for attempt in kept.attempts(folder.name)]

    fitcore.wait_for(lambda: process.poll() is not None or sum(n > 100 for n in calls()) == 2, "100 calls of two searches")
    process.send_signal(signal.SIGTERM)
    output, errors = process.communicate(timeout=120)
    assert process.returncode == 75, errors
    assert json.loads(output)["status"] == "interrupted"
    fitcore.wait_for(lambda: not fitcore.processes_of(mark), "the end of all processes", 60.0)
    kept = Store(store)
    ends = [[attempt.ended for attempt in kept.attempts(folder.name)] for folder in (store / "work").glob("*/*")]
    assert ends == [["interrupted"], ["interrupted"]]
    for folder in (dataset, quick):
        run(fitcore, folder, store if folder is dataset else tmp_path / "other", 2, server)
    assert published(store) == published(tmp_path / "other")
