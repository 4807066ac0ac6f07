"""The flow `report`: the reports of finished chains written again from the store, and the campaign page; nothing is searched.

For the night after fitcore was brought up to date, or after reports were lost. A run that was killed is set back by the automations of
`fitcore deploy` and goes on: what it has written is not written again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect import flow, get_client, get_run_logger
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run
from prefect.states import Cancelled

from fitcore import ConfigError, FitcoreError, Store
from flows.artifacts import Publisher
from flows.cancelling import NO_ANSWER, CancelledRunError, Watch, watching
from flows.deployed import check_store
from flows.pages import try_to_write
from flows.protocol import RemoteError
from flows.records import place_of, report_path
from flows.rewriting import page_request
from flows.settings import read
from flows.telling import logged
from flows.worker_client import WORKERS


class ReportsMissingError(RuntimeError):
    """Some reports could not be written; the others were."""


@flow(name="report", persist_result=False, retries=0)
def report(store: str, names: list[str] | None = None, pipeline: str | None = None) -> dict[str, int] | State:
    """Write reports again; how many were written, and were there from an earlier attempt of this run. Or the state Cancelled.

    Parameters
    ----------
    store : its path, as seen by the machine that runs this; the datasets must be where they were when they were fitted.
    names : of datasets in the store; all where there are none.
    pipeline : only chains of this one. Where it is None, of a name the chain that was noted last, or all.

    Raises
    ------
    ConfigError
        for a store that is not there, or a relative path.
    ResultNotFoundError
        for a name that is not in the store.
    ReportsMissingError
        when some could not be written, with the reason of each, after the others were.
    """
    if not Path(store).is_absolute():
        raise ConfigError(f"The store {store!r} is a relative path; a run starts in a folder of its own. Give it from the root.")
    check_store(store)
    kept = Store(store, key=read().key)
    chosen = [kept.run(name, pipeline) for name in names or []] or [run for run in kept.runs() if pipeline in (None, run["pipeline"])]
    began = start_of_first_attempt(flow_run.get_id()) if flow_run.get_run_count() > 1 else None
    try:
        with logged(), watching(flow_run.get_id(), lambda: None) as watch:
            rows = [_one(kept, run, began, watch) for run in chosen]
    except CancelledRunError as error:
        return Cancelled(message=str(error))
    finally:
        WORKERS.close()
    return _told(kept, rows)


def start_of_first_attempt(run_id: str | None) -> float | None:
    """When a run began first, in seconds since 1970; None where the server cannot tell."""
    if run_id is None:
        return None
    try:
        with get_client(sync_client=True) as client:
            began = client.read_flow_run(UUID(run_id)).start_time
    except NO_ANSWER:
        return None
    return None if began is None else began.timestamp()


def is_written(target: Path, began: float | None) -> bool:
    """Whether a report was written since then."""
    return began is not None and target.is_file() and target.stat().st_mtime >= began


def _one(store: Store, run: Mapping[str, Any], began: float | None, watch: Watch) -> dict[str, str]:
    """A report written, or why it was not."""
    watch.refuse()
    target = report_path(store, run["pipeline"], run["name"])
    row = {"name": run["name"], "pipeline": run["pipeline"]}
    if is_written(target, began):
        return {**row, "status": "there", "report": str(target)}
    try:
        path = WORKERS.current().ask("page", **page_request(store, run, target, place_of(run, None)))
    except (FitcoreError, RemoteError) as error:
        get_run_logger().warning("%s: %s", run["name"], error)
        return {**row, "status": f"failed: {error}", "report": ""}
    WORKERS.renew()
    return {**row, "status": "written", "report": path}


def _told(store: Store, rows: Sequence[Mapping[str, str]]) -> dict[str, int]:
    """The table of the run and the page of the campaign; the counts."""
    publisher = Publisher()
    publisher.table("report", rows)
    if (page := try_to_write(store, get_run_logger().warning)) is not None:
        publisher.link("campaign-page", str(page), "all results on one page")
    faults = [f"  {row['name']}: {row['status'].removeprefix('failed: ')}" for row in rows if row["status"].startswith("failed")]
    if faults:
        raise ReportsMissingError(f"{len(faults)} of {len(rows)} reports could not be written:\n" + "\n".join(faults))
    return {status: sum(row["status"] == status for row in rows) for status in ("written", "there")}
