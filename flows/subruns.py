"""A run's own runs of another deployment: found by the key of the work, started where none is, and waited for.

The store decides: what is there is done, whatever the server says of the run that made it. One run at a time is waited for; another is
started only when the one before has ended for good.
"""

from __future__ import annotations

import datetime
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

import httpx
from prefect import get_client, get_run_logger
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterIdempotencyKey
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import flow_run

from fitcore import ConfigError, Store, digest
from flows.settings import read
from flows.worker_client import WORKERS

MOST_RUNS = 50
"""Runs of the same work that are looked for."""
POLL_SECONDS = 5.0
CRASHED_SECONDS = 600.0
"""After which nobody sets a crashed run back any more; a doubled run would wait for the lease of the first."""
SEEN_SECONDS = 60.0
"""Until a file that another machine has written must be seen here; network file systems remember for a while that it was not there."""
OUTAGE_SECONDS = 1800.0
"""How long the server may be silent."""
ENDED = (StateType.COMPLETED, StateType.FAILED, StateType.CANCELLED)


class SubrunError(RuntimeError):
    """A run that this one waited for ended without what it was to compute."""


class Earlier(Protocol):
    """A run of the same work, as Prefect's client has it."""

    id: UUID
    name: str
    idempotency_key: str | None
    state: Any


@dataclass(frozen=True, kw_only=True)
class Work:
    """What a run of another deployment is to compute.

    Parameters
    ----------
    deployment : as ``latents/NAME``.
    key : the same for the same work in the same store; a run's idempotency key is this with its number.
    parameters : of the run.
    what : in words.
    attempts : how many runs may be started for it, counted over all runs of its parent.
    """

    deployment: str
    key: str
    parameters: dict[str, Any]
    what: str
    attempts: int


def number_of(run: Earlier) -> int:
    """Which run of its work it is, from 1."""
    return int((run.idempotency_key or "-0").rpartition("-")[2])


def earlier_runs(key: str) -> list[Any]:
    """The runs of the work of that key, in order."""
    keys = [f"{key}-{number}" for number in range(1, MOST_RUNS + 1)]
    with get_client(sync_client=True) as client:
        found = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(idempotency_key=FlowRunFilterIdempotencyKey(any_=keys)),
            sort=FlowRunSort.START_TIME_ASC,
            limit=MOST_RUNS,
        )
    return sorted(found, key=number_of)


def start(work: Work, number: int) -> Any:
    """Start a run as a part of this one; the server gives back the run of that number where there is one already.

    Raises
    ------
    ConfigError
        when there is no such deployment.
    """
    try:
        return run_deployment(
            work.deployment,
            parameters=work.parameters,
            timeout=0,
            as_subflow=True,
            idempotency_key=f"{work.key}-{number}",
            flow_run_name=f"{flow_run.get_name()} {work.deployment.partition('/')[0]}",
        )
    except ObjectNotFound as error:
        raise ConfigError(
            f"The server has no deployment {work.deployment!r}, which is to compute {work.what}. Make it by 'fitcore deploy', or leave "
            "it out of the parameters."
        ) from error


def has_ended(run: Earlier, now: datetime.datetime) -> bool:
    """Whether nothing more is to be expected of a run: one that crashed is set back, if ever, within `CRASHED_SECONDS`."""
    if run.state is None:
        return False
    is_given_up = run.state.type is StateType.CRASHED and (now - run.state.timestamp).total_seconds() > CRASHED_SECONDS
    return run.state.type in ENDED or is_given_up


def told(run: Earlier) -> str:
    """A run and its state in words."""
    state = "no state" if run.state is None else f"{run.state.name}{f': {run.state.message}' if run.state.message else ''}"
    return f"run {run.name!r} ({run.id}): {state}"


def is_outage(error: Exception) -> bool:
    """Whether the server may answer later: it is not there, or has a fault of its own."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
    return isinstance(error, httpx.TransportError) or isinstance(error.__cause__, httpx.TransportError)


def computed(work: Work, is_stored: Callable[[], bool], say: Callable[[str], None]) -> None:
    """Return when the store has it: computed by the run that is at it, or by one that is started.

    A run that had ended before this process first saw it is history: the next one is started, up to ``work.attempts``.

    Raises
    ------
    SubrunError
        when the run that was waited for failed or was cancelled, with its own reason; when so many runs ended in vain.
    ConfigError
        when it completed and the store as seen here has nothing.
    """
    alive: set[UUID] = set()
    before, answered = "", time.monotonic()
    while not is_stored():
        try:
            runs = earlier_runs(work.key)
            now = datetime.datetime.now(datetime.UTC)
            if not runs or has_ended(runs[-1], now):
                if runs and runs[-1].id in alive and _has_given(runs[-1], work, is_stored):
                    return
                runs = [*runs, _started(work, runs)]
            answered = time.monotonic()
        except Exception as error:
            if not is_outage(error) or time.monotonic() - answered > OUTAGE_SECONDS:
                raise
            line = f"the server does not answer ({type(error).__name__}: {error}); waiting for {work.what} all the same"
        else:
            alive.add(runs[-1].id)
            line = f"waiting for {work.what}, computed by the deployment {work.deployment!r}: {told(runs[-1])}"
        if line != before:
            say(line)
        before = line
        time.sleep(POLL_SECONDS)


def _started(work: Work, runs: Sequence[Earlier]) -> Any:
    number = number_of(runs[-1]) + 1 if runs else 1
    if number > min(work.attempts, MOST_RUNS):
        lines = "\n".join(f"  {told(run)}" for run in runs)
        raise SubrunError(
            f"{work.attempts} runs of {work.deployment!r} are allowed for {work.what}, and so many ended in vain:\n{lines}\n"
            "The searches are in the store. Remove the cause, then start this run again with a larger number of attempts."
        )
    return start(work, number)


def _has_given(run: Earlier, work: Work, is_stored: Callable[[], bool]) -> bool:
    """Whether the store has it, now that the run that was waited for has ended; False where it crashed and was given up."""
    if run.state.type is StateType.CRASHED:
        return is_stored()
    if run.state.type is not StateType.COMPLETED:
        raise SubrunError(
            f"The deployment {work.deployment!r} was to compute {work.what}, and its {told(run)}\nThe searches are in the store. Remove "
            "the cause, then start this run again: it starts another of that deployment."
        )
    end = time.monotonic() + SEEN_SECONDS
    while time.monotonic() < end:
        if is_stored():
            return True
        time.sleep(min(1.0, POLL_SECONDS))
    raise ConfigError(
        f"The {told(run)}; but the store {work.parameters['store']} as {socket.gethostname()} sees it does not have {work.what}. Is it a "
        f"folder that this machine shares with the workers of {work.deployment!r}? Mount one disk there on both, under the same path."
    )


def latents_elsewhere(deployment: str, stage: str, digests: dict[str, str], request: dict[str, Any], attempts: int) -> str:
    """The latent variables of a stage by a run of ``deployment``; the digest of the result they belong to. To be called within a flow."""
    part = WORKERS.current().ask("latents_part", **request)
    store, own = Store(request["store"], key=read().key), digests[stage]

    def is_stored() -> bool:
        return store.lookup(own, part) is not None

    if not is_stored():
        WORKERS.close()  # its memory is for others while this process waits
        work = Work(
            deployment=deployment,
            key=f"{own}-{digest({'store': request['store'], 'part': part})[:8]}",
            parameters={**{key: value for key, value in request.items() if key != "origins"}, "stage": stage, "digests": digests},
            what=f"the latent variables of stage {stage!r} ({own[:12]})",
            attempts=attempts,
        )
        computed(work, is_stored, get_run_logger().info)
    return own
