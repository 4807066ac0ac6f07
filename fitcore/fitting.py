"""`fit`: one search from request to stored result, with every hook in its place.

The order is: ask the store; lease; `modify_before_fit`, `save_attributes`, first picture; search; commit; `modify_after_fit`,
`make_result`, `save_results`, last picture. What fails after the commit is reported and costs nothing but the report. A result that is in
the store goes through `modify_before_fit` and `modify_after_fit` too, so that its analysis is that of the run which made it: the next
stage may be built from it.
"""

from __future__ import annotations

import copy
import importlib.metadata
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dill
import numpy as np

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.combined import analysis_identity
from fitcore.analysis.latent import equal_weight
from fitcore.analysis.update import QuickUpdates
from fitcore.device import device_of
from fitcore.errors import ConfigError, LeaseHeldError, ModelError, SearchInterruptedError, SpecError
from fitcore.evaluation import BatchedLikelihood
from fitcore.hooks import after_commit, cached_result, guarded, running_analysis
from fitcore.identity import canonical, digest
from fitcore.limits import Limits
from fitcore.model import Model
from fitcore.progress import console_progress
from fitcore.proposal import Proposal
from fitcore.result import Result
from fitcore.samples import Samples
from fitcore.search.base import Problem, Progress, ProgressEvent, Search, SearchOutcome, silent
from fitcore.store import Lease, Store
from fitcore.store.internal import plain_internal
from fitcore.store.machine import peak_memory
from fitcore.store.temporary import removed_with, temporary_store
from fitcore.stored import latents_part, n_latent_samples, store_latents, usable_record

FORMAT_VERSION = 1
LIBRARIES = ("numpy", "scipy", "jax", "jaxlib", "nautilus-sampler", "blackjax", "dynesty", "scikit-learn", "h5py", "fitcore")


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that determines a result; and, outside its identity, a name for messages and how many latent variables are drawn."""

    model: Model
    analysis: Analysis
    search: Search
    seed: int = 0
    proposal: Proposal | None = None
    name: str = "fit"
    n_latents: int | None = None

    def __post_init__(self) -> None:
        whose = f"modify_model of {type(self.analysis).__name__}"
        if not isinstance(self.analysis, Analysis):
            raise ConfigError(f"analysis is {self.analysis!r:.60}; it must be an instance of a class derived from fitcore.Analysis.")
        if not isinstance(self.model, Model):
            raise ModelError(f"The model of {self.name!r} is {self.model!r:.60}; it must be a fitcore.Model, also what {whose} returns.")
        if isinstance(self.search, type) or not callable(getattr(self.search, "run", None)):
            raise ConfigError(f"search is {self.search!r:.60}; it must be a search with its settings, such as fitcore.Nautilus().")
        if isinstance(self.seed, bool) or not isinstance(self.seed, int | np.integer) or self.seed < 0:
            raise SpecError(f"seed is {self.seed!r:.60}; it must be an integer of at least 0.")
        n = self.n_latents
        if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 1):
            raise ConfigError(f"n_latents is {n!r}; it must be a whole number of at least 1, or None for the latents of every sample.")

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
    n_latents: int | None = None,
    limits: Limits | None = None,
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
    n_latents : compute the latent variables of so many draws of equal weight; None for those of every sample, with its weight.
    limits : on time and calls; a search that meets one saves its work and raises `SearchInterruptedError`.

    Raises
    ------
    FitcoreError
        of the kind that `fitcore.errors` draws. Where the latent variables fail, the search's result is in the store; without a store
        their failure is a `HookWarning`, since the result would be lost with it.
    """
    analysis = analysis if isinstance(analysis, Analysis) else _refuse(analysis)
    if not isinstance(model, Model):
        raise ModelError(f"model is {model!r:.60}; it must be a fitcore.Model: wrap the tree in Model(...).")
    if store is not None and not isinstance(store, Store):
        raise ConfigError(f"store is {store!r:.60}; it must be a fitcore.Store, such as Store({str(store)!r:.40}), or None.")
    if store is None and limits is not None:
        raise ConfigError("limits were given and no store: what a limited search has done is kept in a store only. Give one, or no limits.")
    kept = store or temporary_store()
    if store is None:
        removed_with(kept, kept)  # the result, and every result of running its hooks again, holds on to the store
    request = Request(
        model=analysis.modify_model(model),
        analysis=analysis,
        search=search,
        seed=seed,
        proposal=proposal,
        name=name,
        n_latents=n_latents,
    )
    news = console_progress(name) if progress is True else (silent if progress is False else progress)
    result = run(request, kept, progress=news, n_threads=n_threads, limits=limits)
    if store is None:
        remedy = "mend the function and call analysis.compute_latent_samples(result.samples)"
        guarded(request, "compute_latent_samples", lambda: latents(request, result, kept, n_threads=n_threads), remedy)
    else:
        latents(request, result, kept, n_threads=n_threads)
    return result


def _refuse(analysis: Any) -> Analysis:
    raise TypeError(f"analysis is {analysis!r}; it must be an instance of a class derived from fitcore.Analysis (not the class itself).")


def find(request: Request, store: Store) -> Result | None:
    """The stored result of a request, or None. Reads the summary only; its analysis is the one that a first run's result has."""
    record = usable_record(store, request.digest)
    return None if record is None else cached_result(request, store, record.attributes)


def run(
    request: Request,
    store: Store,
    *,
    progress: Progress | None = None,
    stop: Callable[[], bool] | None = None,
    n_threads: int = 1,
    limits: Limits | None = None,
    about: Mapping[str, str] | None = None,
    provenance: Mapping[str, Any] | None = None,
) -> Result:
    """The stored result of a request, computed first where it is not there.

    ``about`` tells people what the work is; see `Store.lease`. ``provenance`` are further facts for the commit record of what is computed.

    Raises
    ------
    SearchInterruptedError
        when ``stop`` said so or a limit was met; the work is saved, and the same request goes on from it.
    LeaseHeldError
        when another process is at work on the same request.
    """
    found = find(request, store)
    if found is not None:
        return found
    store.check_writable()
    with store.lease(request.digest, about={"name": request.name, **(about or {})}) as lease:
        found = find(request, store)  # another process may have finished while this one waited
        if found is not None:
            return found
        store.heed_setbacks(request.digest, lease)
        paths = store.paths(request.digest)
        running = running_analysis(request, store)
        running.save_attributes(paths)
        running.Visualizer.visualize_before_fit(running, paths, request.model)
        bounds = limits or Limits()
        asked = bounds.stopping(stop, lambda: lease.n_calls)
        try:
            outcome, facts = _search(
                request, running, store=store, lease=lease, progress=progress or silent, stop=asked, n_threads=n_threads
            )
        except SearchInterruptedError as error:
            raise bounds.told(error, request.name, lease.n_calls) from error
        attributes = _commit(request, store, lease, outcome, {**(provenance or {}), **facts})
    return after_commit(request, running, store, attributes)


def _search(
    request: Request,
    running: Analysis,
    *,
    store: Store,
    lease: Lease,
    progress: Progress,
    stop: Callable[[], bool] | None,
    n_threads: int,
) -> tuple[SearchOutcome, dict[str, Any]]:
    start = time.monotonic()
    likelihood = BatchedLikelihood(running, request.model, n_batch=running.n_batch, n_threads=n_threads)
    checkpoint = store.checkpoint(request.digest, fingerprint=fingerprint_of(running), stop=stop, lease=lease)
    updates = QuickUpdates(running, request.model, store.paths(request.digest))

    def news(event: ProgressEvent) -> None:
        lease.beat(event.n_calls, event.log_evidence)
        updates(event)
        progress(event)

    problem = Problem(
        n_dim=request.model.n_dim,
        paths=request.model.paths,
        log_likelihood=likelihood,
        value_and_gradient=likelihood.value_and_gradient if running.use_jax else None,
        traceable=likelihood.at_probit if running.use_jax else None,
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
    facts: dict[str, Any] = {
        "seconds": time.monotonic() - start,
        **likelihood.clock.to_dict(),
        "peak_memory_bytes": peak_memory(),
        "n_nan": likelihood.n_nan,
        "device": device_of(running).to_dict(),
    }
    if updates.is_supported:
        facts["quick_updates"] = updates.account()
    return outcome, facts


def fingerprint_of(running: Analysis) -> dict[str, Any]:
    """What must be equal for a search to go on from a checkpoint bit for bit."""
    return {**{name: importlib.metadata.version(name) for name in LIBRARIES}, "n_batch": running.n_batch}


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


def _commit(request: Request, store: Store, lease: Lease, outcome: SearchOutcome, facts: Mapping[str, Any]) -> dict[str, Any]:
    samples = samples_of(request.model, outcome)
    summary = samples.summary(n_calls=outcome.n_calls, diagnostics=dict(outcome.diagnostics))
    plain = plain_internal(outcome.internal)
    kept, kept_arrays = plain or ({}, {})
    attributes = {"summary": summary.to_dict(), "model": request.model.to_dict(), **kept}
    provenance = {
        "name": request.name,
        "n_calls": outcome.n_calls,
        **facts,
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "parent": None if request.proposal is None else request.proposal.parent,
    }
    if not lease.still_held():
        raise LeaseHeldError(
            f"Another process took over {request.name!r} ({request.digest[:12]}) while this one stood still; it publishes the result. "
            "Run the same command again to read it."
        )
    if plain is None:
        store.write_internal(request.digest, dill.dumps(outcome.internal))
    store.commit(
        request.digest,
        arrays=samples.to_arrays() | kept_arrays,
        attributes=attributes,
        spec=canonical(request.specification),
        provenance=provenance,
    )
    store.checkpoint(request.digest, fingerprint={}).discard()
    return attributes


def latents(request: Request, result: Result, store: Store, *, batch_size: int | None = None, n_threads: int = 1) -> tuple[int, bool]:
    """Compute and store the latent variables of a result's samples, once: their number (0 without keys), and whether they were there."""
    part = store.lookup(request.digest, latents_part(request.n_latents))
    if part is not None:
        return n_latent_samples(part), True
    samples = result.samples if request.n_latents is None else equal_weight(result.samples, request.n_latents, request.seed)
    running = copy.copy(result.source.running)
    facts: dict[str, Any] = {}
    running.latent_threads, running.latent_listener = n_threads, facts.update
    start = time.monotonic()
    found = running.compute_latent_samples(samples, batch_size)
    facts["seconds"] = time.monotonic() - start
    return store_latents(store, request.digest, request.n_latents, found, facts), False
