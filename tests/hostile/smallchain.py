"""A chain of two searches that takes a twentieth of a second, with everything that a store can hold: both kinds of checkpoint, internal
states, latent variables, what hooks save, and the note of a run.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

import fitcore as fc
from fitcore.search.base import Checkpoint, Problem, Progress, ProgressEvent, Search, SearchOutcome
from fitcore.store import hdf5

MODEL = fc.Model({"a": fc.Uniform(-1, 1), "b": fc.Normal(0, 1)})
NAME, PIPELINE, SEED = "points", "small", 5


def write_file(path: Path, log_l: np.ndarray) -> None:
    """A file of another library, as `nautilus` writes one."""
    with h5py.File(path, "w") as file:
        file.create_group("sampler").create_dataset("log_l", data=log_l, maxshape=(None,))


def read_file(path: Path) -> np.ndarray:
    with h5py.File(path, "r") as file:
        return np.asarray(file["sampler/log_l"])


@dataclass(frozen=True, kw_only=True)
class Draws(Search):
    """Draws from the prior in batches; the points are kept as arrays, their log-likelihoods in a file of another library."""

    n_batches: int = 4
    batch: int = 20

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        state, kept = checkpoint.load_arrays(), checkpoint.load_through(read_file)
        n = 0 if state is None or kept is None else min(len(state["u"]), len(kept)) // self.batch
        u = np.empty((0, problem.n_dim)) if state is None else state["u"][: n * self.batch]
        log_l = np.empty(0) if kept is None else kept[: n * self.batch]
        for i in range(n, self.n_batches):
            block = np.random.default_rng([seed, i]).random((self.batch, problem.n_dim))
            u, log_l = np.concatenate([u, block]), np.concatenate([log_l, problem.log_likelihood(block)])
            progress(ProgressEvent(phase="sampling", n_calls=len(u)))
            checkpoint.save_arrays({"u": u, "note": ["batch", i]}, n_calls=len(u))
            checkpoint.save_through(lambda path, log_l=log_l: write_file(path, log_l), n_calls=len(u))
            if checkpoint.stop_requested():
                raise fc.SearchInterruptedError("asked to stop; the work is saved, run the same command again")
        weight = np.exp(log_l - log_l.max())
        return SearchOutcome(
            u=u,
            log_likelihood=log_l,
            log_weight=np.log(weight / weight.sum()),
            log_evidence=float(np.log(weight.mean()) + log_l.max()),
            log_evidence_error=0.1,
            n_calls=len(u),
            diagnostics={"grade": "A"},
            internal={"n": len(u)},
        )


class Point(fc.Analysis):
    """One measurement of two numbers."""

    LATENT_KEYS = ("sum",)

    def log_likelihood_function(self, instance: Any) -> float:
        return float(-0.5 * (((instance["a"] - 0.3) / 0.3) ** 2 + ((instance["b"] + 0.2) / 0.5) ** 2))

    def compute_latent_variables(self, parameters: Any, model: fc.Model) -> tuple[float]:
        return (float(parameters[0] + parameters[1]),)

    def save_results(self, paths: Any, result: fc.Result) -> None:
        paths.save_json("best", {"log_evidence": result.log_evidence})


def pipeline() -> fc.Pipeline:
    """The second stage takes its priors from the posterior of the first."""
    first = fc.Stage("first", MODEL, Point(), Draws())
    linked = fc.Stage("second", lambda results: results["first"].projected_model, Point(), Draws(), needs=("first",))
    return fc.Pipeline(PIPELINE, [first, linked])


def run_chain(folder: Path, *, key: bytes | None = None, heartbeat: float = 1.0, patience: int = 15) -> dict[str, fc.Result]:
    """Run the whole chain, and note it."""
    store = fc.Store(folder, key=key, heartbeat=heartbeat, patience=patience)
    results = fc.run_pipeline(pipeline(), None, store, seed=SEED)
    digests = {name: result.digest for name, result in results.items()}
    store.record_run(NAME, PIPELINE, digests, {"log_evidence": results["second"].log_evidence})
    return results


def run_pipeline_until_saved(folder: Path) -> None:
    """Run the first stage whole, and the second one until it was asked to stop after two of its four batches."""
    store, seen = fc.Store(folder), [0]

    def progress(event: ProgressEvent) -> None:
        seen[0] = event.n_calls

    try:
        fc.run_stage(pipeline(), "first", None, store, seed=SEED)
        fc.run_stage(pipeline(), "second", None, store, seed=SEED, progress=progress, stop=lambda: seen[0] >= 40)
    except fc.SearchInterruptedError:
        return
    raise AssertionError("it was not stopped")


def result_files(folder: Path) -> dict[str, bytes]:
    """Every published file of arrays by its path in the store: the same bytes whoever computed it."""
    found = folder.glob("results/*/*/[!.]*.h5")
    return {path.relative_to(folder).as_posix(): file_of(path.read_bytes()) for path in sorted(found)}


def file_of(data: bytes) -> bytes:
    """The HDF5 file among the bytes of a published file: a part begins with its commit record, which tells of times and hosts."""
    return data[hdf5.parted(data)[1] :] if data.startswith(b"{") else data


if __name__ == "__main__":
    run_chain(Path(sys.argv[1]))
