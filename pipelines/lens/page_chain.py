"""What a report tells of a chain: its stages, how far each moved the posterior, how searches went, where all comes from, and files."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fitcore import Result, StageOutcome
from pipelines.lens.movement import movements
from pipelines.lens.report_content import Download, Link, Quantity, StageRow
from pipelines.lens.search_pictures import SearchHealth

ABOUT = ("host", "platform", "device", "committed")
COLUMNS = ("name", "unit", "median", "lower_1_sigma", "upper_1_sigma", "lower_3_sigma", "upper_3_sigma", "best", "prior")


def stage_rows(
    outcomes: Sequence[StageOutcome], results: Mapping[str, Result], links: Sequence[Mapping[str, Any]], why: Mapping[str, str]
) -> list[StageRow]:
    """The stages in order, each compared with the one before it; ``why`` each was a hit or a run, by stage."""
    rows, before = [], ""
    for outcome in outcomes:
        result = results[outcome.name]
        own = [link for link in links if link["stage"] == outcome.name]
        rows.append(
            StageRow(
                name=outcome.name,
                search=str(result.samples_summary.diagnostics.get("search", "")),
                is_cached=outcome.cached,
                why=why.get(outcome.name, ""),
                n_calls=outcome.n_calls,
                log_evidence=outcome.log_evidence,
                log_evidence_error=outcome.log_evidence_error,
                grade=outcome.grade,
                seconds=outcome.seconds,
                links=[Link(kind=link["kind"], what=link["what"], why=link["why"], source=link["source"]) for link in own],
                diagnostics=dict(result.samples_summary.diagnostics),
                before=before,
                moved=movements(results[before], result) if before else (),
            )
        )
        before = outcome.name
    return rows


def healths(outcomes: Sequence[StageOutcome], results: Mapping[str, Result]) -> list[SearchHealth]:
    """How the searches of a chain went; what an older fitcore did not record is NaN."""
    rows = []
    for outcome in outcomes:
        result = results[outcome.name]
        told, device = result.provenance, result.provenance.get("device")
        rows.append(
            SearchHealth(
                name=outcome.name,
                n_calls=outcome.n_calls,
                log_likelihood=result.samples.log_likelihood,
                log_weight=result.samples.log_weight,
                seconds=outcome.seconds,
                seconds_compiling=_number(told, "seconds_compiling"),
                seconds_likelihood=_number(told, "seconds_likelihood"),
                peak_memory=_number(told, "peak_memory_bytes"),
                device=str(device.get("kind", "")) if isinstance(device, Mapping) else "",
            )
        )
    return rows


def _number(told: Mapping[str, Any], key: str) -> float:
    value = told.get(key)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else float("nan")


def provenance(last: Result, context: Mapping[str, Any]) -> dict[str, Any]:
    """Where the last stage's result comes from, and where its data are."""
    told = last.provenance
    facts: dict[str, Any] = {}
    if context.get("dataset"):
        facts["data"] = str(Path(str(context["dataset"])))
    facts.update({key: told[key] for key in ABOUT if key in told})
    if isinstance(facts.get("device"), Mapping):
        facts["device"] = facts["device"].get("kind", "")
    versions = told.get("versions")
    if isinstance(versions, Mapping):
        facts.update({f"{name} version": version for name, version in versions.items()})
    if isinstance(told.get("attempts"), list):
        facts["attempts of the last stage"] = len(told["attempts"])
    return facts


def table_of(name: str, what: str, rows: Sequence[Quantity]) -> Download:
    """Quantities as CSV, with all digits."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        numbers = (row.median, row.lower, row.upper, row.lower_3, row.upper_3, row.best)
        writer.writerow([row.path, row.unit, *("" if np.isnan(value) else repr(float(value)) for value in numbers), row.prior])
    return Download(name=name, what=what, text=text.getvalue())
