"""What `fitcore tend` does with runs that are silent: when, what, and what it leaves alone. Without a server."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from prefect.client.schemas.objects import State, StateType

from deploy import tend
from deploy.schema import Recovery
from deploy.tend import LOOK_SECONDS, SLACK_SECONDS, Limits, Silences, Tender, next_state

RECOVERY = Recovery(heartbeat=30, zombie=90, requeue=20, start=60)
LIMITS = Limits.of(RECOVERY)
ONE, OTHER = uuid.UUID(int=1), uuid.UUID(int=2)


def test_silence_adds_up_until_there_is_a_sign() -> None:
    silences = Silences()
    seconds = [silences.look({ONE: sign}, now)[ONE] for now, sign in ((0, "a"), (10, "a"), (20, "a"), (30, "b"), (40, "b"))]
    assert seconds == [0.0, 10.0, 20.0, 0.0, 10.0]


def test_a_server_that_was_away_makes_no_run_silent() -> None:
    silences = Silences()
    silences.look({ONE: "a"}, 0.0)
    assert silences.look({ONE: "a"}, 3600.0)[ONE] == LOOK_SECONDS


def test_a_run_that_ended_and_came_back_begins_anew() -> None:
    silences = Silences()
    silences.look({ONE: "a"}, 0.0)
    assert silences.look({OTHER: "b"}, 10.0) == {OTHER: 0.0}
    assert silences.look({ONE: "a", OTHER: "b"}, 20.0) == {ONE: 0.0, OTHER: 10.0}


@pytest.mark.parametrize(
    ("state", "silence", "crashes", "wanted", "told"),
    [
        ("RUNNING", 90 + SLACK_SECONDS, 0, "Crashed", "no heartbeat for 120 s"),
        ("RUNNING", 90 + SLACK_SECONDS - 1, 0, None, ""),
        ("PENDING", 60, 0, "Crashed", "not started for 60 s: its worker may have ended"),
        ("PENDING", 59, 0, None, ""),
        ("CANCELLING", 120, 0, "Cancelled", "no sign of life for 120 s"),
        ("CRASHED", 20 + SLACK_SECONDS, 3, "AwaitingRetry", "set back 50 s after a crash"),
        ("CRASHED", 20 + SLACK_SECONDS - 1, 3, None, ""),
        ("CRASHED", 50, 4, "Failed", "3 attempts are allowed, and the run crashed 4 times:\n  crash 0\n  crash 1\n  crash 2\n  crash 3"),
        ("COMPLETED", 1e9, 0, None, ""),
        ("SCHEDULED", 1e9, 0, None, ""),
        ("FAILED", 1e9, 0, None, ""),
        ("CANCELLED", 1e9, 0, None, ""),
    ],
)
def test_what_is_done_with_a_silent_run(state: str, silence: float, crashes: int, wanted: str | None, told: str) -> None:
    lines = [f"crash {number}" for number in range(crashes)]
    proposed = next_state(State(type=StateType[state]), silence, LIMITS, lines, 3)
    assert (None if proposed is None else proposed.name) == wanted
    if proposed is not None:
        assert proposed.message == told


class Server:
    """The part of Prefect's client that is used, with one run."""

    def __init__(self, state: str, *, crashes: int = 0, deployment: Any = ONE, parameters: dict[str, Any] | None = None) -> None:
        self.beat, self.n_reads, self.set_to = 0, 0, []
        pairs = [(State(type=StateType.RUNNING), State(type=StateType.CRASHED, message=f"reason {number}")) for number in range(crashes)]
        self.states = [state for pair in pairs for state in pair]
        self.state = State(type=StateType[state], id=uuid.uuid4())
        given = {"attempts": 3} if parameters is None else parameters
        self.run = SimpleNamespace(id=ONE, name="lens", state=self.state, deployment_id=deployment, parameters=given)
        self.on_second_read: Callable[[], None] = lambda: None

    def read_flow_runs(self, *, flow_run_filter: Any, sort: Any, limit: int, offset: int) -> list[Any]:
        assert flow_run_filter.tags.all_ == ["fitcore-toys"]
        return [] if offset else [self.run]

    def read_flow_run(self, identity: uuid.UUID) -> Any:
        self.on_second_read()
        return self.run

    def read_flow_run_states(self, identity: uuid.UUID) -> list[State]:
        return self.states

    def request(self, method: str, path: str, json: dict[str, Any]) -> Any:
        assert json["filter"]["resource"]["id"] == [f"prefect.flow-run.{ONE}"]
        return SimpleNamespace(json=lambda: {"events": [{"id": self.beat}] if self.beat else []})

    def set_flow_run_state(self, identity: uuid.UUID, state: State) -> Any:
        self.set_to.append(state.name)
        return SimpleNamespace(status=SimpleNamespace(value="ACCEPT"))


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Looks so many times, ten seconds between two; what was done."""
    now = [0.0]
    monkeypatch.setattr(tend.time, "monotonic", lambda: now[0])

    def made(server: Server, times: int, between: Callable[[int], None] = lambda number: None) -> list[str]:
        tender, lines = Tender("toys", RECOVERY), []
        for number in range(times):
            between(number)
            lines += tender.look(server)  # type: ignore[arg-type]
            now[0] += 10.0
        return lines

    return made


def test_a_run_whose_process_is_gone_is_crashed(looks: Callable[..., list[str]]) -> None:
    server = Server("RUNNING")
    assert looks(server, 12) == []
    assert looks(server, 13) == [f"lens ({ONE}): Running -> Crashed, accept: no heartbeat for 120 s"]
    assert server.set_to == ["Crashed"]


def test_a_run_with_a_heartbeat_is_left_alone(looks: Callable[..., list[str]]) -> None:
    server = Server("RUNNING")
    assert looks(server, 60, lambda number: setattr(server, "beat", 1 + number // 3)) == []
    assert server.set_to == []


def test_a_run_that_moves_just_before_is_left_alone(looks: Callable[..., list[str]]) -> None:
    server = Server("CRASHED", crashes=1)

    def requeued() -> None:
        server.run.state = State(type=StateType.SCHEDULED, id=uuid.uuid4())

    server.on_second_read = requeued
    assert looks(server, 6) == []
    assert server.set_to == []


def test_a_crashed_run_is_set_back_within_its_attempts(looks: Callable[..., list[str]]) -> None:
    assert looks(Server("CRASHED", crashes=3), 6) == [f"lens ({ONE}): Crashed -> AwaitingRetry, accept: set back 50 s after a crash"]
    (line,) = looks(Server("CRASHED", crashes=4), 6)
    assert "Crashed -> Failed" in line
    assert "reason 3" in line


def test_runs_of_nobody_and_of_long_ago_are_left_alone(looks: Callable[..., list[str]]) -> None:
    assert looks(Server("CRASHED", deployment=None), 10) == []
    old = Server("CRASHED")
    old.state.timestamp = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=8)  # type: ignore[assignment]
    assert looks(old, 10) == []


def test_no_server_is_named(fitcore: Any, write: Callable[..., Path]) -> None:
    answer = fitcore("tend", write())
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "PREFECT_API_URL is not set: name the server to look after" in answer.stderr
