"""Stores with thousands of chains, made from the notes of real ones by varying their numbers; used by `tables` and `pages`."""

from __future__ import annotations

import copy
import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fitcore import Samples, Store

NAMES = ("mass.einstein_radius", "mass.ellipticity_1", "mass.ellipticity_2", "shear.gamma_1", "shear.gamma_2")
LATENTS = {
    "einstein_radius_effective": 1.2,
    "mass_axis_ratio": 0.75,
    "shear_magnitude": 0.05,
    "slope": 2.05,
    "chi2_per_pixel_arc": 1.1,
    "magnification": 12.0,
}
REASONS = (
    "mask: the shear is 0.23; below 0.2 is usual: is there a mass beside the lens?",
    "lens light: the source explains 55% of the arcs; above 60% is usual",
    "source: models differ by 7.1% in the Einstein radius; below 5% they agree",
    "source: two galaxies that are not lensed fit better, by 1% of what the source is worth",
)


def small_note() -> dict[str, Any]:
    """A note of the form that a lens chain has, for those who have no real one."""

    def three(value: float) -> dict[str, float]:
        return {"median": value, "lower": 0.98 * value, "upper": 1.03 * value}

    stage = {"log_evidence": 22038.6, "log_evidence_error": 0.02, "n_calls": 5500, "seconds": 60.0, "grade": "A", "cached": False}
    return {
        "summary": {
            "verdict": "accepted",
            "headline": "einstein_radius_effective",
            "reasons": [],
            "parameters": {name: three(0.1) for name in NAMES},
            "latents": {name: three(value) for name, value in LATENTS.items()},
            "measures": {"chi2_per_pixel": 0.98, "residual_peak": 5.1},
            "blame": "",
        },
        "outcomes": [{"name": name, "digest": "0" * 64, **stage} for name in ("basin", "isothermal", "power_law")],
        "seed": 0,
        "settings": {},
        "report": "",
    }


def notes_of(store: Path | None) -> list[dict[str, Any]]:
    """What is noted of the chains of a real store that have a verdict, or the small one."""
    found = [] if store is None else [run["extra"] for run in Store(store).runs() if "summary" in run["extra"]]
    return found or [small_note()]


def varied(sources: Sequence[Mapping[str, Any]], n: int, seed: int = 0) -> Iterator[tuple[str, dict[str, Any]]]:
    """Names and notes: numbers scattered by some tens of percent, one in a hundred far off; seven of ten accepted."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        note = copy.deepcopy(dict(sources[i % len(sources)]))
        summary, far = note["summary"], rng.random() < 0.01
        for value in [*summary["parameters"].values(), *summary["latents"].values()]:
            factor = float(np.exp(rng.normal(0.0, 0.12))) * (3.0 if far else 1.0)
            for key in value:
                value[key] *= factor
        measures = summary.setdefault("measures", {"chi2_per_pixel": 1.0, "residual_peak": 5.0})
        for key in measures:
            measures[key] *= float(np.exp(rng.normal(0.0, 0.3)))
        kind = float(rng.random())
        summary["verdict"] = "accepted" if kind < 0.7 else "review" if kind < 0.925 else "failed"
        reasons = rng.permutation(len(REASONS))[: 1 + int(rng.integers(2))] if kind >= 0.7 else ()
        summary["reasons"] = [REASONS[j] for j in sorted(int(j) for j in reasons)]
        summary["blame"] = summary["reasons"][0].partition(":")[0] if summary["reasons"] else ""
        for outcome in note["outcomes"]:
            outcome["digest"] = digest_of(i, outcome["name"])
            outcome["seconds"] *= float(np.exp(rng.normal(0.0, 0.5)))
        yield f"J{i:04d}+{int(rng.integers(10000)):04d}", note


def digest_of(i: int, stage: str) -> str:
    """A digest of its own for each stage of each chain."""
    return hashlib.sha256(f"{i} {stage}".encode()).hexdigest()


def fill(folder: Path, sources: Sequence[Mapping[str, Any]], n: int, *, pipeline: str = "lens", reports: Sequence[Path] = ()) -> Store:
    """A store of ``n`` chains, each stage with a committed result; ``reports``, and strips beside them, are copied in turn."""
    store = Store(folder)
    rng = np.random.default_rng(1)
    parameters = rng.normal(size=(200, len(NAMES)))
    zeros = np.zeros(len(parameters))
    samples = Samples(
        paths=NAMES, parameters=parameters, log_likelihood=-0.5 * (parameters**2).sum(axis=1), log_prior=zeros, log_weight=zeros
    )
    summary, arrays = samples.summary(n_calls=5500, diagnostics={"grade": "A"}).to_dict(), samples.to_arrays()
    for i, (name, note) in enumerate(varied(sources, n)):
        for outcome in note["outcomes"]:
            store.commit(outcome["digest"], arrays=arrays, attributes={"summary": summary}, spec={"i": i}, provenance={"name": name})
        store.record_run(name, pipeline, {outcome["name"]: outcome["digest"] for outcome in note["outcomes"]}, note)
        if reports:
            target = store.reports / pipeline / f"{name}.html"
            target.parent.mkdir(parents=True, exist_ok=True)
            for source in (reports[i % len(reports)], reports[i % len(reports)].with_suffix(".webp")):
                if source.is_file():
                    shutil.copyfile(source, target.with_suffix(source.suffix))
    return store
