"""The basin search on real lenses: Einstein radius against the published one, solutions, time.

    python -m benchmarks.basins                            all lenses of ../shared/data/slacs; kept in basins.json
    python -m benchmarks.basins J0029-0055                 some; keeps nothing
    python -m benchmarks.basins --folder elsewhere         another folder

The folder holds one dataset a folder and ``published.csv`` with the columns ``name`` and ``b_sie`` (Einstein radius in arcsec, isothermal,
without shear, so that a few per cent of difference are no error). "search_s" are processor seconds of all threads, from the lens
light to the measurement; "samples_s" those of the Laplace samples at full resolution. The first lens compiles, which later ones do not.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from fitcore import Store
from fitcore.chain import request_of
from fitcore.fitting import run
from fitcore.search.base import ProgressEvent
from pipelines.lens.dataset import Imaging
from pipelines.lens.stages import lens_pipeline

SLACS = Path(__file__).resolve().parents[2] / "shared" / "data" / "slacs"
COLUMNS = ("name", "b_sie", "theta_E", "difference", "with_floors", "images", "gap", "rivals", "evaluations", "search_s", "samples_s")


class Clock:
    """Notes the processor time at which each phase of a search began."""

    def __init__(self) -> None:
        self.began: dict[str, float] = {}

    def __call__(self, event: ProgressEvent) -> None:
        self.began.setdefault(event.phase, time.process_time())


def one(folder: Path, published: float, n_threads: int, seed: int) -> dict[str, Any]:
    """The search on one lens, as the chain runs it."""
    clock, pipeline = Clock(), lens_pipeline()
    request = request_of(pipeline, pipeline.stage("basin"), Imaging.from_folder(folder), {}, seed)
    with tempfile.TemporaryDirectory() as store:
        found = run(request, Store(Path(store) / "store"), n_threads=n_threads, progress=clock)
    end = time.process_time()
    facts, began = found.samples_summary.diagnostics, clock.began
    radius = float(facts["einstein_radius"])
    return {
        "name": folder.name,
        "b_sie": published,
        "theta_E": round(radius, 4),
        "difference": round(radius / published - 1.0, 4),
        "with_floors": round(float(facts["einstein_radius_with_floors"]), 4),
        "images": facts["n_images"],
        "gap": round(float(facts["gap_to_rival"]), 1) if np.isfinite(float(facts["gap_to_rival"])) else None,
        "rivals": facts["rivals"],
        "evaluations": found.samples_summary.n_calls,
        "search_s": round(began["Laplace samples"] - began["lens light"], 2),
        "samples_s": round(end - began["Laplace samples"], 2),
    }


def main() -> None:
    """Run, print a row a lens, and keep the table where all lenses were run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--folder", type=Path, default=SLACS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with (options.folder / "published.csv").open(encoding="utf-8") as file:
        published = {row["name"]: float(row["b_sie"]) for row in csv.DictReader(file)}
    print(" ".join(f"{name:>11}" for name in COLUMNS))
    rows = []
    for name in options.names or sorted(published):
        rows.append(one(options.folder / name, published[name], options.threads, options.seed))
        print(" ".join(f"{rows[-1][column]!s:>11}" for column in COLUMNS), flush=True)
    size = np.abs([row["difference"] for row in rows])
    totals = {
        "lenses": len(rows),
        "within_10_percent": int((size < 0.10).sum()),
        "within_5_percent": int((size < 0.05).sum()),
        "mean_difference": round(float(size.mean()), 4),
        "median_difference": round(float(np.median(size)), 4),
        "median_search_s": float(np.median([row["search_s"] for row in rows])),
        "median_samples_s": float(np.median([row["samples_s"] for row in rows])),
    }
    print(totals)
    if not options.names and options.seed == 0:
        table = {
            "machine": platform.processor() or platform.machine(),
            "threads": options.threads,
            "seed": options.seed,
            "totals": totals,
            "lenses": rows,
        }
        Path(__file__).with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
