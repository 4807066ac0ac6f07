"""`fitcore report`: a report written once more, by a worker process, from the store, the note of the run and the data."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from fitcore import ConfigError, FitcoreError, Store
from flows.console import Display
from flows.protocol import RemoteError
from flows.records import place_of, report_path
from flows.settings import Settings
from flows.worker_client import WorkerProcess


def target_of(store: Store, run: Mapping[str, Any], output: Path | None, *, is_one: bool) -> Path:
    """Where a report goes: its own place in the store, the file that is named, or a file of its name in the folder that is named."""
    if output is None:
        return report_path(store, run["pipeline"], run["name"])
    return output.absolute() if is_one and not output.is_dir() else output.absolute() / f"{run['name']}.html"


def rewritten(
    store: Store, runs: Sequence[Mapping[str, Any]], output: Path | None, folder: Path | None, settings: Settings, display: Display
) -> Iterator[dict[str, Any]]:
    """``name``, ``pipeline`` and ``report`` (or ``error``) of each of some noted runs, whose reports are written anew.

    Raises
    ------
    FitcoreError
        for the only one; of several, the others are written.
    """
    with ExitStack() as stack:
        worker: WorkerProcess | None = None
        for run in runs:
            told = {"name": run["name"], "pipeline": run["pipeline"]}
            display.hear({"event": "dataset", "name": run["name"]})
            try:
                place = place_of(run, folder)
                if worker is None:
                    worker = stack.enter_context(closing(WorkerProcess(display.hear, settings.threads)))
                    stack.enter_context(display)
                yield {**told, "report": _rewritten(worker, store, run, target_of(store, run, output, is_one=len(runs) == 1), place)}
            except FitcoreError as error:
                if len(runs) == 1:
                    raise
                yield {**told, "error": str(error)}


def page_request(store: Store, run: Mapping[str, Any], target: Path, place: Path) -> dict[str, Any]:
    """What a worker is asked so that it writes the report of a noted run, whose data are in ``place``, from the store alone."""
    extra = run["extra"]
    return {
        "dataset": str(place.absolute()),
        "pipeline": run["pipeline"],
        "store": str(store.path),
        "seed": extra["seed"],
        "settings": extra["settings"],
        "digests": dict(run["stages"]),
        "cached": [outcome["name"] for outcome in extra["outcomes"] if outcome["cached"]],
        "why": extra.get("why", {}),
        "target": str(target),
    }


def _rewritten(worker: WorkerProcess, store: Store, run: Mapping[str, Any], target: Path, place: Path) -> str:
    try:
        return worker.ask("page", **page_request(store, run, target, place))
    except RemoteError as error:
        raise ConfigError(error.message) from error
