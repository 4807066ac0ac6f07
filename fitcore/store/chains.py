"""The notes of finished chains as rows: what `fitcore run` tells of a dataset, what tables list, what campaign pages show.

A note is written by those who run chains (`flows.records`), through `fitcore.store.runs`; here it is checked, whoever wrote it, and read.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fitcore.errors import StoreError


class _Strict(BaseModel):
    """No value is taken for one of another type; keys that are not named are let through."""

    model_config = ConfigDict(strict=True, defer_build=True)  # a listing that is answered from the index checks no note


class _Quantity(_Strict):
    median: float
    lower: float
    upper: float


class _Outcome(_Strict):
    name: str
    digest: str
    cached: bool
    n_calls: int
    log_evidence: float
    log_evidence_error: float
    seconds: float
    grade: str


class _Summary(_Strict):
    """``measures`` are numbers without errors; ``blame`` is the stage that the reasons blame; ``units`` are by name.

    They came later than the rest.
    """

    verdict: str
    headline: str
    reasons: list[str]
    parameters: dict[str, _Quantity]
    latents: dict[str, _Quantity]
    measures: dict[str, float] = {}
    blame: str = ""
    units: dict[str, str] = {}


class _Noted(_Strict):
    """What is in the extra facts of the note of a finished chain."""

    summary: _Summary
    outcomes: Annotated[list[_Outcome], Field(min_length=1)]
    seed: int
    settings: dict[str, dict[str, Any]]
    report: str
    dataset: str = ""
    why: dict[str, str] = {}


def checked(run: Mapping[str, Any]) -> Mapping[str, Any]:
    """The note of a run, if it holds what a finished chain's does, each of its type: whoever wrote it, it can be shown.

    Raises
    ------
    StoreError
        when it does not.
    """
    try:
        _Noted.model_validate(run["extra"])
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        where = ".".join(("extra", *map(str, fault["loc"])))
        raise StoreError(
            f"the note of the run {run['name']!r} with pipeline {run['pipeline']!r} cannot be shown: {where} is "
            f"{reprlib.repr(fault['input'])}: {fault['msg']}. Run the chain again: what is stored is found, and noted anew"
        ) from error
    return run


def row_of(run: Mapping[str, Any], *, cached: bool | None = None) -> dict[str, Any]:
    """The row of a finished chain, as `fitcore run --json` prints it."""
    extra = run["extra"]
    outcomes = extra["outcomes"]
    if cached is not None:
        outcomes = [{**outcome, "cached": cached} for outcome in outcomes]
    summary = extra["summary"]
    return {
        "name": run["name"],
        "pipeline": run["pipeline"],
        "status": "done",
        "verdict": summary["verdict"],
        "headline": summary["headline"],
        "reasons": summary["reasons"],
        "stages": outcomes,
        "parameters": summary["parameters"],
        "latents": summary["latents"],
        "measures": summary.get("measures", {}),
        "blame": summary.get("blame", ""),
        "units": summary.get("units", {}),
        "seed": extra["seed"],
        "report": extra["report"],
    }
