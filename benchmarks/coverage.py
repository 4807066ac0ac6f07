"""The whole chain on the stated population of `benchmarks.population`: is the truth where the posterior says, and what says the verdict.

    python -m benchmarks.coverage --seeds 100:113          cases 100 to 112 of every group
    python -m benchmarks.coverage --groups clumps          some groups

coverage.json is written after each case, and a case that is in it is not run again: stopped at any moment, the campaign goes on, on another
day as well, while the versions of analysis, searches and population are the same. The rank of a truth is the posterior's
probability below it: within [0.159, 0.841] the 68 % interval covers it, within [0.023, 0.977] that of 95 %. The radius's truth is that of
the main mass, in the group `group` that of all masses together; there neither slope nor shear of the one mass is what the image shows, and
they are left out. Beside the coverage of all lenses stands that of the accepted ones. Errors of the rates are binomial.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.population import GROUPS, Case, case
from benchmarks.population import VERSION as POPULATION
from benchmarks.verdicts import RIGHT, rates
from fitcore import Result, Samples, Store
from fitcore.chain import request_of
from fitcore.fitting import run
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.assess import assess
from pipelines.lens.dataset import Imaging
from pipelines.lens.stages import lens_pipeline
from pipelines.lens.verdict import stage_to_blame, verdict_of

LEVELS = {"68": 0.6827, "95": 0.9545}


def truths(made: Case) -> dict[str, float]:
    """What the posterior of the last stage is held against, by path; nothing for what is no lens."""
    if made.mass is None or made.shear is None:
        return {}
    if made.group == "group":
        return {"mass.einstein_radius": made.einstein_radius}
    return {
        "mass.einstein_radius": float(made.mass.einstein_radius),
        "mass.slope": float(made.mass.slope),
        "shear.gamma_1": float(made.shear.gamma_1),
        "shear.gamma_2": float(made.shear.gamma_2),
    }


def held_against(samples: Samples, path: str, truth: float) -> dict[str, float]:
    """Rank of the truth, and by how many standard deviations the mean is off."""
    i = samples.paths.index(path)
    mean, deviation = float(samples.mean()[i]), float(np.sqrt(samples.covariance()[i, i]))
    return {
        "truth": round(truth, 5),
        "mean": round(mean, 5),
        "deviation": round(deviation, 5),
        "rank": round(float(samples.weight[samples.column(path) < truth].sum()), 4),
        "pull": round((mean - truth) / deviation, 2),
    }


def chain(image: Imaging, store: Store) -> dict[str, Result]:
    """Every stage, without the latent variables, of which nothing is asked here and which would take as long as the searches."""
    pipeline, results = lens_pipeline(), {}
    for stage in pipeline:
        results[stage.name] = run(request_of(pipeline, stage, image, results, 0), store, n_threads=1)
    return results


def one(group: str, seed: int) -> dict[str, Any]:
    """The chain and its verdict on one case, in one thread."""
    made, began = case(group, seed), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        results = chain(made.image, Store(Path(folder) / "store"))
        verdict, reasons = verdict_of(assess(made.image, results).measures)
        samples = results["power_law"].samples
        summaries = [result.samples_summary for result in results.values()]
    radius = float(samples.weight @ samples.column("mass.einstein_radius"))
    off = radius / made.einstein_radius - 1.0
    return {
        "group": group,
        "seed": seed,
        "truth": None if np.isnan(off) else round(made.einstein_radius, 4),
        "einstein_radius": round(radius, 4),
        "off": None if np.isnan(off) else round(off, 4),
        "is_right": bool(abs(off) < RIGHT),
        "verdict": verdict,
        "blamed": stage_to_blame(reasons),
        "reasons": reasons,
        "posterior": {path: held_against(samples, path, truth) for path, truth in truths(made).items()},
        "inadequacy": [summaries[0].diagnostics[f"{key}_inadequacy"] for key in ("lens_light", "source")],
        "grades": [summary.diagnostics["grade"] for summary in summaries],
        "calls": [summary.n_calls for summary in summaries],
        "core_s": round(time.process_time() - began, 1),
    }


def coverage(rows: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """By path: how many truths, the fraction within each interval with its error, and root mean square of the pulls."""
    found: dict[str, dict[str, Any]] = {}
    for path in ("mass.einstein_radius", "mass.slope", "shear.gamma_1", "shear.gamma_2"):
        own = [row["posterior"][path] for row in rows if path in row["posterior"]]
        if not own:
            continue
        ranks, pulls = (np.array([entry[key] for entry in own], dtype=float) for key in ("rank", "pull"))
        found[path] = {"n": len(own), "rms_pull": round(float(np.sqrt((pulls**2).mean())), 2)}
        for name, level in LEVELS.items():
            share = float((np.abs(2.0 * ranks - 1.0) <= level).mean())
            found[path][name] = [round(share, 3), round(float(np.sqrt(level * (1.0 - level) / len(own))), 3)]
    return found


def table_of(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Rates, coverage of right ones and of those accepted, figures by group; the cases."""
    right = [row for row in rows if row["is_right"]]
    groups = {group: rates([row for row in rows if row["group"] == group]) for group in GROUPS}
    kept = ("cases", "within_10_percent", "within_5_percent", "right", "wrong")
    return {
        "machine": platform.processor() or platform.machine(),
        "versions": versions(),
        "seeds": [min(row["seed"] for row in rows), max(row["seed"] for row in rows)],
        "rates": rates(rows),
        "coverage_of_right": coverage(right),
        "coverage_of_accepted": coverage([row for row in rows if row["verdict"] == "accepted"]),
        "median_core_s": round(float(np.median([row["core_s"] for row in rows])), 1),
        "groups": {group: {key: found[key] for key in kept} for group, found in groups.items() if found["cases"]},
        "cases": sorted(rows, key=lambda row: (GROUPS.index(row["group"]), row["seed"])),
    }


def versions() -> dict[str, Any]:
    """What a case's figures depend on; cases of other versions are not mixed with these."""
    pipeline = lens_pipeline()
    searches = {stage.name: f"{type(stage.search).__name__} {stage.search.version}" for stage in pipeline}
    return {"LensAnalysis": LensAnalysis.version, "population": POPULATION, **searches}


def kept_cases(file: Path, is_anew: bool) -> dict[tuple[str, int], dict[str, Any]]:
    """The cases in a file of this benchmark, by group and seed."""
    if is_anew or not file.exists():
        return {}
    table = json.loads(file.read_text(encoding="utf-8"))
    if table["versions"] != versions():
        raise SystemExit(f"{file} holds cases of {table['versions']}, this code is {versions()}: begin anew with --anew")
    return {(row["group"], row["seed"]): row for row in table["cases"]}


def keep(file: Path, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Write the table of all cases so far; a kill leaves the one before."""
    table, beside = table_of(rows), file.with_suffix(".new")
    beside.write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")
    beside.replace(file)
    return table


def main() -> None:
    """Run the cases that are not kept, print each, and keep the table after each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--seeds", default="100:113", help="first:end")
    parser.add_argument("--jobs", type=int, default=2, help="cases side by side, one thread each")
    parser.add_argument("--file", type=Path, default=Path(__file__).with_suffix(".json"), help="where the cases are kept")
    parser.add_argument("--anew", action="store_true", help="forget the cases that are kept")
    options = parser.parse_args()
    first, end = (int(part) for part in options.seeds.split(":"))
    known = kept_cases(options.file, options.anew)
    wanted = [(group, seed) for seed in range(first, end) for group in options.groups.split(",") if (group, seed) not in known]
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for future in as_completed([pool.submit(one, *each) for each in wanted]):
            row = future.result()
            known[row["group"], row["seed"]] = row
            keep(options.file, list(known.values()))
            print(row["group"], row["seed"], row["off"], row["verdict"], row["calls"], row["core_s"], flush=True)
    if known:
        table = keep(options.file, list(known.values()))
        print(json.dumps({key: value for key, value in table.items() if key != "cases"}, indent=1))


if __name__ == "__main__":
    main()
