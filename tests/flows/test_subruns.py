"""A run that waits for another: the store decides, one run at a time, and how the other ended is told or made good."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound

import fitcore as fc
from flows import subruns
from flows.subruns import CRASHED_SECONDS, OUTAGE_SECONDS, SEEN_SECONDS, SubrunError, Work, computed, has_ended, is_outage, start

WORK = Work(deployment="latents/gpu", key="abc", parameters={"store": "/data/store"}, what="the latent variables", attempts=3)
UNREACHABLE = httpx.ConnectError("refused")


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds


class Server:
    """Runs whose states follow a script: each look at them takes the next word of the run's own, and the last one stays."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.runs: list[Any] = []
        self.scripts: list[list[Any]] = []
        self.started: list[int] = []
        self.is_stored = False

    def add(self, number: int, *words: str, age: float = 0.0) -> None:
        self.runs.append(SimpleNamespace(id=uuid.uuid4(), name="line latents", idempotency_key=f"abc-{number}", state=None))
        self.scripts.append([*words])
        self.runs[-1].state = self.state(words[0].removesuffix("+"), age)

    def state(self, word: str, age: float = 0.0) -> Any:
        at = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=age)
        return SimpleNamespace(type=StateType[word], name=word.title(), message="the detector was off", timestamp=at)

    def earlier_runs(self, key: str) -> list[Any]:
        assert key == "abc"
        for run, script in zip(self.runs, self.scripts, strict=True):
            if isinstance(word := script[0], Exception):
                script.pop(0)
                raise word
            if run.state.name.upper() != word.removesuffix("+"):
                run.state = self.state(word.removesuffix("+"))
            self.is_stored |= word.endswith("+")
            if len(script) > 1:
                script.pop(0)
        return list(self.runs)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    clock = Clock()
    made = Server(clock)
    monkeypatch.setattr(subruns, "time", clock)
    monkeypatch.setattr(subruns, "earlier_runs", made.earlier_runs)
    return made


@pytest.fixture
def wait(server: Server, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Waits for the work; each run that is started has the next of ``scripts``. What was said."""

    def made(*scripts: list[Any], is_stored: Callable[[], bool] | None = None) -> list[str]:
        said, left = [], list(scripts)

        def started(work: Work, number: int) -> Any:
            server.started.append(number)
            server.add(number, *left.pop(0))
            return server.runs[-1]

        monkeypatch.setattr(subruns, "start", started)
        computed(WORK, is_stored or (lambda: server.is_stored), said.append)
        return said

    return made


def test_what_is_stored_needs_no_server(server: Server, wait: Callable[..., list[str]]) -> None:
    assert wait(is_stored=lambda: True) == []
    assert server.started == []


def test_a_run_is_started_once_and_waited_for(server: Server, wait: Callable[..., list[str]]) -> None:
    said = wait(["SCHEDULED", "SCHEDULED", "RUNNING", "RUNNING", "COMPLETED+"])
    assert server.started == [1]
    assert [line.partition(": ")[2].partition(": ")[2].partition(":")[0] for line in said] == ["Scheduled", "Running"]
    assert "latents/gpu" in said[0]
    assert "line latents" in said[0]


@pytest.mark.parametrize("words", [["RUNNING", "COMPLETED+"], ["SCHEDULED", "PENDING", "RUNNING+"], ["CRASHED", "SCHEDULED", "RUNNING+"]])
def test_a_run_that_is_there_is_waited_for_by_the_parent_that_came_back(
    server: Server, wait: Callable[..., list[str]], words: list[str]
) -> None:
    server.add(1, *words)
    wait()
    assert server.started == []


def test_a_crashed_run_is_waited_for_until_it_is_set_back(server: Server, wait: Callable[..., list[str]]) -> None:
    wait(["RUNNING", *["CRASHED"] * 20, "SCHEDULED", "RUNNING", "COMPLETED+"])
    assert server.started == [1]


def test_another_is_started_where_nobody_sets_it_back(server: Server, wait: Callable[..., list[str]]) -> None:
    server.add(1, "CRASHED", age=CRASHED_SECONDS + 1)
    wait(["RUNNING", "COMPLETED+"])
    assert server.started == [2]
    assert not has_ended(SimpleNamespace(state=server.state("CRASHED", CRASHED_SECONDS - 5)), datetime.datetime.now(datetime.UTC))  # type: ignore[arg-type]


@pytest.mark.parametrize("word", ["FAILED", "CANCELLED"])
def test_a_run_that_fails_before_our_eyes_ends_the_wait_with_its_reason(server: Server, wait: Callable[..., list[str]], word: str) -> None:
    told = rf"(?s)'latents/gpu' was to compute .* variables, and its run 'line latents' \(.*\): {word.title()}: the detector was off"
    with pytest.raises(SubrunError, match=told + r".*searches are in the store\. Remove the cause"):
        wait(["RUNNING", word])
    assert server.started == [1]


@pytest.mark.parametrize("word", ["FAILED", "CANCELLED", "COMPLETED"])
def test_what_had_ended_before_is_history(server: Server, wait: Callable[..., list[str]], word: str) -> None:
    server.add(1, "CANCELLED")
    server.add(2, word)
    wait(["RUNNING+"])
    assert server.started == [3]


def test_runs_in_vain_are_counted_and_told(server: Server, wait: Callable[..., list[str]]) -> None:
    for number in (1, 2, 3):
        server.add(number, "FAILED")
    with pytest.raises(SubrunError, match=r"(?s)3 runs of 'latents/gpu' are allowed .*(Failed: the detector was off.*){3}larger number"):
        wait()
    assert server.started == []


def test_a_store_that_is_not_shared_is_told(server: Server, wait: Callable[..., list[str]]) -> None:
    told = r"Completed.*the store /data/store as .* does not have the latent variables.*shares with the workers of 'latents/gpu'\? Mount"
    with pytest.raises(fc.ConfigError, match=told):
        wait(["RUNNING", "COMPLETED"])
    assert SEEN_SECONDS <= server.clock.seconds < SEEN_SECONDS + 30


def test_a_file_that_is_seen_late_is_waited_for(server: Server, wait: Callable[..., list[str]]) -> None:
    wait(["RUNNING", "COMPLETED"], is_stored=lambda: server.clock.seconds > SEEN_SECONDS / 2)
    assert server.started == [1]


def test_a_silent_server_is_waited_for_and_the_store_asked(server: Server, wait: Callable[..., list[str]]) -> None:
    said = wait(["RUNNING", *[UNREACHABLE] * 30, "COMPLETED+"])
    assert [line for line in said if "does not answer (ConnectError: refused)" in line] == said[1:2]
    server.is_stored = False
    server.scripts[-1][:] = [UNREACHABLE] * 1000
    with pytest.raises(httpx.ConnectError):
        wait()
    assert server.clock.seconds > OUTAGE_SECONDS


def answer(code: int) -> httpx.HTTPStatusError:
    return httpx.HTTPStatusError("no", request=httpx.Request("GET", "http://x"), response=httpx.Response(code))


def test_what_is_no_outage_is_raised_at_once(server: Server, wait: Callable[..., list[str]]) -> None:
    unreachable = RuntimeError("Failed to reach API")
    unreachable.__cause__ = UNREACHABLE
    assert [is_outage(error) for error in (answer(503), answer(409), UNREACHABLE, unreachable, RuntimeError("x"))] == [
        True,
        False,
        True,
        True,
        False,
    ]
    with pytest.raises(httpx.HTTPStatusError):
        wait(["RUNNING", answer(409)])


def test_a_deployment_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*args: Any, **more: Any) -> Any:
        raise ObjectNotFound(Exception("404"))

    monkeypatch.setattr(subruns, "run_deployment", absent)
    with pytest.raises(fc.ConfigError, match=r"no deployment 'latents/gpu', which is to compute the latent variables\. .*'fitcore deploy'"):
        start(WORK, 1)


def test_the_run_is_a_part_of_ours_with_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}
    monkeypatch.setattr(subruns, "run_deployment", lambda name, **more: asked.update(more, name=name))
    start(WORK, 2)
    assert (asked["name"], asked["idempotency_key"], asked["timeout"], asked["as_subflow"]) == ("latents/gpu", "abc-2", 0, True)
    assert asked["parameters"] == WORK.parameters
