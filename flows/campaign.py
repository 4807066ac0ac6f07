"""The flow `campaign`: every dataset of a folder that is not finished in the store becomes a run of `fit`, each only once."""

from __future__ import annotations

import datetime
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_client, get_run_logger
from prefect.client.schemas.objects import StateType
from prefect.exceptions import ObjectNotFound
from prefect.runtime import deployment as own_deployment

from fitcore import ConfigError, Store
from flows import catalogue
from flows.artifacts import Publisher
from flows.chain import Settings
from flows.deployed import ATTEMPTS, check_store, fit
from flows.inbox import Found, look
from flows.page_state import Trouble
from flows.pages import try_to_write
from flows.settings import read
from flows.subruns import Earlier, earlier_runs, number_of

MOST = 100
GIVEN_UP = datetime.timedelta(hours=1)
"""After which nobody sets a crashed run back any more."""


@flow(name="campaign", persist_result=False, retries=0)
def campaign(
    folder: str,
    pipeline: str,
    store: str,
    seed: int = 0,
    settings: Settings | None = None,
    attempts: int = ATTEMPTS,
    most: int = MOST,
    deployment: str | None = None,
) -> dict[str, int]:
    """Start a run of `fit` for each dataset in ``folder`` that is not finished; how many were found, started, and so on.

    What was started before and is waiting or running is left alone, and so is what failed: a person looks at it. A dataset that cannot be
    read is told, and harms no other.

    Parameters
    ----------
    folder, store : paths, as seen by the machine that runs this; each folder in ``folder`` is a dataset.
    most : how many to start at most; the rest is for the next time.
    deployment : name of the deployment that runs them, as ``fit/NAME``; None runs them here, one after another.
    """
    if not Path(folder).is_absolute() or not Path(store).is_absolute():
        raise ConfigError(
            f"The folder {folder!r} and the store {store!r} must be given from the root; a run starts in a folder of its own."
        )
    if most < 1:
        raise ConfigError(f"most is {most}; it must be at least 1.")
    entry = catalogue.find(pipeline)
    catalogue.check_stages(entry, settings or {})
    if own_deployment.get_id() is not None:
        check_store(store)
    target = None if deployment is None else target_of(deployment)
    common = {"pipeline": pipeline, "store": store, "seed": seed, "settings": settings or {}, "attempts": attempts}
    logger = get_run_logger()
    rows: list[dict[str, str]] = []
    n_started = 0
    for found in look(Path(folder), entry, Store(store, key=read().key), seed, settings or {}):
        if found.fault:
            status = f"bad: {found.fault}"
        elif found.is_finished:
            status = "finished"
        elif n_started >= most:
            status = "left for the next time"
        else:
            status = _in_place(found, common) if target is None else _start(found, common, target, attempts)
            n_started += status.startswith("started") or target is None
        rows.append({"name": found.name, "status": status})
        if status != "finished":
            logger.info("%s: %s", found.name, status)
    publisher = Publisher()
    publisher.table("campaign", rows)
    page = try_to_write(Store(store, key=read().key), logger.warning, _troubles(rows))
    if page is not None:
        publisher.link("campaign-page", str(page), "all results on one page")
    counts = {"found": len(rows), **Counter(row["status"].partition(":")[0].split()[0] for row in rows)}
    logger.info("%s", counts)
    return counts


def _troubles(rows: Sequence[dict[str, str]]) -> list[Trouble]:
    """The datasets that cannot be read, or were fitted here in vain."""
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    states = {"bad": "cannot be read", "failed": "failed"}
    told = [(row["name"], *row["status"].partition(": ")[::2]) for row in rows]
    return [Trouble(name=name, state=states[kind], text=text, time=now) for name, kind, text in told if kind in states]


def next_number(earlier: Sequence[Earlier], attempts: int, now: datetime.datetime) -> int | None:
    """Which run of the same work is to be started, counted from 1; None where the last one waits, runs, failed or was cancelled.

    One that completed though the store has nothing is done again. One that crashed goes on by itself; when it has not for an hour, nobody
    sets it back, and another is started, as often as ``attempts`` allows.
    """
    if not earlier:
        return 1
    last = max(earlier, key=number_of)
    if last.state is None:
        return None
    is_given_up = last.state.type is StateType.CRASHED and now - last.state.timestamp > GIVEN_UP and len(earlier) < attempts
    return number_of(last) + 1 if is_given_up or last.state.type is StateType.COMPLETED else None


def target_of(deployment: str) -> UUID:
    """The identity of the deployment that runs the datasets.

    Raises
    ------
    ConfigError
        when it is not there, or its work pool is gone, so that its runs would wait for ever.
    """
    with get_client(sync_client=True) as client:
        try:
            found = client.read_deployment_by_name(deployment)
        except ObjectNotFound as error:
            raise ConfigError(f"There is no deployment {deployment!r} on the server. Run 'fitcore deploy' again.") from error
    if found.work_pool_name is None:
        raise ConfigError(
            f"The work pool of the deployment {deployment!r} was removed: its runs would wait for ever. Run 'fitcore deploy' again."
        )
    return found.id


def _start(found: Found, common: dict[str, Any], target: UUID, attempts: int) -> str:
    """Start a run where none is; what became of it."""
    earlier = earlier_runs(found.key)
    number = next_number(earlier, attempts, datetime.datetime.now(datetime.UTC))
    if number is None:
        state = earlier[-1].state
        told = "waiting" if state is None else state.type.value.lower()
        return f"{told}: it is run {len(earlier)} of this work"
    with get_client(sync_client=True) as client:
        run = client.create_flow_run_from_deployment(
            target,
            parameters={**common, "dataset": str(found.path)},
            name=found.name,
            idempotency_key=f"{found.key}-{number}",
        )
    return f"started: {run.id}"


def _in_place(found: Found, common: dict[str, Any]) -> str:
    """Fit it here; what became of it."""
    try:
        fit(dataset=str(found.path), **common)
    except Exception as error:  # one bad dataset must not end the others
        return f"failed: {error}"
    return "fitted"
