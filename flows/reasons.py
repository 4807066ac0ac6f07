"""Why each stage of a chain was answered by the store, or ran: for its report, and noted with it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from fitcore import Result, StageOutcome, Store
from fitcore.identity import form_differences

MOST_DIFFERENCES = 3
LATER_USE = {
    "csv,corner": "samples and a corner plot",
    "fits,ds9,coolest": "images, regions and the lens model",
}


def reasons(outcomes: Sequence[StageOutcome], results: Mapping[str, Result], store: Store, name: str, pipeline: str) -> dict[str, str]:
    """In words, by stage.

    A stage that ran is compared with the result of that stage which the dataset had before, by the note of its last run: the fields that
    differ are the reason. To be asked before this run is noted.
    """
    before = next((dict(run["stages"]) for run in store.runs(name) if run["pipeline"] == pipeline), {})
    return {
        outcome.name: _hit(results[outcome.name]) if outcome.cached else _ran(outcome.digest, before.get(outcome.name), store)
        for outcome in outcomes
    }


def _hit(result: Result) -> str:
    made = str(result.provenance.get("committed", ""))[:16].replace("T", " ")
    return f"A hit: the same request was in the store{f', of {made}' if made else ''}; nothing was computed."


def _ran(digest: str, before: str | None, store: Store) -> str:
    own, earlier = store.lookup(digest), store.lookup(before) if before is not None and before != digest else None
    if own is None or earlier is None:
        return "It ran: the store notes no earlier result of this stage for this dataset."
    lines = sorted(form_differences(earlier.spec, own.spec), key=lambda line: ": array of " in line)
    more = f"; and {len(lines) - MOST_DIFFERENCES} more" if len(lines) > MOST_DIFFERENCES else ""
    return f"It ran: the earlier request, {earlier.digest[:12]}, differs in {'; '.join(lines[:MOST_DIFFERENCES])}{more}."


def exports_of(request: Mapping[str, Any], dataset: str) -> dict[str, str]:
    """The commands that write files of a chain for other tools, by what they write."""
    end = ["--pipeline", request["pipeline"], "--store", request["store"]]
    return {what: shlex.join(["fitcore", "export", dataset, "--to", forms, *end]) for forms, what in LATER_USE.items()}
