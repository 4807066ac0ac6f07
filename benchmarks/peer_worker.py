"""The loop that both sides of `benchmarks.peer` run: one JSON line in, one out. NumPy and the standard library only.

A side is started as ``python -m benchmarks.peer_NAME PROBLEM THREADS``: the problem is an .npz of `peer.problem_arrays`. It answers
``{"way", "n_batch", "repeats"}`` by ``{"values", "wall", "processor"}``: log-likelihoods of the first points, and the milliseconds a point
of each repetition on the wall and of the processor, the compilation left out.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import IO, Any

import numpy as np

Evaluate = Callable[[np.ndarray], np.ndarray]


def begin(n_threads: int) -> IO[str]:
    """Before JAX is imported, which starts as many threads as there are cores: run on ``n_threads`` of them.

    Returns the stream for answers; what libraries print goes to standard error from here on.
    """
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_threads])
    out, sys.stdout = sys.stdout, sys.stderr
    return out


def serve(build: Callable[[str, int], Evaluate], points: np.ndarray, facts: dict[str, Any], out: IO[str]) -> None:
    """Answer requests until the input ends.

    Parameters
    ----------
    build : makes a function of points, shape (n_batch, n_dim), from the way to batch and n_batch.
    points : shape (n, n_dim), n at least the largest batch.
    facts : versions, told first.
    out : of `begin`.
    """
    known: dict[tuple[str, int], Evaluate] = {}
    print(json.dumps(facts), file=out, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        key = (asked["way"], asked["n_batch"])
        batch = points[: asked["n_batch"]]
        if key not in known:
            known[key] = build(*key)
            known[key](batch)
        values = known[key](batch)
        times: dict[str, list[float]] = {"wall": [], "processor": []}
        for _ in range(asked["repeats"]):
            wall, processor = time.perf_counter(), time.process_time()
            values = known[key](batch)
            times["processor"].append(1e3 * (time.process_time() - processor) / len(batch))
            times["wall"].append(1e3 * (time.perf_counter() - wall) / len(batch))
        answer = times | {"values": np.asarray(values, dtype=float).tolist(), "type": str(values.dtype)}
        print(json.dumps(answer), file=out, flush=True)
