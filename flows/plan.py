"""`fitcore plan`: what a chain would do now, stage by stage. Nothing is computed, and the store is opened only to look at it."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fitcore import Pipeline, Request, Store, canonical
from fitcore.chain import asked
from fitcore.fitting import fingerprint_of
from fitcore.identity import form_differences, is_form
from fitcore.store.glance import Glimpse
from fitcore.stored import latents_part, usable_record
from fitcore.text import duration
from flows.catalogue import Entry
from flows.console import clean, one_line
from flows.records import report_path

HIT, MISS, UNKNOWN = "hit", "miss", "unknown"
MOST_LOOKED_AT, MOST_DIFFERENCES = 300, 5
Figures = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Median, least and most of the past runs of a stage: likelihood calls and seconds."""

    n_runs: int
    calls: Figures
    seconds: Figures


@dataclass(frozen=True, kw_only=True)
class Past:
    """What a store tells of earlier runs: its newest commit records, the newest first, and the notes of whole chains."""

    glimpses: Sequence[Glimpse]
    runs: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, store: Store) -> Past:
        """Read once, for all datasets."""
        return cls(glimpses=list(store.glimpses(most=MOST_LOOKED_AT)), runs=store.runs())


def row(entry: Entry, pipeline: Pipeline, dataset: Any, folder: str, store: Store, seed: int, past: Past) -> dict[str, Any]:
    """What a chain would do, as plain data.

    ``stages`` have ``name``, ``state`` (hit, miss or unknown: what it asks for depends on results to come), ``digest`` where it is known,
    ``waits_for``, ``nearest`` (the stored request that differs least, and how), ``continues`` (calls in a checkpoint) and ``estimate``.
    """
    requests = asked(pipeline, dataset, store, seed=seed)
    estimated = estimates(past, pipeline.name)
    is_stored = {name: usable_record(store, request.digest) is not None for name, request in requests.items()}
    stages = []
    for stage in pipeline:
        request = requests.get(stage.name)
        told: dict[str, Any] = {"name": stage.name, "state": UNKNOWN, "digest": None, "waits_for": [], "nearest": None, "continues": None}
        if request is None:
            told["waits_for"] = [need for need in stage.needs if not is_stored.get(need, False)]
        elif is_stored[stage.name]:
            told |= {"state": HIT, "digest": request.digest}
        else:
            told |= {"state": MISS, "digest": request.digest, "continues": _continues(store, request)}
            told["nearest"] = nearest(past, request, dataset.name)
        told["estimate"] = None if told["state"] == HIT or stage.name not in estimated else _plain(estimated[stage.name])
        stages.append(told)
    latents = _latents(entry, pipeline, requests, is_stored, store)
    report = report_path(store, entry.name, dataset.name)
    is_whole = all(stage["state"] == HIT for stage in stages) and latents == HIT
    return clean(
        {
            "name": dataset.name,
            "dataset": folder,
            "pipeline": entry.name,
            "seed": seed,
            "store": str(store.path),
            "stages": stages,
            "latents": latents,
            "report": HIT if is_whole and report.is_file() else MISS,
            "total": total(stages),
        }
    )


def _continues(store: Store, request: Request) -> dict[str, Any] | None:
    found = store.saved(request.digest, fingerprint_of(request.analysis))
    return None if found is None else {"n_calls": found.n_calls, "difference": found.difference}


def _latents(entry: Entry, pipeline: Pipeline, requests: Mapping[str, Request], is_stored: Mapping[str, bool], store: Store) -> str:
    if not is_stored.get(entry.latent_stage, False):
        return MISS
    part = latents_part(pipeline.stage(entry.latent_stage).n_latents)
    return MISS if store.lookup(requests[entry.latent_stage].digest, part) is None else HIT


def nearest(past: Past, request: Request, dataset: str) -> dict[str, Any] | None:
    """The stored request of the same stage that differs in the fewest fields, of this dataset where it has one; None where none is."""
    form, stage = canonical(request.specification), request.name.rpartition(".")[2]
    of_dataset = {digest for run in past.runs if run["name"] == dataset for name, digest in run["stages"].items() if name == stage}
    best: tuple[bool, int, dict[str, Any]] | None = None
    for glimpse in past.glimpses:
        if glimpse.name.rpartition(".")[2] != stage or not is_form(glimpse.spec) or glimpse.digest == request.digest:
            continue
        is_other = glimpse.digest not in of_dataset and glimpse.provenance.get("dataset") != dataset
        differences = form_differences(glimpse.spec, form)
        if best is None or (is_other, len(differences)) < best[:2]:
            differences.sort(key=lambda line: ": array of " in line)  # what a person has changed before what the data are
            told = {"digest": glimpse.digest, "is_of_this_dataset": not is_other, "differences": differences}
            best = (is_other, len(differences), told)
    return None if best is None else best[2]


def estimates(past: Past, pipeline: str) -> dict[str, Estimate]:
    """By stage, what its past runs took: those of this pipeline, and where it has none those of stages of the same name in others."""
    own: dict[str, dict[str, tuple[float, float]]] = {}
    others: dict[str, dict[str, tuple[float, float]]] = {}
    for name, digest, calls, seconds in _past(past):
        whose, _, stage = name.rpartition(".")
        (own if whose == pipeline else others).setdefault(stage, {})[digest] = (calls, seconds)
    return {stage: _estimate(found.values()) for stage, found in {**others, **own}.items()}


def _past(past: Past) -> Iterator[tuple[str, str, float, float]]:
    """Name, digest, calls and seconds of results in the store: of the newest commit records, and of the notes of whole chains."""
    for glimpse in past.glimpses:
        calls, seconds = (glimpse.provenance.get(key) for key in ("n_calls", "seconds"))
        if isinstance(calls, int) and isinstance(seconds, int | float):
            yield glimpse.name, glimpse.digest, calls, seconds
    for run in past.runs:
        outcomes = run["extra"].get("outcomes")
        for outcome in outcomes if isinstance(outcomes, list) else ():
            calls, seconds = (outcome.get(key) for key in ("n_calls", "seconds")) if isinstance(outcome, dict) else (None, None)
            if isinstance(calls, int) and isinstance(seconds, int | float) and outcome.get("name") in run["stages"]:
                yield f"{run['pipeline']}.{outcome['name']}", run["stages"][outcome["name"]], calls, seconds


def _estimate(pairs: Iterable[tuple[float, float]]) -> Estimate:
    calls, seconds = zip(*pairs, strict=True)
    return Estimate(n_runs=len(calls), calls=_figures(calls), seconds=_figures(seconds))


def _figures(values: Sequence[float]) -> Figures:
    return statistics.median(values), min(values), max(values)


def _plain(estimate: Estimate) -> dict[str, Any]:
    return {
        "n_runs": estimate.n_runs,
        **{
            name: dict(zip(("median", "least", "most"), figures, strict=True))
            for name, figures in (("calls", estimate.calls), ("seconds", estimate.seconds))
        },
    }


def total(stages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Searches to run, and the sums of the medians, leasts and mosts of those that have past runs.

    Calls that are saved are taken off, and the time in proportion.
    """
    to_run = [stage for stage in stages if stage["state"] != HIT]
    known = [stage for stage in to_run if stage["estimate"] is not None]
    sums = {name: dict.fromkeys(("median", "least", "most"), 0.0) for name in ("calls", "seconds")}
    for stage in known:
        saved = stage["continues"]
        done = saved["n_calls"] if saved is not None and not saved["difference"] else 0
        for which, calls in stage["estimate"]["calls"].items():
            left = max(0.0, calls - done)
            sums["calls"][which] += left
            sums["seconds"][which] += stage["estimate"]["seconds"][which] * (left / calls if calls else 1.0)
    return {"n_searches": len(to_run), "n_without_estimate": len(to_run) - len(known), **sums}


def lines(found: Mapping[str, Any]) -> Iterator[str]:
    """`row` in words, a line each."""
    yield one_line(f"{found['name']}: {found['pipeline']}, seed {found['seed']}, {found['dataset']}")
    width = max(len(name) for name in (*(stage["name"] for stage in found["stages"]), "latents"))
    for stage in found["stages"]:
        yield from (one_line(f"  {head:<{width}}  {text}") for head, text in _stage_lines(stage))
    for what in ("latents", "report"):
        yield f"  {what:<{width}}  {'is there' if found[what] == HIT else 'would be made'}"


def _stage_lines(stage: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    estimate = "" if stage["state"] == HIT else f"; {_spoken(stage['estimate'])}"
    if stage["state"] == HIT:
        yield stage["name"], f"hit   {stage['digest'][:12]}"
        return
    if stage["state"] == UNKNOWN:
        yield stage["name"], f"waits  its request depends on the result of {', '.join(stage['waits_for'])}{estimate}"
        return
    yield stage["name"], f"miss  {stage['digest'][:12]}{estimate}"
    saved, near = stage["continues"], stage["nearest"]
    if saved is not None and saved["difference"]:
        yield "", f"  a checkpoint of {saved['n_calls']:,} calls is there, and would not be used: {saved['difference']}"
    elif saved is not None:
        yield "", f"  would continue at {saved['n_calls']:,} calls"
    if near is None:
        yield "", "  no request of this stage is stored"
        return
    whose = "" if near["is_of_this_dataset"] else ", of another dataset,"
    differences = near["differences"]
    yield "", f"  nearest stored request {near['digest'][:12]}{whose} differs in {len(differences)} {_fields(len(differences))}:"
    yield from (("", f"    {difference}") for difference in differences[:MOST_DIFFERENCES])
    if len(differences) > MOST_DIFFERENCES:
        yield "", f"    and {len(differences) - MOST_DIFFERENCES} more, which 'fitcore why-miss' and --json name"


def _fields(n: int) -> str:
    return "field" if n == 1 else "fields"


def _spoken(estimate: Mapping[str, Any] | None) -> str:
    if estimate is None:
        return "no past runs to estimate from"
    calls, seconds, n = estimate["calls"], estimate["seconds"], estimate["n_runs"]
    if n == 1:
        return f"about {calls['median']:,.0f} calls, {duration(seconds['median'])} (one past run)"
    spread = f"{calls['least']:,.0f} to {calls['most']:,.0f} calls, {duration(seconds['least'])} to {duration(seconds['most'])}"
    return f"about {calls['median']:,.0f} calls, {duration(seconds['median'])} ({n} past runs: {spread})"


def _summed(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    return {which: sum(row["total"][key][which] for row in rows) for which in ("median", "least", "most")}


def closing(rows: Sequence[Mapping[str, Any]]) -> str:
    """The total of all datasets in one sentence."""
    n_searches, n_blind = (sum(row["total"][key] for row in rows) for key in ("n_searches", "n_without_estimate"))
    n_made = sum(1 for row in rows if MISS in (row["latents"], row["report"]))
    n_datasets = f"{len(rows)} dataset" + ("" if len(rows) == 1 else "s")
    if not n_searches:
        rest = f"latent variables or reports of {n_made} would be made" if n_made else "nothing would be computed"
        return f"total: {n_datasets}, no search to run; {rest}"
    calls, seconds = (_summed(rows, key) for key in ("calls", "seconds"))
    blind = f", {n_blind} of them without past runs to estimate from" if n_blind else ""
    if n_blind == n_searches:
        return f"total: {n_datasets}, {n_searches} {'search' if n_searches == 1 else 'searches'} to run{blind}"
    told = (
        f"about {calls['median']:,.0f} calls ({calls['least']:,.0f} to {calls['most']:,.0f}) and {duration(seconds['median'])} of search "
        f"({duration(seconds['least'])} to {duration(seconds['most'])}), one after the other"
    )
    return f"total: {n_datasets}, {n_searches} {'search' if n_searches == 1 else 'searches'} to run{blind}; {told}"
