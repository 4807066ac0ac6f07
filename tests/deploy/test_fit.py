"""The flow `fit` in its plain functions: what it refuses, how it counts attempts, and when it goes on with another worker."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.client.schemas.objects import State, StateType

import fitcore as fc
from fitcore.store.attempts import Attempt, Process
from flows import attempts, deployed, telling
from flows.cancelling import CancelledRunError, Watch
from flows.deployed import AttemptsSpentError, checked_request, refuse_beyond
from flows.protocol import RemoteError

HOLDER = Process(host="node7", boot="b", namespace="n", pid=1, started="1")


def attempt(number: int, ended: str) -> Attempt:
    return Attempt(number=number, holder=HOLDER, started="2026-11-01", n_calls_at_start=0, n_calls=1200, ended=ended, took_over_because="")


@pytest.fixture
def request_of(make_points: Callable[..., Path], tmp_path: Path, installed: None) -> Callable[..., dict[str, Any]]:
    def made(**changes: Any) -> dict[str, Any]:
        given = {"dataset": str(make_points()), "pipeline": "toy", "store": str(tmp_path / "s"), "seed": 0, "settings": {}, "attempts": 3}
        return checked_request(**(given | changes))

    return made


def test_a_request_that_can_be_used(request_of: Callable[..., dict[str, Any]]) -> None:
    assert request_of()["pipeline"] == "toy"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"dataset": "lens"}, "'lens' is a relative path"),
        ({"store": "results"}, "'results' is a relative path"),
        ({"dataset": "/nowhere/lens"}, "not a folder on .*mounted"),
        ({"pipeline": "tiy"}, "no pipeline 'tiy'.*'toy'"),
        ({"settings": {"frist": {}}}, "no stage 'frist'.*'first'"),
        ({"seed": -1}, "at least 0 and 1"),
        ({"attempts": 0}, "at least 0 and 1"),
    ],
)
def test_what_is_refused_before_any_work(request_of: Callable[..., dict[str, Any]], changes: dict[str, Any], told: str) -> None:
    with pytest.raises(fc.ConfigError, match=told):
        request_of(**changes)


def test_attempts_are_counted_by_the_store_or_by_the_run_and_told() -> None:
    refuse_beyond(3, ["a", "b"], ["c", "d"])
    for in_store, of_run in ((["a", "b", "c"], ["x"]), (["a"], ["b", "c", "x"])):
        with pytest.raises(AttemptsSpentError, match=r"(?s)3 attempts are allowed.*a\n.*b.*c.*x.*larger number of attempts"):
            refuse_beyond(3, in_store, of_run)


def test_only_attempts_in_vain_count(
    make_points: Callable[..., Path], tmp_path: Path, installed: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.catalogue import chain_of, find

    entry = find("toy")
    dataset = entry.load(make_points())
    pipeline = chain_of(entry, dataset, {})
    made = [attempt(1, "lost"), attempt(2, "interrupted"), attempt(3, "failed: MemoryError"), attempt(4, "running"), attempt(5, "done")]
    asked: list[tuple[str, str]] = []

    def kept(self: fc.Store, digest: str, part: str) -> list[Attempt]:
        asked.append((digest, part))
        return made

    monkeypatch.setattr(fc.Store, "attempts", kept)
    told = attempts.unfinished_attempts(pipeline, "second", dataset, fc.Store(tmp_path / "store"), 0)
    assert told == [
        "stage first, attempt 1 on node7 since 2026-11-01: killed, or taken over after 1,200 calls",
        "stage first, attempt 3 on node7 since 2026-11-01: failed: MemoryError after 1,200 calls",
    ]
    assert [part for _, part in asked] == ["result"]


class FakeWorkers:
    def __init__(self, in_store: list[list[str]]) -> None:
        self.in_store = iter(in_store)
        self.n_closed = 0

    def current(self) -> FakeWorkers:
        return self

    def ask(self, operation: str, **request: Any) -> Any:
        return {"stages": ["first"], "latent_stage": "first", "target": "t"} if operation == "stages" else next(self.in_store)

    def close(self) -> None:
        self.n_closed += 1


@pytest.fixture
def until_done(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, FakeWorkers, list[float]]]:
    """Runs the loop: each of ``ends`` is what one try through the stages raises or returns."""

    def made(ends: list[Any], in_store: list[list[str]] | None = None, crashes: list[str] | None = None, watch: Watch | None = None) -> Any:
        workers, waits, left = FakeWorkers(in_store or [[] for _ in ends]), [], iter(ends)

        def run_stages(*args: Any, **words: Any) -> str:
            end = next(left)
            if isinstance(end, Exception):
                raise end
            return end

        monkeypatch.setattr(deployed, "WORKERS", workers)
        monkeypatch.setattr(deployed, "run_stages", run_stages)
        monkeypatch.setattr(deployed.time, "sleep", waits.append)
        monkeypatch.setattr(deployed, "get_run_logger", lambda: logging.getLogger("test"))
        found = deployed._until_done(deployed.run_stages, {}, 3, crashes or [], watch or Watch(bool, list))  # type: ignore[call-arg]
        return found, workers, waits

    return made


DIED, STOPPED = RemoteError("WorkerDied", "by signal SIGKILL"), RemoteError("SearchInterruptedError", "saved")
HELD, BROKEN = RemoteError("LeaseHeldError", "another process", True), RemoteError("ZeroDivisionError", "no")


def test_a_worker_that_died_or_was_stopped_is_replaced(until_done: Callable[..., Any]) -> None:
    report, workers, waits = until_done([DIED, STOPPED, "report"])
    assert (report, workers.n_closed, waits) == ("report", 2, [])


def test_a_result_that_another_process_works_on_is_waited_for_however_long(until_done: Callable[..., Any]) -> None:
    report, workers, waits = until_done([HELD] * 10 + ["report"])
    assert (report, workers.n_closed, waits) == ("report", 0, [deployed.LEASE_SECONDS] * 10)


def test_a_worker_that_always_dies_ends_the_run_with_its_reasons(until_done: Callable[..., Any]) -> None:
    with pytest.raises(AttemptsSpentError, match=r"(?s)SIGKILL.*SIGKILL.*SIGKILL"):
        until_done([DIED] * 5)


def test_a_death_that_is_told_twice_counts_once() -> None:
    names = ["PENDING", "RUNNING", "CRASHED", "SCHEDULED", "CRASHED", "SCHEDULED", "PENDING", "CRASHED"]
    states = [State(type=StateType[name], message=f"state {number}") for number, name in enumerate(names)]
    assert [line.rpartition(": ")[2] for line in deployed.crash_lines(states)] == ["state 2", "state 7"]


def test_crashes_before_count_too(until_done: Callable[..., Any]) -> None:
    with pytest.raises(AttemptsSpentError, match=r"(?s)first crash.*second crash.*SIGKILL"):
        until_done([DIED, "report"], crashes=["first crash", "second crash"])


def test_the_store_is_asked_each_time(until_done: Callable[..., Any]) -> None:
    with pytest.raises(AttemptsSpentError, match=r"(?s)x\n.*y\n.*z"):
        until_done([DIED, "report"], in_store=[[], ["x", "y", "z"]])


@pytest.mark.parametrize("end", [STOPPED, HELD, DIED])
def test_a_cancelled_run_goes_on_no_more(until_done: Callable[..., Any], end: RemoteError) -> None:
    watch = Watch(bool, list)

    def ends() -> Any:
        watch.is_cancelled = True  # while it is at work
        yield end
        yield "report"

    with pytest.raises(CancelledRunError, match="cancelled; what it had is saved"):
        until_done(ends(), in_store=[[], []], watch=watch)


def test_any_other_error_ends_the_run(until_done: Callable[..., Any]) -> None:
    with pytest.raises(RemoteError, match="ZeroDivisionError: no"):
        until_done([BROKEN, "report"])


def test_what_a_users_code_prints_is_no_event(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        telling.say(logging.getLogger("test"), {"x": 1})
        telling.say(logging.getLogger("test"), {"event": "warning", "kind": "UserWarning", "text": "flat"})
        telling.say(logging.getLogger("test"), {"event": "latents", "n_samples": 1200, "cached": False, "device": "NVIDIA H100 (gpu)"})
    assert [record.getMessage() for record in caplog.records] == [
        "UserWarning: flat",
        "latent variables: done, 1,200 samples, computed by NVIDIA H100 (gpu)",
    ]


OUTCOME = {
    "event": "outcome",
    "name": "basin",
    "cached": False,
    "n_calls": 5000,
    "seconds": 12.34,
    "log_evidence": 22038.6351,
    "log_evidence_error": 0.024,
    "grade": "A",
}
EFFORT = {"n_attempts": 1, "n_calls": 5200, "n_calls_repeated": 0, "seconds": 26.0, "seconds_between": 0.0}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({}, "done in 12.3 s, 5,000 calls, log-evidence 22038.635 ± 0.024, grade A"),
        ({"log_evidence": None, "log_evidence_error": None, "grade": "laplace"}, "done in 12.3 s, 5,000 calls, grade laplace"),
        ({"log_evidence": float("nan"), "log_evidence_error": float("nan")}, "done in 12.3 s, 5,000 calls, grade A"),
        ({"cached": True, "grade": "", "effort": EFFORT}, "found in the store, 5,000 calls, log-evidence 22038.635 ± 0.024, grade -"),
        ({"effort": EFFORT}, "done in 12.3 s, 5,000 calls, log-evidence 22038.635 ± 0.024, grade A, 200.0 calls/s, 1 attempt"),
        (
            {"effort": EFFORT | {"n_attempts": 3, "n_calls_repeated": 200, "seconds_between": 95.5}},
            "done in 12.3 s, 5,000 calls, log-evidence 22038.635 ± 0.024, grade A, 200.0 calls/s, 3 attempts: 200 calls repeated (1.0 s) "
            "and 95.5 s between them lost",
        ),
    ],
)
def test_a_stage_is_told_in_a_line_of_figures(changes: dict[str, Any], told: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        telling.say(logging.getLogger("test"), OUTCOME | changes)
    assert [record.getMessage() for record in caplog.records] == [f"stage basin: {told}"]


def test_a_server_that_does_not_answer_tells_of_no_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the first question of a process Prefect's client says so by a RuntimeError."""

    def get_client(**words: Any) -> Any:
        raise RuntimeError("Failed to reach API at http://127.0.0.1:1/api")

    monkeypatch.setattr(deployed, "get_client", get_client)
    assert deployed.crashes_of("00000000-0000-0000-0000-000000000001") == []


def test_a_worker_that_nobody_listens_to_saves_instead_of_failing() -> None:
    from flows.worker import Worker

    class Closed(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    worker = Worker(Closed(), threads=1)
    assert not worker.is_stopping
    worker.send(event="progress")
    assert worker.is_stopping
