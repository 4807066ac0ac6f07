"""What a posterior of 20,000 samples of 15 parameters costs beside its search: to commit, to read back, to summarize, as a table.

    python -m benchmarks.samples              half a minute; kept in samples.json
    python -m benchmarks.samples --store DIR  on the disk of DIR; keeps nothing

Medians over several runs in one process. A commit forces its files to the disk; what these calls took is the disk's and is told apart
(`write` is without it). Run with OMP_NUM_THREADS=1.
"""

from __future__ import annotations

import argparse
import json
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from fitcore.samples import Samples
from fitcore.store import Store, durable

N, N_DIM = 20_000, 15
RUNS, RUNS_OF_TABLE = 31, 5
BUDGET = {"write": 0.05, "read": 0.05, "summary": 0.05}


def made() -> Samples:
    """A normal posterior with log-normal weights, an effective sample size of about a third."""
    rng = np.random.default_rng(0)
    parameters = rng.normal(size=(N, N_DIM))
    return Samples(
        paths=tuple(f"mass.parameter_{i}" for i in range(N_DIM)),
        parameters=parameters,
        log_likelihood=-0.5 * (parameters**2).sum(axis=1),
        log_prior=np.zeros(N),
        log_weight=rng.normal(size=N),
        log_evidence=-3.0,
        log_evidence_error=0.1,
    )


@contextmanager
def disk_seconds() -> Iterator[list[float]]:
    """Adds up what every call that forces something to the disk takes."""
    spent = [0.0]
    own = {name: getattr(durable, name) for name in ("fsync", "fsync_folder")}

    def timed(call: Callable[[Any], None]) -> Callable[[Any], None]:
        def run(what: Any) -> None:
            start = time.perf_counter()
            try:
                call(what)
            finally:
                spent[0] += time.perf_counter() - start

        return run

    for name, call in own.items():
        setattr(durable, name, timed(call))
    try:
        yield spent
    finally:
        for name, call in own.items():
            setattr(durable, name, call)


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """How long a call took, and what it gave."""
    start = time.perf_counter()
    found = call()
    return time.perf_counter() - start, found


def measure(folder: Path) -> dict[str, dict[str, float]]:
    """Median and least seconds of each step."""
    samples, store = made(), Store(folder)
    spent: dict[str, list[float]] = {name: [] for name in ("write", "fsync", "read", "summary", "to_csv", "from_csv")}
    for i in range(RUNS):
        digest = f"{i:064x}"
        with disk_seconds() as disk:
            took, _ = seconds(lambda key=digest: store.commit(key, arrays=samples.to_arrays(), attributes={"n": N}, spec=["benchmark"]))
        spent["write"].append(took - disk[0])
        spent["fsync"].append(disk[0])
        took, back = seconds(lambda key=digest: Samples.from_arrays(store.read(key).arrays()))
        spent["read"].append(took)
        spent["summary"].append(seconds(back.summary)[0])
        if i < RUNS_OF_TABLE:
            took, text = seconds(samples.to_csv)
            spent["to_csv"].append(took)
            took, again = seconds(lambda told=text: Samples.from_csv(told))
            spent["from_csv"].append(took)
            assert back == samples == again
    return {name: {"median": round(statistics.median(took), 4), "least": round(min(took), 4)} for name, took in spent.items()}


def main() -> None:
    """Print and keep the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", type=Path, help="a folder to make the store in")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.store) as folder:
        rows = measure(Path(folder) / "store")
    for name, row in rows.items():
        print(f"{name:10} {1e3 * row['median']:7.1f} ms, at least {1e3 * row['least']:7.1f} ms", flush=True)
    for name, budget in BUDGET.items():
        print(f"{name}: {'within' if rows[name]['median'] <= budget else 'OVER'} the budget of {1e3 * budget:.0f} ms")
    if options.store is None:
        record = {
            "command": "OMP_NUM_THREADS=1 python -m benchmarks.samples",
            "machine": f"{platform.machine()}, one core",
            "versions": {"numpy": np.__version__, "h5py": h5py.__version__, "hdf5": h5py.version.hdf5_version},
            "samples": N,
            "parameters": N_DIM,
            "unit": "seconds",
            "rows": rows,
        }
        Path(__file__).with_suffix(".json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
