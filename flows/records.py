"""What is noted in the store about a chain of a dataset, and the rows made of it. No search here, and no Prefect."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from fitcore import Pipeline, Result, StageOutcome, Store
from flows.catalogue import Entry


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


def row_of(run: Mapping[str, Any], *, cached: bool | None = None) -> dict[str, Any]:
    """The row of a finished chain, as `fitcore run --json` prints it."""
    extra = run["extra"]
    outcomes = extra["outcomes"]
    if cached is not None:
        outcomes = [{**outcome, "cached": cached} for outcome in outcomes]
    return {
        "name": run["name"],
        "pipeline": run["pipeline"],
        "status": "done",
        "verdict": extra["summary"]["verdict"],
        "headline": extra["summary"]["headline"],
        "reasons": extra["summary"]["reasons"],
        "stages": outcomes,
        "parameters": extra["summary"]["parameters"],
        "latents": extra["summary"]["latents"],
        "seed": extra["seed"],
        "report": extra["report"],
    }


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
        "error": error,
    }
