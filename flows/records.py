"""What is noted in the store about a chain of a dataset; `fitcore.store.chains` makes the rows of it. No search here, and no Prefect."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from fitcore import ConfigError, Pipeline, Result, Stage, StageOutcome, Store, canonical
from fitcore.board import Board
from fitcore.chain import asked
from fitcore.identity import form_differences
from fitcore.store.chains import checked
from fitcore.store.layout import report_file
from flows.catalogue import Entry, board
from flows.settings import DEFAULT, Settings

ABOUT_RUNS = ("threads", "cache", "engine", "engine_address", "latents_resources", "prefect_api_url", "server_seconds", "key_file")


def report_path(store: Store, pipeline: str, name: str) -> Path:
    """Where the report of a dataset of that name goes."""
    return report_file(store.reports, pipeline, name)


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


def in_force(settings: Settings, request: Mapping[str, Any], stage: Stage, seed: int) -> dict[str, dict[str, Any]]:
    """Every setting of a stage's run, defaults included: its ``value``, and ``from`` where it is (default, file, environment, option or
    deployment). The fields of the stage's search are named ``search.FIELD``, and ``stage_seed`` is what the search gets for the seed.
    """
    origins: Mapping[str, str] = request.get("origins", {})
    told = {
        name: {"value": value, "from": settings.origins.get(name, DEFAULT)} for name, value in settings.asked.items() if name in ABOUT_RUNS
    }
    for name in ("pipeline", "store", "seed"):
        told[name] = {"value": request[name], "from": origins.get(name, DEFAULT)}
    told["stage_seed"] = {"value": seed, "from": "the seed and the name of the stage"}
    for field, value in list(stage.search.identity().items())[2:]:
        told[f"search.{field}"] = {"value": value, "from": origins.get(f"{stage.name}.{field}", DEFAULT)}
    return told


def record(
    store: Store,
    entry: Entry,
    dataset: Any,
    results: Mapping[str, Result],
    outcomes: Sequence[StageOutcome],
    request: Mapping[str, Any],
) -> None:
    """Note the chain of a dataset under its name, with the summary that `show` and `table` print."""
    summary = entry.describe(dataset, results)
    extra = {
        "summary": {**summary, "units": units_of(board(entry), [*summary["parameters"], *summary["latents"]])},
        "outcomes": [outcome.to_dict() for outcome in outcomes],
        "seed": request["seed"],
        "settings": request["settings"],
        "report": request["target"],
        "dataset": request["dataset"],
        "why": request["why"],
    }
    store.record_run(dataset.name, entry.name, {name: result.digest for name, result in results.items()}, extra)


def units_of(board: Board, names: Iterable[str]) -> dict[str, str]:
    """The unit of each name that has one: so it can be told where the pipeline is not installed."""
    return {name: unit for name in names if (unit := board.about_column(name).unit)}


def place_of(run: Mapping[str, Any], folder: Path | None) -> Path:
    """Where the data of a noted run are: in the folder that is named, or in the one that was noted.

    Raises
    ------
    ConfigError
        when that is not known, or there is no such folder.
    StoreError
        when the note of the run cannot be used.
    """
    name, known = run["name"], checked(run)["extra"].get("dataset") or None
    if folder is None and known is None:
        raise ConfigError(f"Where the data of {name!r} are was not noted: an earlier fitcore ran it. Name their folder by --dataset.")
    place = Path(str(known)) if folder is None else folder
    if not place.is_dir():
        raise ConfigError(
            f"The data of {name!r} {'were' if folder is None else 'are to be'} in {place}, and there is no such folder. "
            "Bring them back, or say where they are by --dataset FOLDER."
        )
    return place


def refuse_others(pipeline: Pipeline, dataset: Any, store: Store, request: Mapping[str, Any]) -> None:
    """Raise ConfigError where a dataset, as it would be asked now, is not what the digests of a request are of: with what differs."""
    requests = asked(pipeline, dataset, store, seed=request["seed"])
    for stage, digest in request["digests"].items():
        record = store.lookup(digest)
        if record is None:
            raise ConfigError(
                f"The result of stage {stage!r} ({digest[:12]}) is not in the store {store.path} any more. Run the chain again: "
                f"{command_of(request)}."
            )
        if stage not in requests or requests[stage].digest != digest:
            lines = form_differences(record.spec, canonical(requests[stage].specification)) if stage in requests else []
            told = "; ".join(lines[:3]) or "that the pipeline has other stages now"
            raise ConfigError(
                f"{request['dataset']} is not what was fitted as {dataset.name!r}: stage {stage!r} differs in {told}. Name the folder that "
                f"was fitted by --dataset, or fit this one: {command_of(request)}."
            )


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
        "units": {},
        "error": error,
    }
