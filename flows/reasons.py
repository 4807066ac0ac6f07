"""Why each stage of a chain was answered by the store, or ran: for its report. The store is only looked at, and nothing is computed."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from fitcore import StageOutcome, Store
from fitcore.identity import form_differences, is_form
from fitcore.store.glance import Glimpse

MOST_DIFFERENCES = 3
LATER_USE = {
    "csv,corner": "samples and a corner plot",
    "fits,ds9,coolest": "images, regions and the lens model",
}


def reasons(outcomes: Sequence[StageOutcome], store: Store, dataset: str) -> dict[str, str]:
    """In words, by stage.

    A stage that ran is compared with the newest earlier result of that stage of the same dataset: the fields that differ are the reason.
    """
    seen = list(store.glimpses())
    own = {glimpse.digest: glimpse for glimpse in seen}
    return {outcome.name: _reason(outcome, own.get(outcome.digest), seen, dataset) for outcome in outcomes}


def _reason(outcome: StageOutcome, own: Glimpse | None, seen: Sequence[Glimpse], dataset: str) -> str:
    made = _committed(own)
    if outcome.cached:
        return f"A hit: the same request was in the store{f', of {made[:16]}'.replace('T', ' ') if made else ''}; nothing was computed."
    earlier = [] if own is None else [glimpse for glimpse in seen if _is_earlier(glimpse, own, dataset)]
    if own is None or not earlier:
        return "It ran: the store records no earlier result of this stage for this dataset."
    nearest = min(earlier, key=lambda glimpse: len(form_differences(glimpse.spec, own.spec)))
    lines = sorted(form_differences(nearest.spec, own.spec), key=lambda line: ": array of " in line)
    more = f"; and {len(lines) - MOST_DIFFERENCES} more" if len(lines) > MOST_DIFFERENCES else ""
    return f"It ran: the nearest earlier request, {nearest.digest[:12]}, differs in {'; '.join(lines[:MOST_DIFFERENCES])}{more}."


def _is_earlier(glimpse: Glimpse, own: Glimpse, dataset: str) -> bool:
    return (
        glimpse.digest != own.digest
        and glimpse.name.rpartition(".")[2] == own.name.rpartition(".")[2]
        and glimpse.provenance.get("dataset") == dataset
        and _committed(glimpse) < _committed(own)
        and is_form(glimpse.spec)
        and is_form(own.spec)
    )


def _committed(glimpse: Glimpse | None) -> str:
    """When, as ISO writes it; empty where it does not say."""
    told = "" if glimpse is None else glimpse.provenance.get("committed", "")
    return told if isinstance(told, str) else ""


def exports_of(request: Mapping[str, Any], dataset: str) -> dict[str, str]:
    """The commands that write files of a chain for other tools, by what they write."""
    end = ["--pipeline", request["pipeline"], "--store", request["store"]]
    return {what: shlex.join(["fitcore", "export", dataset, "--to", forms, *end]) for forms, what in LATER_USE.items()}
