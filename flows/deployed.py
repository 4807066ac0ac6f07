"""The flow `fit` that a deployment runs: one dataset from its folder to its report, with nobody at a command line.

A run that was killed is set back to scheduled by the automations of `fitcore deploy`, and comes here again as the same run. What counts the
attempts is therefore not in this process: the store keeps them, and so do the states of the run. Beyond the limit an ordinary exception
ends the run as Failed, which nothing sets back.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_client, get_run_logger
from prefect.client.schemas.objects import State, StateType
from prefect.runtime import deployment, flow_run
from prefect.states import Cancelled

from fitcore import ConfigError
from flows import catalogue
from flows.artifacts import name_of_run
from flows.cancelling import NO_ANSWER, CancelledRunError, Watch, watching
from flows.chain import Settings, run_stages
from flows.engines import check
from flows.protocol import RemoteError
from flows.settings import DEPLOYMENT, read
from flows.subruns import latents_elsewhere
from flows.telling import logged
from flows.worker_client import WORKERS

ATTEMPTS = 5
LEASE_SECONDS = 30.0
"""Between two looks at a result that another process is at work on."""
STOPPED = ("WorkerDied", "SearchInterruptedError")
"""The worker alone ended: this process goes on with another."""


class AttemptsSpentError(RuntimeError):
    """A dataset was tried as often as is allowed."""


@flow(name="fit", flow_run_name=name_of_run, persist_result=False, retries=0)
def fit(
    dataset: str,
    pipeline: str,
    store: str,
    seed: int = 0,
    settings: Settings | None = None,
    attempts: int = ATTEMPTS,
    latents: str | None = None,
) -> str | State:
    """One dataset through all stages of a pipeline, its latent variables and its report; the report's path, or the state Cancelled.

    Parameters
    ----------
    dataset, store : paths of the dataset's folder and of the store, as seen by the machine that runs this.
    pipeline : short name of an installed pipeline.
    settings : search settings to replace, by stage and field.
    attempts : how often the run may start on one part of the chain before it gives up.
    latents : name of the deployment that computes the latent variables, as ``latents/NAME``; None computes them here.

    Raises
    ------
    ConfigError
        for input that cannot be used, before any work.
    AttemptsSpentError
        when ``attempts`` attempts ended in vain, with how each of them ended.
    SubrunError
        when the run that was to compute the latent variables failed or was cancelled.
    """
    request = checked_request(dataset, pipeline, store, seed, settings or {}, attempts)
    if deployment.get_id() is not None:
        check_store(store)
    elsewhere = None if latents is None else lambda stage, digests: latents_elsewhere(latents, stage, digests, request, attempts)
    return served(
        request, attempts, lambda: run_stages(**WORKERS.current().ask("stages", **request), request=request, latents_of=elsewhere)
    )


def served(request: dict[str, Any], attempts: int, work: Callable[[], str]) -> str | State:
    """What ``work`` returns, done by workers whose news go to the run's log, and tried no more often than ``attempts`` allows."""
    crashes = crashes_of(flow_run.get_id())
    pids: list[int] = []

    def hear(event: dict[str, Any]) -> None:
        if event.get("event") == "worker":
            pids.append(event["pid"])

    try:
        with logged(hear), watching(flow_run.get_id(), lambda: pids[-1] if pids else None) as watch:
            return _until_done(work, request, attempts, crashes, watch)
    except CancelledRunError as error:
        return Cancelled(message=str(error))
    finally:
        WORKERS.close()  # a search in progress is saved first


def checked_request(dataset: str, pipeline: str, store: str, seed: int, settings: Settings, attempts: int) -> dict[str, Any]:
    """The request to the worker, of parameters that can be used.

    Raises
    ------
    ConfigError
        for a dataset that is not there, an unknown pipeline or stage, a relative path, or a number below its least.
    """
    for what, path in (("dataset", dataset), ("store", store)):
        if not Path(path).is_absolute():
            raise ConfigError(f"The {what} {path!r} is a relative path; a run starts in a folder of its own. Give it from the root.")
    if not Path(dataset).is_dir():
        raise ConfigError(f"The dataset {dataset} is not a folder on {socket.gethostname()}. Is the disk with the datasets mounted there?")
    if seed < 0 or attempts < 1:
        raise ConfigError(f"seed is {seed} and attempts is {attempts}; they must be at least 0 and 1.")
    check(read().engine)
    entry = catalogue.find(pipeline)
    catalogue.check_stages(entry, settings)
    origins = dict.fromkeys(
        ["pipeline", "store", "seed", *(f"{stage}.{field}" for stage in settings for field in settings[stage])], DEPLOYMENT
    )
    return {"dataset": dataset, "pipeline": pipeline, "store": store, "seed": seed, "settings": settings, "origins": origins}


def check_store(store: str) -> None:
    """Raise ConfigError for a store that is not there: `fitcore deploy` made it, so here its disk is missing, and one made here is lost."""
    if not Path(store).is_dir():
        raise ConfigError(
            f"The store {store} is not on {socket.gethostname()}, where this run is. Is the disk with the store mounted there, under the "
            "same name as for everybody else? If it is to be a new store, make that folder."
        )


def crashes_of(run_id: str | None) -> list[str]:
    """A line for each time that this run crashed; none where the server cannot be asked: the store counts as well."""
    if run_id is None:
        return []
    try:
        with get_client(sync_client=True) as client:
            states = client.read_flow_run_states(UUID(run_id))
    except NO_ANSWER:
        return []
    return crash_lines(states)


def crash_lines(states: Iterable[State]) -> list[str]:
    """A line for each attempt of a run that crashed, of its states in order.

    A worker may tell of a death that was told already, when the run has been set back and not begun again: that counts once.
    """
    lines, has_begun = [], True
    for state in states:
        has_begun |= state.type in (StateType.PENDING, StateType.RUNNING)
        if state.type is StateType.CRASHED and has_begun:
            lines.append(f"the run crashed at {state.timestamp:%Y-%m-%d %H:%M:%S} UTC: {state.message}")
            has_begun = False
    return lines


def refuse_beyond(attempts: int, in_store: list[str], of_run: list[str]) -> None:
    """Raise AttemptsSpentError when as many attempts as are allowed were made: by the store's account, or by the run's."""
    if max(len(in_store), len(of_run)) >= attempts:
        told = "\n".join(f"  {line}" for line in [*in_store, *of_run])
        raise AttemptsSpentError(
            f"{attempts} attempts are allowed, and so many ended in vain:\n{told}\n"
            "Remove the cause, then start the run again with a larger number of attempts; what is saved is used."
        )


def _until_done(work: Callable[[], str], request: dict[str, Any], attempts: int, crashes: list[str], watch: Watch) -> str:
    """The work, begun again in another worker where one ended, and after a wait where another process is at work."""
    lost = list(crashes)
    while True:
        watch.refuse()
        try:
            refuse_beyond(attempts, WORKERS.current().ask("attempts", **request), lost)
            return work()
        except RemoteError as error:
            watch.refuse()
            if error.kind in STOPPED:
                lost.append(str(error))
                WORKERS.close()
                refuse_beyond(attempts, [], lost)
            elif error.kind == "LeaseHeldError":
                get_run_logger().warning("%s; looking again in %.0f s", error.message, LEASE_SECONDS)
                time.sleep(LEASE_SECONDS)
            else:
                raise
