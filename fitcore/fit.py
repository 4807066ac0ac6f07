"""`fit`: one search from request to stored result, with every hook in its place.

The order is: ask the store; lease; `modify_before_fit`, `save_attributes`, first picture; search; commit; `modify_after_fit`,
`make_result`, `save_results`, last picture. What fails after the commit is reported and costs nothing but the report.
"""

from __future__ import annotations

import importlib.metadata
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import dill
import numpy as np

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.combined import analysis_identity
from fitcore.analysis.update import QuickUpdates
from fitcore.errors import LeaseHeldError
from fitcore.evaluation import BatchedLikelihood
from fitcore.identity import canonical, digest
from fitcore.model import Model
from fitcore.progress import console_progress
from fitcore.proposal import Proposal
from fitcore.result import Result, ResultSource
from fitcore.samples import Samples
from fitcore.search.base import Problem, Progress, ProgressEvent, Search, SearchOutcome, silent
from fitcore.store import Lease, Store
from fitcore.store.temporary import removed_with, temporary_store
from fitcore.summary import SamplesSummary

FORMAT_VERSION = 1
LATENTS = "latents"
LIBRARIES = ("numpy", "scipy", "jax", "jaxlib", "nautilus-sampler", "scikit-learn", "h5py", "fitcore")


class HookWarning(UserWarning):
    """A hook that runs after the commit failed; the result is safe."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that determines a result, and a name for messages that does not."""

    model: Model
    analysis: Analysis
    search: Search
    seed: int = 0
    proposal: Proposal | None = None
    name: str = "fit"

    @cached_property
    def specification(self) -> dict[str, Any]:
        """What the digest is made of."""
        return {
            "format": FORMAT_VERSION,
            "model": self.model,
            "search": self.search.identity(),
            "analysis": analysis_identity(self.analysis),
            "proposal": None if self.proposal is None else self.proposal.identity(),
            "seed": self.seed,
            "dtype": "float64",
        }

    @cached_property
    def digest(self) -> str:
        """sha256 of the canonical form of `specification`, 64 hexadecimal digits."""
        return digest(self.specification)


def fit(
    model: Model,
    analysis: Analysis,
    search: Search,
    *,
    store: Store | None = None,
    name: str = "fit",
    seed: int = 0,
    proposal: Proposal | None = None,
    progress: bool | Progress = True,
    n_threads: int = 1,
) -> Result:
    """Fit ``model`` to the data of ``analysis``, or read the result if the same was asked before.

    Parameters
    ----------
    store : where results are kept; None keeps them in a temporary folder for the life of the result.
    name : for messages; not part of the identity.
    seed : of every random stream.
    proposal : an earlier posterior to start from, for searches that take one (`Result.proposal`).
    progress : True for a line on standard error, False for silence, or a function of a `ProgressEvent`.
    n_threads : threads that share a batch, where the analysis evaluates point by point; never changes a number.

    Raises
    ------
    FitcoreError
        of the kind that `fitcore.errors` draws.
    """
    analysis = analysis if isinstance(analysis, Analysis) else _refuse(analysis)
    kept = store or temporary_store()
    request = Request(model=analysis.modify_model(model), analysis=analysis, search=search, seed=seed, proposal=proposal, name=name)
    news = console_progress(name) if progress is True else (silent if progress is False else progress)
    result = run(request, kept, progress=news, n_threads=n_threads)
    latents(request, result, kept)
    if store is None:
        removed_with(kept, result)
    return result


def _refuse(analysis: Any) -> Analysis:
    raise TypeError(f"analysis is {analysis!r}; it must be an instance of a class derived from fitcore.Analysis (not the class itself).")


def find(request: Request, store: Store) -> Result | None:
    """The stored result of a request, or None. Reads the summary only."""
    record = store.lookup(request.digest)
    return None if record is None else _result(request, request.analysis, store, record.attributes, is_cached=True)


def run(
    request: Request,
    store: Store,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    n_threads: int = 1,
) -> Result:
    """The stored result of a request, computed first where it is not there.

    Raises
    ------
    SearchInterruptedError
        when ``stop`` said so; the work is saved, and the same request goes on from it.
    LeaseHeldError
        when another process is at work on the same request.
    """
    found = find(request, store)
    if found is not None:
        return found
    store.check_writable()
    with store.lease(request.digest) as lease:
        found = find(request, store)  # another process may have finished while this one waited
        if found is not None:
            return found
        paths = store.paths(request.digest)
        running = request.analysis.modify_before_fit(paths, request.model)
        running.save_attributes(paths)
        running.Visualizer.visualize_before_fit(running, paths, request.model)
        outcome, seconds = _search(request, running, store=store, lease=lease, progress=progress or silent, stop=stop, n_threads=n_threads)
        attributes = _commit(request, store, lease, outcome, seconds)
    return _after(request, running, store, attributes)


def _search(
    request: Request,
    running: Analysis,
    *,
    store: Store,
    lease: Lease,
    progress: Progress,
    stop: Callable[[], bool] | None,
    n_threads: int,
) -> tuple[SearchOutcome, float]:
    start = time.monotonic()
    likelihood = BatchedLikelihood(running, request.model, n_batch=running.n_batch, n_threads=n_threads)
    versions = {name: importlib.metadata.version(name) for name in LIBRARIES}
    checkpoint = store.checkpoint(request.digest, fingerprint={**versions, "n_batch": running.n_batch}, stop=stop, lease=lease)
    updates = QuickUpdates(running, request.model, store.paths(request.digest))

    def news(event: ProgressEvent) -> None:
        lease.beat(event.n_calls)
        updates(event)
        progress(event)

    problem = Problem(
        n_dim=request.model.n_dim,
        paths=request.model.paths,
        log_likelihood=likelihood,
        value_and_gradient=likelihood.value_and_gradient if running.use_jax else None,
        proposal=None if request.proposal is None else request.proposal.mixture,
        n_batch=running.n_batch,
        n_threads=n_threads,
        analysis=running,
        model=request.model,
    )
    try:
        news(ProgressEvent(phase="compiling", n_calls=0))
        outcome = request.search.run(problem, seed=request.seed, checkpoint=checkpoint, progress=news)
        likelihood.check_nan(outcome.u, outcome.log_weight)
    finally:
        updates.close()
        likelihood.close()
    return outcome, time.monotonic() - start


def samples_of(model: Model, outcome: SearchOutcome) -> Samples:
    """The samples of a search's outcome, in the model's own parameters."""
    theta = np.asarray(model.prior_transform(outcome.u))
    return Samples(
        paths=model.paths,
        parameters=theta,
        log_likelihood=outcome.log_likelihood,
        log_prior=np.asarray(model.log_prior(theta)),
        log_weight=outcome.log_weight,
        log_evidence=outcome.log_evidence,
        log_evidence_error=outcome.log_evidence_error,
    )


def _commit(request: Request, store: Store, lease: Lease, outcome: SearchOutcome, seconds: float) -> dict[str, Any]:
    samples = samples_of(request.model, outcome)
    summary = samples.summary(n_calls=outcome.n_calls, diagnostics=dict(outcome.diagnostics))
    attributes = {"summary": summary.to_dict(), "model": request.model.to_dict()}
    provenance = {
        "name": request.name,
        "seconds": seconds,
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "parent": None if request.proposal is None else request.proposal.parent,
    }
    if not lease.still_held():
        raise LeaseHeldError(
            f"Another process took over {request.name!r} ({request.digest[:12]}) while this one stood still; it publishes the result. "
            "Run the same command again to read it."
        )
    if outcome.internal is not None:
        store.write_internal(request.digest, dill.dumps(outcome.internal))
    store.commit(
        request.digest,
        arrays=samples.to_arrays(),
        attributes=attributes,
        spec=canonical(request.specification),
        provenance=provenance,
    )
    store.checkpoint(request.digest, fingerprint={}).discard()
    return attributes


def _after(request: Request, running: Analysis, store: Store, attributes: Mapping[str, Any]) -> Result:
    paths = store.paths(request.digest)
    result = _result(request, running, store, attributes, is_cached=False)
    analysis = _guarded(request, "modify_after_fit", lambda: running.modify_after_fit(paths, request.model, result)) or running
    result = _result(request, analysis, store, attributes, is_cached=False)
    _guarded(request, "save_results", lambda: analysis.save_results(paths, result))
    _guarded(request, "save_results_combined", lambda: analysis.save_results_combined(paths, result))
    best = np.asarray(result.samples_summary.best)
    _guarded(request, "visualize", lambda: analysis.Visualizer.visualize(analysis, paths, analysis.instance_of(best, request.model), False))
    return result


def _guarded(request: Request, hook: str, call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:  # whatever a user's hook does, the committed result stands
        warnings.warn(
            f"{hook} of {type(request.analysis).__name__} failed after the fit {request.name!r} was stored as {request.digest[:12]}: "
            f"{type(error).__name__}: {error}. The result is safe; mend the hook and call fitcore.rerun_hooks.",
            HookWarning,
            stacklevel=2,
        )
        return None


def rerun_hooks(request: Request, store: Store) -> Result:
    """Run the hooks after the commit once more for a stored result: `modify_after_fit`, `save_results`, the last picture."""
    record = store.read(request.digest)
    return _after(request, request.analysis, store, record.attributes)


def _result(request: Request, analysis: Analysis, store: Store, attributes: Mapping[str, Any], *, is_cached: bool) -> Result:
    summary = SamplesSummary.from_dict(attributes["summary"])
    result = analysis.make_result(summary, store.paths(request.digest), analysis=analysis)
    return result.attach(
        ResultSource(
            model=request.model,
            digest=request.digest,
            is_cached=is_cached,
            read_samples=partial(_read_samples, store, request.digest, request.model),
            read_latents=partial(_read_latents, store, request.digest),
            read_internal=partial(_read_internal, store, request.digest),
        )
    )


def _read_samples(store: Store, key: str, model: Model) -> Samples:
    return Samples.from_arrays(store.read(key).arrays()).with_model(model)


def _read_latents(store: Store, key: str) -> Samples | None:
    part = store.lookup(key, LATENTS)
    if part is None or part.attributes["n_keys"] == 0:
        return None
    return Samples.from_arrays(part.arrays())


def _read_internal(store: Store, key: str, trust: bool) -> Any:
    return dill.loads(store.read_internal(key, trust=trust))  # refused by the store unless trusted


def latents(request: Request, result: Result, store: Store, *, batch_size: int | None = None) -> tuple[int, bool]:
    """Compute and store the latent variables of a result's samples, once: their number (0 without keys), and whether they were there."""
    part = store.lookup(request.digest, LATENTS)
    if part is not None:
        return int(part.attributes["n_samples"]), True
    found = request.analysis.compute_latent_samples(result.samples, batch_size)
    arrays = {} if found is None else found.to_arrays()
    attributes = {
        "n_keys": 0 if found is None else len(found.paths),
        "n_samples": 0 if found is None else len(found.parameters),
        "masked": {} if found is None else {p: int(n) for p, n in zip(found.paths, np.isnan(found.parameters).sum(axis=0), strict=True)},
    }
    store.commit_part(request.digest, LATENTS, arrays=arrays, attributes=attributes)
    return attributes["n_samples"], False
