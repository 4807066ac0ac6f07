"""Searches on problems with exact answers, over many seeds: calls, bias, claimed error, pull, own time.

    python -m benchmarks.searches                 the whole table (about half an hour on one core), kept in searches.json
    python -m benchmarks.searches --seeds 2       a glance; keeps nothing

"own s" is the search's own processor time: these likelihoods cost next to nothing. "pull" is the root mean square of error over claim: 1 is
right. Run with OMP_NUM_THREADS=1 to compare with the figures in the file.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from fitcore.errors import NotConvergedError
from fitcore.search import Importance, Nautilus, NoCheckpoint, Problem, Search, silent
from fitcore.search.problems import KnownProblem, banana, constrained, edge, gaussian, two_modes

Maker = Callable[[int], KnownProblem]
WARM = Importance(scout_starts=0)


def _warm(shift: float = 0.0, width: float = 1.0) -> Callable[[KnownProblem, int], Problem]:
    return lambda known, seed: known.with_proposal(shift=shift, width=width, seed=seed)


def _one_mode(known: KnownProblem, seed: int) -> Problem:
    return replace(known.problem, proposal=gaussian(known.problem.n_dim, seed=seed).with_proposal(seed=seed).proposal)


def _cold(known: KnownProblem, seed: int) -> Problem:
    del seed
    return known.problem


def cases() -> list[tuple[str, Maker, Callable[[KnownProblem, int], Problem], Search, int]]:
    """Name, problem, proposal, search and number of seeds of each row."""
    rows: list[tuple[str, Maker, Callable[[KnownProblem, int], Problem], Search, int]] = []
    perturbed = {"good": _warm(), "shift 1": _warm(1.0), "shift 3": _warm(3.0), "half": _warm(width=0.5), "twice": _warm(width=2.0)}
    for name, make in {
        "gaussian 12": lambda seed: gaussian(12, seed=seed),
        "banana .25 12": lambda seed: banana(12, strength=0.25, seed=seed),
        "banana .8 12": lambda seed: banana(12, seed=seed),
    }.items():
        rows += [(f"warm {name} {case}", make, proposal, WARM, 8) for case, proposal in perturbed.items()]
    rows += [(f"warm gaussian {d} good", lambda seed, d=d: gaussian(d, seed=seed), _warm(), WARM, 8) for d in (5, 15, 20)]
    rows += [
        (f"warm gaussian 17 {c}", lambda seed: gaussian(17, seed=seed), _warm(s), WARM, 8) for c, s in (("shift 1", 1.0), ("shift 3", 3.0))
    ]
    rows += [("warm banana .8 17 shift 1", lambda seed: banana(17, seed=seed), _warm(1.0), WARM, 8)]
    rows += [(f"warm edge 12 {c}", lambda seed: edge(12, seed=seed), _warm(s), WARM, 8) for c, s in (("good", 0.0), ("shift 1", 1.0))]
    rows += [("warm constrained 12 good", lambda seed: constrained(12, seed=seed), _warm(), WARM, 8)]
    modes = partial(two_modes, 10)
    rows += [("warm two modes 10, one known", modes, _one_mode, WARM, 8)]
    rows += [("warm two modes 10, one known, scout 16", modes, _one_mode, Importance(), 8)]
    for d, n_live, n in ((5, 100, 8), (10, 100, 8), (15, 100, 8), (15, 300, 3)):
        rows.append((f"cold gaussian {d}, n_live {n_live}", lambda seed, d=d: gaussian(d, seed=seed), _cold, Nautilus(n_live=n_live), n))
    own = Nautilus(finish="nautilus", n_eff=3000)
    rows.append(("cold gaussian 15, nautilus's finish", lambda seed: gaussian(15, seed=seed), _cold, own, 3))
    rows.append(("cold banana .8 12, n_live 300", lambda seed: banana(12, seed=seed), _cold, Nautilus(), 4))
    rows.append(("cold two modes 10, n_live 300", modes, _cold, Nautilus(), 3))
    rows.append(("cold edge 12, n_live 100", lambda seed: edge(12, seed=seed), _cold, Nautilus(n_live=100), 4))
    rows.append(("cold constrained 12, n_live 100", lambda seed: constrained(12, seed=seed), _cold, Nautilus(n_live=100), 4))
    return rows


def measured(make: Maker, proposal: Callable[[KnownProblem, int], Problem], search: Search, n_seeds: int) -> dict[str, Any]:
    """One row of the table."""
    found, grades, fallbacks, seconds = [], "", 0, []
    for seed in range(n_seeds):
        known = make(seed)
        problem = proposal(known, seed)
        start = time.process_time()
        try:
            outcome = search.run(problem, seed=seed, checkpoint=NoCheckpoint(), progress=silent)
        except NotConvergedError:
            grades += "-"
            continue
        seconds.append(time.process_time() - start)
        grades += str(outcome.diagnostics["grade"])
        fallbacks += bool(outcome.diagnostics["is_fallback"])
        found.append((outcome.n_calls, outcome.log_evidence - known.log_evidence, outcome.log_evidence_error))
    calls, error, claim = np.array(found).T
    return {
        "n_seeds": n_seeds,
        "calls": round(float(calls.mean())),
        "bias": round(float(error.mean()), 4),
        "scatter": round(float(error.std()), 4),
        "claim": round(float(claim.mean()), 4),
        "pull": round(float(np.sqrt(np.mean((error / claim) ** 2))), 2),
        "worst": round(float(np.max(np.abs(error / claim))), 1),
        "grades": "".join(sorted(grades)),
        "fallbacks": fallbacks,
        "own_seconds": round(float(np.mean(seconds)), 2),
    }


def main() -> None:
    """Print the table; keep it unless it is a glance."""
    parser = argparse.ArgumentParser(description="searches on problems with exact answers")
    parser.add_argument("--seeds", type=int, help="fewer seeds than the table's own; nothing is kept")
    parser.add_argument("--only", default="", help="rows whose name contains this; nothing is kept")
    options = parser.parse_args()
    table: dict[str, dict[str, Any]] = {}
    print(f"{'case':44}{'seeds':>6}{'calls':>8}{'bias':>8}{'scatter':>8}{'claim':>7}{'pull':>6}{'worst':>6}{'cold':>5}{'own s':>7}  grades")
    for name, make, proposal, search, n_seeds in cases():
        if options.only not in name:
            continue
        row = measured(make, proposal, search, min(n_seeds, options.seeds or n_seeds))
        table[name] = row
        print(
            f"{name:44}{row['n_seeds']:>6}{row['calls']:>8}{row['bias']:>+8.3f}{row['scatter']:>8.3f}{row['claim']:>7.3f}{row['pull']:>6.2f}"
            f"{row['worst']:>6.1f}{row['fallbacks']:>5}{row['own_seconds']:>7.1f}  {row['grades']}",
            flush=True,
        )
    if options.seeds is None and not options.only:
        record = {
            "command": "python -m benchmarks.searches",
            "machine": f"{platform.machine()}, one core",
            "python": platform.python_version(),
            "numpy": np.__version__,
            "rows": table,
        }
        Path(__file__).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
