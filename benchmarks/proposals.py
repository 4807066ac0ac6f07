"""What the link to the last stage of the lens pipeline is worth: the same data fitted four ways.

    python -m benchmarks.proposals                    three lenses of ../shared/data/slacs; kept in proposals.json
    python -m benchmarks.proposals --lens FOLDER...   images of one's own; keeps nothing
    python -m benchmarks.proposals --seeds 1 3        simulated ones; keeps nothing

`proposal` is the chain's own way: Importance from the posterior of the stage before, under the model's own priors. `cold` is Nautilus under
the same priors, so that both log-evidences must agree. `projected` takes the posterior before as priors, which uses the data twice, and
`fixed` the best fit before for shear and source, which have no errors then; both by Nautilus, as packages that pass priors or instances
do. Calls include all that steer; "off" is the largest distance of a mean from the cold one in the cold errors, "narrowest" the least ratio
of an error to the cold one, over the parameters that are free.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.basins import SLACS
from fitcore import Nautilus, Result, Store, run_pipeline
from fitcore.chain import request_of
from fitcore.fitting import Request, run
from pipelines.lens.dataset import Imaging
from pipelines.lens.simulate import example_model, simulate
from pipelines.lens.stages import lens_pipeline

LENSES = ("J0029-0055", "J1204+0358", "J0936+0913")
PASSED_ON = ("shear.", "source.")


def ways(request: Request, before: Result) -> dict[str, Request]:
    """The requests of the last stage without its proposal."""
    cold = replace(request, search=Nautilus(n_eff=1000, scout_starts=0), proposal=None)
    projected, best = before.projected_model.priors, before.samples_summary.by_path("best")
    shared = [path for path in cold.model.paths if path in projected]
    return {
        "cold": cold,
        "projected": replace(cold, model=cold.model.replace({path: projected[path] for path in shared})),
        "fixed": replace(cold, model=cold.model.replace({path: float(best[path]) for path in shared if path.startswith(PASSED_ON)})),
    }


def moments_of(result: Result) -> dict[str, tuple[float, float]]:
    """Mean and standard deviation of every parameter."""
    weight, found = result.samples.weight, {}
    for path in result.samples.paths:
        column = result.samples.column(path)
        mean = float(weight @ column)
        found[path] = (mean, float(np.sqrt(weight @ (column - mean) ** 2)))
    return found


def row_of(result: Result, cold: Result) -> dict[str, Any]:
    """Cost and outcome of one way, against the cold search."""
    own, known, diagnostics = moments_of(result), moments_of(cold), result.samples_summary.diagnostics
    return {
        "log_evidence": round(float(result.log_evidence), 3),
        "error": round(float(result.log_evidence_error), 3),
        "calls": result.samples_summary.n_calls,
        "grade": diagnostics["grade"],
        "is_fallback": diagnostics.get("is_fallback", False),
        "off": round(max(abs(mean - known[path][0]) / known[path][1] for path, (mean, _) in own.items()), 2),
        "narrowest": round(min(deviation / known[path][1] for path, (_, deviation) in own.items()), 2),
        "radius": [round(value, 4) for value in own["mass.einstein_radius"]],
        "slope": [round(value, 4) for value in own["mass.slope"]],
    }


def one(imaging: Imaging, n_threads: int) -> dict[str, Any]:
    """The row of one lens."""
    pipeline = lens_pipeline()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        results = run_pipeline(pipeline, imaging, store, n_threads=n_threads)
        request = request_of(pipeline, pipeline.stage("power_law"), imaging, results, 0)
        found = {"proposal": results["power_law"]}
        for name, way in ways(request, results["isothermal"]).items():
            found[name] = run(way, store, n_threads=n_threads)
            print(f"{imaging.name} {name}: {found[name].samples_summary.n_calls} calls", flush=True)
        rows = {name: row_of(result, found["cold"]) for name, result in found.items()}
    error = np.hypot(rows["proposal"]["error"], rows["cold"]["error"])
    return {
        "lens": imaging.name,
        **rows,
        "difference_in_errors": round((rows["proposal"]["log_evidence"] - rows["cold"]["log_evidence"]) / error, 2),
        "ratio": round(rows["cold"]["calls"] / rows["proposal"]["calls"], 2),
    }


def images(options: argparse.Namespace) -> Sequence[Imaging]:
    """What is to be fitted."""
    if options.seeds:
        return [simulate(example_model(seed), seed=seed, name=f"seed-{seed}") for seed in options.seeds]
    return [Imaging.from_folder(folder) for folder in options.lens or [SLACS / name for name in LENSES]]


def main() -> None:
    """Run, print a row a lens, and keep the table of the usual ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int)
    parser.add_argument("--lens", type=Path, nargs="+")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rows = []
    for imaging in images(options):
        rows.append(one(imaging, options.threads))
        print(json.dumps(rows[-1]), flush=True)
    if not (options.seeds or options.lens):
        Path(__file__).with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
