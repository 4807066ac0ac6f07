"""What it costs to lose nothing: the share of a fit's wall-clock time that its checkpoints, lease and commit take.

    python -m benchmarks.durability              a minute; kept in durability.json
    python -m benchmarks.durability --store DIR  on the disk of DIR; keeps nothing

A 15-dimensional Gaussian by default settings. Its likelihood costs next to nothing, so that the share is the largest there can be. Run with
OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import functools
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

import fitcore as fc
from fitcore.store import Store
from fitcore.store.checkpoint import FileCheckpoint
from fitcore.store.lease import Lease

N_DIM, RUNS = 15, 5
WIDTHS = np.exp(np.linspace(np.log(0.02), np.log(0.8), N_DIM))
TIMED = {
    "checkpoints": ((FileCheckpoint, "save_arrays"), (FileCheckpoint, "save_through"), (FileCheckpoint, "discard")),
    "lease": ((Lease, "__enter__"), (Lease, "__exit__"), (Lease, "beat"), (Lease, "still_held")),
    "commit": ((Store, "commit"), (Store, "commit_part"), (Store, "write_internal"), (Store, "check_writable")),
}


class Blob(fc.Analysis):
    """A Gaussian in all parameters."""

    def log_likelihood_function(self, instance: Any) -> Any:
        """The log-likelihood of one point."""
        return sum(-0.5 * ((instance[f"x{i}"] - 0.3) / width) ** 2 for i, width in enumerate(WIDTHS))


@contextmanager
def spent() -> Iterator[dict[str, float]]:
    """Adds up what the calls of `TIMED` take in this thread, calls within calls once."""
    seconds = dict.fromkeys(TIMED, 0.0)
    depth = [0]
    own = {(kind, name): getattr(kind, name) for pairs in TIMED.values() for kind, name in pairs}

    def timed(group: str, call: Any) -> Any:
        @functools.wraps(call)
        def run(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            depth[0] += 1
            try:
                return call(*args, **kwargs)
            finally:
                depth[0] -= 1
                if depth[0] == 0:
                    seconds[group] += time.perf_counter() - start

        return run

    for group, pairs in TIMED.items():
        for kind, name in pairs:
            setattr(kind, name, timed(group, own[kind, name]))
    try:
        yield seconds
    finally:
        for (kind, name), call in own.items():
            setattr(kind, name, call)


def row_of(folder: Path, seed: int) -> dict[str, float]:
    """One fit in a new store."""
    model = fc.Model({f"x{i}": fc.Normal(0.0, 1.0) for i in range(N_DIM)})
    start = time.perf_counter()
    with spent() as seconds:
        result = fc.fit(model, Blob(use_jax=True), fc.Nautilus(), store=Store(folder / f"store{seed}"), seed=seed, progress=False)
    total = time.perf_counter() - start
    share = sum(seconds.values()) / total
    return {"seconds": total, "n_calls": result.samples_summary.n_calls, **seconds, "share": share}


def measured(folder: Path) -> dict[str, Any]:
    """Medians over some seeds; the first run, which compiles, is left out."""
    rows = [row_of(folder, seed) for seed in range(RUNS + 1)][1:]
    return {key: round(statistics.median(row[key] for row in rows), 4) for key in rows[0]}


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.store) as folder:
        row = measured(Path(folder))
    print(json.dumps(row))
    if options.store is None:
        about = {"command": "python -m benchmarks.durability", "machine": platform.machine(), "python": sys.version.split()[0]}
        path = Path(__file__).with_suffix(".json")
        path.write_text(json.dumps({**about, **row}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
