"""A seeded stage on targets with known evidence, from good and bad proposals, against cold searches: ours and stock nautilus.

    python -m benchmarks.seeded                       everything (hours on two cores); kept in seeded.json
    python -m benchmarks.seeded --seeds 4 --dims 10   a part; keeps nothing
    python -m benchmarks.seeded --from RUNS ...       the table of runs kept earlier, which must be all of them

"pull" is error over claimed error of the log-evidence. Stock nautilus is the library as it comes (four networks, exploration discarded,
500 live points, the same effective sample size); its time is its own, and the likelihoods here cost next to nothing.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import platform
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import nautilus
import numpy as np

from benchmarks.targets import TARGETS, one_mode_known
from fitcore.errors import NotConvergedError
from fitcore.search import Importance, Nautilus, NoCheckpoint, silent

DIMS = (5, 10, 15)
PROPOSALS: dict[str, dict[str, float]] = {
    "good": {},
    "shift 1": {"shift": 1.0},
    "shift 3": {"shift": 3.0},
    "half": {"width": 0.5},
    "twice": {"width": 2.0},
    "one mode": {},
}
SEEDS, COLD_SEEDS = 20, 4
STOCK = ("gaussian", "banana")  # its own time is minutes in fifteen dimensions
UNTOLD: dict[str, Any] = {"checkpoint": NoCheckpoint(), "progress": silent}
Case = tuple[str, int, str, int]


def run_case(case: Case) -> dict[str, Any]:
    """One search: target, dimensions, proposal (or "cold", "stock"), seed."""
    kind, n_dim, proposal, seed = case
    known = TARGETS[kind](n_dim, seed)
    start = time.process_time()
    found: dict[str, Any] = {"kind": kind, "n_dim": n_dim, "proposal": proposal, "seed": seed}
    if proposal == "stock":
        return {**found, **_stock(known, seed), "seconds": time.process_time() - start}
    if proposal == "cold":
        search, problem = Nautilus(), known.problem
    elif proposal == "one mode":
        search, problem = Importance(), one_mode_known(known, n_dim, seed)
    else:
        search, problem = Importance(), known.with_proposal(seed=seed, **PROPOSALS[proposal])
    try:
        # Each proposal with random numbers of its own, so that the rows are independent.
        outcome = search.run(problem, seed=1000 * list(PROPOSALS).index(proposal) + seed if proposal in PROPOSALS else seed, **UNTOLD)
    except NotConvergedError:
        return {**found, "grade": "-", "calls": search.n_like_max}
    known_diagnostics = outcome.diagnostics
    return {
        **found,
        "calls": outcome.n_calls,
        "error": outcome.log_evidence - known.log_evidence,
        "claim": outcome.log_evidence_error,
        "grade": str(known_diagnostics["grade"]),
        "is_fallback": bool(known_diagnostics["is_fallback"]),
        "new_modes": int(known_diagnostics.get("n_new_modes", 0)),
        "gradients": int(known_diagnostics.get("n_gradients", 0)),
        "seconds": time.process_time() - start,
    }


def _stock(known: Any, seed: int) -> dict[str, Any]:
    sampler = nautilus.Sampler(
        lambda u: u, known.problem.log_likelihood, n_dim=known.problem.n_dim, n_live=500, vectorized=True, pass_dict=False, seed=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler.run(n_eff=2000, discard_exploration=True, verbose=False)
    return {"calls": int(sampler.n_like), "error": float(sampler.log_z) - known.log_evidence, "claim": float(sampler.n_eff) ** -0.5}


def row_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """One row of the table."""
    done = [run for run in runs if "error" in run]
    pulls = np.array([run["error"] / run["claim"] for run in done])
    grade_a = np.array([run.get("grade") == "A" for run in done])
    grades = "".join(sorted(str(run.get("grade", "")) for run in runs))
    return {
        "n": len(runs),
        "calls": round(float(np.mean([run["calls"] for run in runs]))),
        "bias": round(float(np.mean([run["error"] for run in done])), 4),
        "claim": round(float(np.mean([run["claim"] for run in done])), 4),
        "pull": round(float(np.sqrt(np.mean(pulls**2))), 2),
        "pull_A": round(float(np.sqrt(np.mean(pulls[grade_a] ** 2))), 2) if grade_a.any() else None,
        "worst": round(float(np.max(np.abs(pulls))), 1),
        "grades": {letter: grades.count(letter) for letter in sorted(set(grades))},
        "fallbacks": sum(bool(run.get("is_fallback")) for run in runs),
        "found_modes": sum(run.get("new_modes", 0) > 0 for run in runs),
        "seconds": round(float(np.mean([run.get("seconds", np.nan) for run in done])), 1),
    }


def cases(kinds: list[str], dims: list[int], seeds: range, proposals: list[str]) -> list[Case]:
    """What to run, in order."""
    listed: list[Case] = []
    for kind in kinds:
        for n_dim in dims:
            for proposal in proposals:
                if (proposal == "one mode" and kind != "bimodal") or (proposal == "stock" and kind not in STOCK):
                    continue
                n = {"cold": COLD_SEEDS, "stock": 1}.get(proposal, len(seeds))
                listed += [(kind, n_dim, proposal, seed) for seed in list(seeds)[:n]]
    return listed


def totals(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Over all seeded runs: pull of each grade, and how many lie beyond three claimed errors."""
    found: dict[str, Any] = {}
    for letter in ("A", "B"):
        pulls = np.array([r["error"] / r["claim"] for r in runs if r.get("grade") == letter and r["proposal"] not in ("cold", "stock")])
        if len(pulls):
            beyond = int(np.sum(np.abs(pulls) > 3))
            found[letter] = {"n": len(pulls), "pull": round(float(np.sqrt(np.mean(pulls**2))), 3), "beyond_3": beyond}
    return found


def kept(names: list[str]) -> list[dict[str, Any]]:
    """The runs of some files written with --keep; of two runs of one case the later."""
    lines = [json.loads(line) for name in names for line in Path(name).read_text(encoding="utf-8").splitlines()]
    return list({(run["kind"], run["n_dim"], run["proposal"], run["seed"]): run for run in lines}.values())


def record_of(runs: list[dict[str, Any]], listed: list[Case]) -> dict[str, Any]:
    """What is kept in seeded.json.

    Raises
    ------
    ValueError
        when the runs are not those listed.
    """
    found = {(run["kind"], run["n_dim"], run["proposal"], run["seed"]): run for run in runs}
    missing = [case for case in listed if case not in found]
    if missing:
        raise ValueError(f"{len(missing)} of {len(listed)} runs are missing, the first is {missing[0]}; run them with --keep.")
    rows: dict[str, list[dict[str, Any]]] = {}
    for case in listed:
        rows.setdefault("{} {} {}".format(*case), []).append(found[case])
    return {
        "command": "python -m benchmarks.seeded",
        "machine": f"{platform.machine()}, two cores",
        "totals": totals([found[case] for case in listed]),
        "rows": {name: row_of(mine) for name, mine in rows.items()},
    }


def main() -> None:
    """Run, print a row a case, keep the table when it is whole."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--dims", type=int, nargs="*", default=list(DIMS))
    parser.add_argument("--kinds", nargs="*", default=list(TARGETS))
    parser.add_argument("--proposals", nargs="*", default=[*PROPOSALS, "cold", "stock"])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--keep", help="keep the runs in this file, a line of JSON each")
    parser.add_argument("--from", nargs="*", dest="files", default=[])
    options = parser.parse_args()
    whole = cases(list(TARGETS), list(DIMS), range(SEEDS), [*PROPOSALS, "cold", "stock"])
    listed = cases(options.kinds, options.dims, range(options.first, options.first + options.seeds), options.proposals)
    runs: list[dict[str, Any]] = kept(options.files)
    if not options.files:
        with multiprocessing.get_context("spawn").Pool(options.processes, maxtasksperchild=100) as pool:
            for run in pool.imap(run_case, listed):
                runs.append(run)
                if options.keep:
                    with Path(options.keep).open("a", encoding="utf-8") as file:
                        file.write(json.dumps(run) + "\n")
                mine = [r for r in runs if all(r[key] == run[key] for key in ("kind", "n_dim", "proposal"))]
                if len(mine) == sum(case[:3] == (run["kind"], run["n_dim"], run["proposal"]) for case in listed):
                    print(f"{run['kind']} {run['n_dim']} {run['proposal']:12}", json.dumps(row_of(mine)), flush=True)
    print(json.dumps(totals(runs)))
    if options.files or listed == whole:
        record = record_of(runs, whole)
        Path(__file__).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
