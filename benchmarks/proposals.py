"""The last stage of the lens pipeline twice on the same data: seeded by the proposal of the stage before, and cold from the wide priors.

    python -m benchmarks.proposals                   simulated lenses 1 and 3; kept in proposals.json
    python -m benchmarks.proposals --seeds 5 6       others; keeps nothing

Both searches see the same model with the same priors, so the log-evidences must agree within their errors. Likelihood calls include all
that steer; "ratio" is calls cold over calls seeded.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from fitcore import Nautilus, Store, run_pipeline
from fitcore.chain import request_of
from fitcore.fit import run
from pipelines.lens.simulate import example_model, simulate
from pipelines.lens.stages import lens_pipeline

SEEDS = (1, 3)


def one(seed: int, n_threads: int) -> dict[str, Any]:
    """The row of one simulated lens."""
    imaging = simulate(example_model(seed), seed=seed, name=f"seed-{seed}")
    pipeline = lens_pipeline()
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder) / "store")
        results = run_pipeline(pipeline, imaging, store, n_threads=n_threads)
        seeded = results["power_law"]
        request = request_of(pipeline, pipeline.stage("power_law"), imaging, results, 0)
        cold = run(replace(request, search=Nautilus(n_eff=1000, scout_starts=0), proposal=None), store, n_threads=n_threads)
    row: dict[str, Any] = {"seed": seed}
    for name, result in (("seeded", seeded), ("cold", cold)):
        summary = result.samples_summary
        row[name] = {
            "log_evidence": round(float(result.log_evidence), 3),
            "error": round(float(result.log_evidence_error), 3),
            "calls": summary.n_calls,
            "grade": summary.diagnostics["grade"],
            "is_fallback": summary.diagnostics["is_fallback"],
        }
    error = (row["seeded"]["error"] ** 2 + row["cold"]["error"] ** 2) ** 0.5
    row["difference_in_errors"] = round((row["seeded"]["log_evidence"] - row["cold"]["log_evidence"]) / error, 2)
    row["ratio"] = round(row["cold"]["calls"] / row["seeded"]["calls"], 2)
    return row


def main() -> None:
    """Run, print a row a lens, and keep the table where the usual seeds were run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="*", type=int)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    rows = []
    for seed in options.seeds or SEEDS:
        rows.append(one(seed, options.threads))
        print(json.dumps(rows[-1]), flush=True)
    if not options.seeds:
        Path(__file__).with_suffix(".json").write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
