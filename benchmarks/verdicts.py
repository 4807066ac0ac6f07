"""Right and wrong, accepted or not: the basin search and its verdict on the stated population of `benchmarks.population`.

    python -m benchmarks.verdicts --seeds 24:28            cases 24 to 27 of every group; kept in verdicts.json
    python -m benchmarks.verdicts --groups disc,ring       some groups; keeps nothing

A radius within 10 % of the truth is right; what is no lens has no right radius, so that every acceptance is a false one. The rate of false
accepts among all cases, and among those accepted, is given with its 95 % interval (Clopper & Pearson 1934, Biometrika 26, 404). Seeds below
10 were looked at when the limits were set.
"""

from __future__ import annotations

import argparse
import json
import platform
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.population import GROUPS, case
from fitcore import Store
from fitcore.chain import request_of
from fitcore.fitting import run
from pipelines.lens.assess import measures_of_search
from pipelines.lens.stages import lens_pipeline
from pipelines.lens.verdict import stage_to_blame, verdict_of

RIGHT = 0.10


def clopper_pearson(n_hits: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Interval of a rate of which ``n_hits`` of ``n`` were seen."""
    tail = 0.5 * (1.0 - level)
    lower = 0.0 if n_hits == 0 else float(stats.beta.ppf(tail, n_hits, n - n_hits + 1))
    upper = 1.0 if n_hits == n else float(stats.beta.ppf(1.0 - tail, n_hits + 1, n - n_hits))
    return lower, upper


def one(group: str, seed: int, n_threads: int) -> dict[str, Any]:
    """The search and its verdict on one case."""
    made, pipeline, began = case(group, seed), lens_pipeline({"basin": {"n_samples": 24}}), time.process_time()
    request = request_of(pipeline, pipeline.stage("basin"), made.image, {}, 0)
    with tempfile.TemporaryDirectory() as folder:
        facts = run(request, Store(Path(folder) / "store"), n_threads=n_threads).samples_summary.diagnostics
    verdict, reasons = verdict_of(measures_of_search(facts))
    off = float(facts["einstein_radius"]) / made.einstein_radius - 1.0
    return {
        "group": group,
        "seed": seed,
        "truth": None if np.isnan(made.einstein_radius) else round(made.einstein_radius, 4),
        "einstein_radius": round(float(facts["einstein_radius"]), 4),
        "off": None if np.isnan(off) else round(off, 4),
        "is_right": bool(abs(off) < RIGHT),
        "verdict": verdict,
        "blamed": stage_to_blame(reasons),
        "reasons": reasons,
        "search_s": round(time.process_time() - began, 1),
    }


def rates(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Counts by verdict, and the rates of false accepts with their intervals."""
    accepted = [row for row in rows if row["verdict"] == "accepted"]
    false = sum(not row["is_right"] for row in accepted)
    lenses = [row for row in rows if row["truth"] is not None]
    size = np.abs([row["off"] for row in lenses])
    return {
        "cases": len(rows),
        "lenses": len(lenses),
        "within_10_percent": int((size < 0.10).sum()),
        "within_5_percent": int((size < 0.05).sum()),
        "right": {name: sum(row["is_right"] and row["verdict"] == name for row in rows) for name in ("accepted", "review", "failed")},
        "wrong": {name: sum(not row["is_right"] and row["verdict"] == name for row in rows) for name in ("accepted", "review", "failed")},
        "false_accepts_of_all": [false / max(len(rows), 1), *clopper_pearson(false, max(len(rows), 1))],
        "false_accepts_of_accepted": [false / max(len(accepted), 1), *clopper_pearson(false, max(len(accepted), 1))],
    }


def main() -> None:
    """Run, print a row a case, and keep the table where all groups were run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--groups", default=",".join(GROUPS))
    parser.add_argument("--seeds", default="24:28", help="first:end")
    parser.add_argument("--jobs", type=int, default=2, help="cases side by side, one thread each")
    options = parser.parse_args()
    first, end = (int(part) for part in options.seeds.split(":"))
    cases = [(group, seed, 1) for seed in range(first, end) for group in options.groups.split(",")]
    rows = []
    with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
        for row in pool.map(one, *zip(*cases, strict=True)):
            rows.append(row)
            print(" ".join(str(value) for value in row.values()), flush=True)
    print(rates(rows))
    if options.groups == ",".join(GROUPS):
        table = {"machine": platform.processor() or platform.machine(), "seeds": options.seeds, "rates": rates(rows), "cases": rows}
        Path(__file__).with_suffix(".json").write_text(json.dumps(table, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
