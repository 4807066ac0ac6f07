"""The basin search on the same lenses seen otherwise: what an image's orientation, noise, position and mask change in the radius.

    python -m benchmarks.variations                        all lenses of ../shared/data/slacs; kept in variations.json
    python -m benchmarks.variations J0029-0055             some; keeps nothing

Each lens is fitted as it is, turned by 90 degrees, transposed, with noise of 0.57 of the map added (the map 1.15 times as large), cut so
that the lens is 0.35" and 0.25" off the middle, and with a mask of each of the usual radii. "spread" is the largest difference of a radius
from the first, over it. The search was tuned on `TUNED`; the figures of the others stand beside theirs.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.basins import SLACS
from fitcore import Store
from fitcore.chain import request_of
from fitcore.fitting import run
from pipelines.lens.assess import measures_of_search
from pipelines.lens.dataset import Imaging
from pipelines.lens.stages import lens_pipeline
from pipelines.lens.verdict import verdict_of

TUNED = ("J0029-0055", "J0252+0039", "J0405-0455", "J0841+3824", "J1016+3859", "J1204+0358", "J1402+6321", "J1630+4520")
ADDED, CUT = 0.57, (7, 5)


def variations(image: Imaging) -> Iterator[tuple[str, Imaging]]:
    """The image under each name."""

    def moved(change: Any) -> Imaging:
        planes = {name: np.ascontiguousarray(change(np.asarray(getattr(image, name)))) for name in ("data", "noise", "psf")}
        return replace(image, **planes, mask=np.ascontiguousarray(change(image.used)))

    yield "plain", image
    yield "turned", moved(np.rot90)
    yield "transposed", moved(np.transpose)
    noise = ADDED * np.where(image.used, image.noise, 0.0) * np.random.default_rng(0).standard_normal(image.shape)
    yield "noisier", replace(image, data=image.data + noise, noise=np.sqrt(1.0 + ADDED**2) * image.noise, mask=image.used)
    n_y, n_x = image.shape
    part = (slice(2 * CUT[1], n_y), slice(0, n_x - 2 * CUT[0]))
    yield "off center", replace(image, data=image.data[part], noise=image.noise[part], mask=image.used[part])
    for radius in (2.4, 3.0, 3.6):
        yield f"mask {radius}", replace(image, mask_radius=radius)


def one(folder: Path, published: float) -> dict[str, Any]:
    """Radius and verdict of every variation."""
    pipeline, found = lens_pipeline({"basin": {"n_samples": 24}}), {}
    for name, image in variations(Imaging.from_folder(folder)):
        request = request_of(pipeline, pipeline.stage("basin"), image, {}, 0)
        with tempfile.TemporaryDirectory() as store:
            facts = run(request, Store(Path(store) / "store"), n_threads=1).samples_summary.diagnostics
        radius = float(facts["einstein_radius"])
        verdict = verdict_of(measures_of_search(facts))[0]
        found[name] = {"radius": round(radius, 4), "off": round(radius / published - 1.0, 4), "verdict": verdict}
    plain = found["plain"]["radius"]
    spread = max(abs(each["radius"] / plain - 1.0) for each in found.values())
    return {"name": folder.name, "published": published, "spread": round(spread, 4), "variations": found}


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """By variation: within 10 and 5 per cent, mean difference, accepted ones, and those that are accepted and beyond 10 per cent."""
    found = {}
    for name in rows[0]["variations"]:
        own = [row["variations"][name] for row in rows]
        off = np.abs([each["off"] for each in own])
        accepted = np.array([each["verdict"] == "accepted" for each in own])
        found[name] = {
            "within_10_percent": int((off < 0.10).sum()),
            "within_5_percent": int((off < 0.05).sum()),
            "mean_off": round(float(off.mean()), 4),
            "accepted": int(accepted.sum()),
            "accepted_beyond_10_percent": int((accepted & (off >= 0.10)).sum()),
        }
    return {"lenses": len(rows), "median_spread": round(float(np.median([row["spread"] for row in rows])), 4), **found}


def main() -> None:
    """Run, print a row a lens, and keep the table where all lenses were run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=2, help="lenses side by side, one thread each")
    options = parser.parse_args()
    with (SLACS / "published.csv").open(encoding="utf-8") as file:
        published = {row["name"]: float(row["b_sie"]) for row in csv.DictReader(file)}
    names = options.names or sorted(published)
    rows = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for row in pool.map(one, [SLACS / name for name in names], [published[name] for name in names]):
            rows.append(row)
            print(row["name"], row["spread"], *(f"{name} {each['off']:+.3f}" for name, each in row["variations"].items()), flush=True)
    groups = {"tuned": [row for row in rows if row["name"] in TUNED], "held back": [row for row in rows if row["name"] not in TUNED]}
    table = {
        "machine": platform.processor() or platform.machine(),
        "totals": {name: totals(group) for name, group in groups.items() if group},
        "lenses": rows,
    }
    print(json.dumps(table["totals"], indent=1))
    if not options.names:
        Path(__file__).with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
