"""Cold searches of one 15-dimensional posterior in one run: ours, nautilus as it comes, dynesty. Calls, error, own processor time.

    python -m benchmarks.speed                a few minutes on one core; kept in speed.json
    python -m benchmarks.speed --dims 5       another number of dimensions; keeps nothing

The likelihood costs next to nothing, so that the time is the searches' own. Run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nautilus
import numpy as np

from benchmarks.targets import gaussian
from fitcore.search import Dynesty, Nautilus, NoCheckpoint, Search, silent
from fitcore.search.problems import KnownProblem

Row = tuple[int, float, float]


def ours(search: Search) -> Callable[[KnownProblem, int], Row]:
    """Calls, log-evidence and claimed error of one of our searches."""

    def run(known: KnownProblem, seed: int) -> Row:
        outcome = search.run(known.problem, seed=seed, checkpoint=NoCheckpoint(), progress=silent)
        return outcome.n_calls, outcome.log_evidence, outcome.log_evidence_error

    return run


def stock(n_networks: int) -> Callable[[KnownProblem, int], Row]:
    """The same of nautilus as it comes, with the exploration discarded as its author advises for evidences."""

    def run(known: KnownProblem, seed: int) -> Row:
        sampler = nautilus.Sampler(
            lambda u: u,
            known.problem.log_likelihood,
            n_dim=known.problem.n_dim,
            n_live=500,
            n_networks=n_networks,
            vectorized=True,
            pass_dict=False,
            seed=seed,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sampler.run(n_eff=2000, discard_exploration=True, verbose=False)
        return int(sampler.n_like), float(sampler.log_z), float(sampler.n_eff) ** -0.5

    return run


SEARCHES: dict[str, tuple[Callable[[KnownProblem, int], Row], int]] = {
    "Nautilus()": (ours(Nautilus()), 5),
    'Nautilus(finish="nautilus")': (ours(Nautilus(finish="nautilus")), 5),
    "Nautilus(n_live=300)": (ours(Nautilus(n_live=300)), 3),
    "nautilus-sampler, 1 network": (stock(1), 1),
    "nautilus-sampler, 4 networks": (stock(4), 1),
    "Dynesty(n_live=500)": (ours(Dynesty()), 1),
}


def main() -> None:
    """Print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dims", type=int, default=15)
    options = parser.parse_args()
    rows: dict[str, Any] = {}
    for name, (run, n_seeds) in SEARCHES.items():
        found, seconds = [], []
        for seed in range(n_seeds):
            known = gaussian(options.dims, seed)
            known.problem.log_likelihood(np.full((1, options.dims), 0.5))  # compiled before the clock starts
            start = time.process_time()
            found.append(run(known, seed))
            seconds.append(time.process_time() - start)
        calls, log_evidence, claim = np.array(found).T
        rows[name] = {
            "seeds": n_seeds,
            "calls": round(float(calls.mean())),
            "errors": [round(float(e), 3) for e in log_evidence],
            "claim": round(float(claim.mean()), 3),
            "own_seconds": round(float(np.mean(seconds)), 1),
        }
        print(f"{name:32}", json.dumps(rows[name]), flush=True)
    if options.dims == 15:
        record = {"command": "OMP_NUM_THREADS=1 python -m benchmarks.speed", "machine": f"{platform.machine()}, one core", "rows": rows}
        Path(__file__).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
