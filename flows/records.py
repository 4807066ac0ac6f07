"""What is noted in the store about a chain of a dataset, and the rows made of it. No search here, and no Prefect."""

from __future__ import annotations

import reprlib
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from fitcore import Pipeline, Result, StageOutcome, Store, StoreError
from flows.catalogue import Entry

NUMBER = (int, float)
QUANTITIES = {...: {"median": NUMBER, "lower": NUMBER, "upper": NUMBER}}
OUTCOME = {
    "name": str,
    "digest": str,
    "cached": bool,
    "n_calls": int,
    "log_evidence": NUMBER,
    "log_evidence_error": NUMBER,
    "seconds": NUMBER,
    "grade": str,
}
SUMMARY = {"verdict": str, "headline": str, "reasons": [str], "parameters": QUANTITIES, "latents": QUANTITIES}
# A dict with ``...`` may have any keys, a list any length.
NOTED = {"summary": SUMMARY, "outcomes": [OUTCOME], "seed": int, "settings": {...: {...: object}}, "report": str}


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


def checked(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """The note of a run, if it holds what `record` notes, each of its type: whoever wrote it, it can be shown.

    Raises
    ------
    StoreError
        when it does not.
    """
    fault = _fault(run["extra"], NOTED, "extra") or ("" if run["extra"]["outcomes"] else "extra.outcomes is empty")
    if fault:
        raise StoreError(
            f"the note of the run {run['name']!r} with pipeline {run['pipeline']!r} cannot be shown: {fault}. Run the chain again: what is "
            "stored is found, and noted anew"
        )
    return run


def _fault(value: Any, form: Any, where: str) -> str:
    """In words, where a value is not of a form; empty if it is."""
    if isinstance(form, dict):
        if not isinstance(value, dict):
            return f"{where} is {reprlib.repr(value)}, and must be a mapping"
        forms = dict.fromkeys(value, form[...]) if ... in form else form
        missing = [key for key in forms if key not in value]
        found = (_fault(value[key], kind, f"{where}.{reprlib.repr(key)[1:-1]}") for key, kind in forms.items())
        return f"{where} has no {missing[0]}" if missing else next(filter(None, found), "")
    if isinstance(form, list):
        if not isinstance(value, list):
            return f"{where} is {reprlib.repr(value)}, and must be a list"
        return next(filter(None, (_fault(item, form[0], f"{where}[{i}]") for i, item in enumerate(value))), "")
    is_good = isinstance(value, form) and (form in (bool, object) or not isinstance(value, bool))
    return "" if is_good else f"{where} is {reprlib.repr(value)}, which is of the wrong type"


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
