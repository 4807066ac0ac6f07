"""`fitcore tend FILE`: for as long as it runs, sets right what the automations have missed. Any number of it may run, anywhere.

An automation waits for an event, and the events that a server had in its hands when it was killed are gone: a run may then be Crashed, or
Running without a process, for ever. This asks the server instead of waiting for it. What counts is silence by this process's own clock,
added up only over looks that were answered: neither clocks that differ nor a server that was away make a living run look dead.

It comes later than the automations, and looks again just before it acts. Where both act after all, or the run was alive, two processes of
one run come to the store, which lets one of them work.
"""

from __future__ import annotations

import argparse
import datetime
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.filters import (
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
    FlowRunFilterTags,
)
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.exceptions import PrefectException
from prefect.states import AwaitingRetry, Cancelled, Crashed, Failed

from deploy.automations import RUN
from deploy.schema import Recovery, load
from deploy.server import refused
from deploy.wanted import tag_of
from fitcore import ConfigError
from flows.console import printable
from flows.deployed import ATTEMPTS, crash_lines
from flows.server import NAMED_SECONDS, wait_until_ready
from flows.settings import read
from flows.troubles import ServerError

LOOK_SECONDS = 15.0
SLACK_SECONDS = 30.0
"""What the automations are given beyond their time."""
OLDEST = datetime.timedelta(days=7)
"""Runs that crashed before are left alone."""
PAGE = 200
WRONG_INPUT = 2


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds of silence after which something is done, by the type of a run's state."""

    seconds: Mapping[StateType, float]

    @classmethod
    def of(cls, recovery: Recovery) -> Limits:
        """Those of a settings file."""
        silent = recovery.zombie + SLACK_SECONDS
        return cls(
            seconds={
                StateType.PENDING: recovery.start,
                StateType.RUNNING: silent,
                StateType.CANCELLING: silent,
                StateType.CRASHED: recovery.requeue + SLACK_SECONDS,
            }
        )


class Silences:
    """For how long each run has given no sign, as far as was seen here."""

    def __init__(self) -> None:
        self._signs: dict[UUID, str] = {}
        self._seconds: dict[UUID, float] = {}
        self._last = -float("inf")

    def look(self, signs: Mapping[UUID, str], now: float) -> dict[UUID, float]:
        """Seconds of silence of each run.

        Parameters
        ----------
        signs : what changes when a run gives a sign of life or another state, by run; what is not in it is forgotten.
        now : a clock that only goes forward. The time since the look before counts as `LOOK_SECONDS` at most: whatever kept that look
            from being answered may have kept the signs from arriving, too.
        """
        passed = min(now - self._last, LOOK_SECONDS)
        self._last = now
        self._seconds = {run: self._seconds.get(run, 0.0) + passed if self._signs.get(run) == sign else 0.0 for run, sign in signs.items()}
        self._signs = dict(signs)
        return self._seconds


def next_state(state: State, silence: float, limits: Limits, crashes: Sequence[str], attempts: int) -> State | None:
    """The state to which a run is set that has been silent for so many seconds; None for none.

    Parameters
    ----------
    crashes : a line for each time that it crashed.
    attempts : that it is allowed.
    """
    if silence < limits.seconds.get(state.type, float("inf")):
        return None
    if state.type is StateType.CANCELLING:
        return Cancelled(message=f"no sign of life for {silence:.0f} s")
    if state.type is StateType.PENDING:
        return Crashed(message=f"not started for {silence:.0f} s: its worker may have ended")
    if state.type is StateType.RUNNING:
        return Crashed(message=f"no heartbeat for {silence:.0f} s")
    if len(crashes) > attempts:  # as the automation counts: a run that gets as far as its first line tells more of the reasons
        told = "\n".join(f"  {line}" for line in crashes)
        return Failed(message=f"{attempts} attempts are allowed, and the run crashed {len(crashes)} times:\n{told}")
    return AwaitingRetry(message=f"set back {silence:.0f} s after a crash")


class Tender:
    """Looks after the runs that the settings file of one name makes.

    Parameters
    ----------
    name, recovery : of the settings file.
    """

    def __init__(self, name: str, recovery: Recovery) -> None:
        self.tag = tag_of(name)
        self.limits = Limits.of(recovery)
        self.silences = Silences()

    def look(self, client: SyncPrefectClient) -> Iterator[str]:
        """Look at all runs once, and do what is due; a line for each thing done."""
        runs = {run.id: run for run in self._runs(client)}
        signs = {run.id: _sign(client, run) for run in runs.values()}
        for identity, silence in self.silences.look(signs, time.monotonic()).items():
            run = runs[identity]
            assert run.state is not None
            if silence < self.limits.seconds[run.state.type]:
                continue
            crashes = crash_lines(client.read_flow_run_states(identity))
            proposed = next_state(run.state, silence, self.limits, crashes, int(run.parameters.get("attempts", ATTEMPTS)))
            now = client.read_flow_run(identity)
            if proposed is None or now.state is None or _sign(client, now) != signs[identity]:
                continue
            answer = client.set_flow_run_state(identity, proposed)
            yield f"{run.name} ({identity}): {run.state.name} -> {proposed.name}, {answer.status.value.lower()}: {proposed.message}"

    def _runs(self, client: SyncPrefectClient) -> Iterator[FlowRun]:
        ours = FlowRunFilter(
            tags=FlowRunFilterTags(all_=[self.tag]),
            state=FlowRunFilterState(type=FlowRunFilterStateType(any_=list(self.limits.seconds))),
        )
        oldest = datetime.datetime.now(datetime.UTC) - OLDEST
        offset = 0
        while page := client.read_flow_runs(flow_run_filter=ours, sort=FlowRunSort.START_TIME_ASC, limit=PAGE, offset=offset):
            yield from (run for run in page if run.deployment_id and run.state and not _is_forgotten(run.state, oldest))
            offset += len(page)


def _is_forgotten(state: State, oldest: datetime.datetime) -> bool:
    return state.type is StateType.CRASHED and state.timestamp < oldest


def _sign(client: SyncPrefectClient, run: FlowRun) -> str:
    """What changes with a run's state and its heartbeats; a run that is Crashed and has them was a wrong alarm."""
    assert run.state is not None
    if run.state.type is StateType.PENDING:
        return str(run.state.id)
    asked = {"event": {"name": [f"{RUN}heartbeat"]}, "resource": {"id": [f"{RUN}{run.id}"]}, "order": "DESC"}
    events = client.request("POST", "/events/filter", json={"filter": asked, "limit": 1}).json()["events"]
    return f"{run.state.id} {events[0]['id'] if events else ''}"


def tend(path: Path) -> None:
    """Look every `LOOK_SECONDS`, for ever.

    Raises
    ------
    ConfigError
        for a file that cannot be used.
    ServerError
        when no server is named, none answers at the beginning, or it refuses; one that goes away later is waited for.
    """
    url = read().prefect_api_url
    if url is None:
        raise ServerError("PREFECT_API_URL is not set: name the server to look after, such as http://127.0.0.1:4200/api.")
    file = load(path)
    wait_until_ready(url, min(NAMED_SECONDS, read().server_seconds))
    tender, is_away = Tender(file.name, file.recovery), False
    while True:
        try:
            with get_client(sync_client=True) as client:
                for line in tender.look(client):
                    print(printable(line), flush=True)
            is_away = False
        except (httpx.HTTPError, PrefectException) as error:
            if isinstance(error, httpx.HTTPStatusError) and error.response.is_client_error:
                raise ServerError(refused(url, error)) from error
            if not is_away:
                print(printable(f"the server at {url} does not answer ({type(error).__name__}: {error}); asking again"), flush=True)
            is_away = True
        time.sleep(LOOK_SECONDS)


def main() -> int:
    """Entry point; the exit code."""
    parser = argparse.ArgumentParser(prog="fitcore tend")
    parser.add_argument("file", type=Path)
    words = parser.parse_args()
    try:
        tend(words.file)
    except (ConfigError, ServerError) as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return WRONG_INPUT
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
