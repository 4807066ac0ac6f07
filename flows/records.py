"""What is noted in the store about a chain of a dataset; `fitcore.store.chains` makes the rows of it. No search here, and no Prefect."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fitcore import Pipeline, Result, StageOutcome, Store
from fitcore.store.chains import checked, row_of
from flows.catalogue import Entry

__all__ = ["checked", "command_of", "links_of", "record", "report_path", "row_of", "unfinished_row"]


def report_path(store: Store, pipeline: str, name: str) -> Path:
    """Where the report of a dataset of that name goes."""
    return store.reports / pipeline / f"{name}.html"


def links_of(pipeline: Pipeline) -> list[dict[str, Any]]:
    """What each stage takes from the earlier ones, as plain data."""
    return [
        {"stage": stage.name, "source": link.source, "kind": link.kind, "what": link.what, "why": link.why}
        for stage in pipeline
        for link in stage.links
    ]


def command_of(request: Mapping[str, Any]) -> str:
    """The command that asks for the same again."""
    words = [
        "fitcore",
        "run",
        request["dataset"],
        "--pipeline",
        request["pipeline"],
        "--store",
        request["store"],
        "--seed",
        str(request["seed"]),
    ]
    for stage, fields in request["settings"].items():
        for field, value in fields.items():
            words += ["--set", f"{stage}.{field}={value}"]
    return shlex.join(words)


def record(
    store: Store,
    entry: Entry,
    dataset: Any,
    results: Mapping[str, Result],
    outcomes: Sequence[StageOutcome],
    request: Mapping[str, Any],
) -> None:
    """Note the chain of a dataset under its name, with the summary that `show` and `table` print."""
    extra = {
        "summary": entry.describe(dataset, results),
        "outcomes": [outcome.to_dict() for outcome in outcomes],
        "seed": request["seed"],
        "settings": request["settings"],
        "report": request["target"],
    }
    store.record_run(dataset.name, entry.name, {name: result.digest for name, result in results.items()}, extra)


def unfinished_row(name: str, pipeline: str, status: str, error: str) -> dict[str, Any]:
    """The row of a chain that failed or was interrupted."""
    return {
        "name": name,
        "pipeline": pipeline,
        "status": status,
        "verdict": "",
        "headline": "",
        "reasons": [],
        "stages": [],
        "parameters": {},
        "latents": {},
        "measures": {},
        "blame": "",
        "error": error,
    }
