"""`Dynesty`: nested sampling by dynesty, an independent check of the other searches. Evidence, its error and the weights are the library's.

It keeps nothing of dynesty's own on disk: an interrupted run is replayed from the journal. Its walkers go side by side, in `lockstep`.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from fitcore.errors import SpecError
from fitcore.search.base import Array, Checkpoint, Problem, Progress, Search, SearchOutcome
from fitcore.search.journal import LARGEST_U, SMALLEST_U, Journal, Ledger, unit_cube
from fitcore.search.lockstep import Lockstep
from fitcore.search.outcome import outcome_of
from fitcore.search.settings import check_choice, check_integer, check_number
from fitcore.search.starts import finite_starts
from fitcore.search.streams import single_threaded, stream

WALKERS = 32
LIVE_POINTS_PER_WALKER = 4  # a walker that set out long ago may come back below the threshold: in vain
SAMPLES = ("auto", "unif", "rwalk", "slice", "rslice")
NEWS_EVERY = 100  # dead points


@functools.cache
def _library() -> Any:
    """dynesty, loaded when such a search runs."""
    return importlib.import_module("dynesty")


@dataclass(frozen=True, kw_only=True)
class Dynesty(Search):
    """Static nested sampling by dynesty, bounds of many ellipsoids, from the priors alone.

    Parameters
    ----------
    n_live : live points; the error of the log-evidence falls as their square root.
    sample : how a new point is found within the bounds: "rwalk" (random walks), "slice", "rslice", "unif" (uniformly, for few parameters
        only), or "auto", by the number of parameters.
    d_log_z : the log-evidence still in the live points at which the run ends; they are added to the samples.
    n_like_max : most likelihood calls; reaching it is an error, never a poorer result.

    Raises
    ------
    ConfigError
        for a value outside its range.

    References
    ----------
    Speagle 2020, MNRAS 493, 3132 (dynesty); Skilling 2006, Bayesian Analysis 1, 833 (nested sampling).
    """

    n_live: int = 500
    sample: str = "rwalk"
    d_log_z: float = 0.01
    n_like_max: int = 3_000_000

    def __post_init__(self) -> None:
        check_integer(self, "n_live", 20, 100_000)
        check_choice(self, "sample", SAMPLES)
        check_number(self, "d_log_z", 0.0, 100.0)
        check_integer(self, "n_like_max", 1)

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """See `Search.run`. A proposal is not used.

        Raises
        ------
        SpecError
            when the problem has no parameters, or too many for so few live points.
        NotConvergedError
            when ``n_like_max`` is reached first, or too few prior draws have a finite likelihood.
        SearchInterruptedError
            when asked to stop; the work is saved.
        """
        if problem.n_dim < 1:
            raise SpecError(f"The problem has {problem.n_dim} parameters; a search needs at least one. Free a parameter of the model.")
        if self.n_live <= 2 * problem.n_dim:
            raise SpecError(
                f"Dynesty: n_live is {self.n_live} for {problem.n_dim} parameters; it must be more than twice as many. Raise n_live."
            )
        ledger = Ledger(checkpoint=checkpoint, progress=progress, n_like_max=self.n_like_max, limit_name="Dynesty.n_like_max")
        with single_threaded(problem) as inner:
            return self._sampled(ledger.journal("dynesty", inner), seed=seed)

    def _sampled(self, journal: Journal, *, seed: int) -> SearchOutcome:
        ledger, rng = journal.ledger, stream(seed, "dynesty")
        lockstep = Lockstep(journal.log_likelihood, size=max(1, min(WALKERS, self.n_live // LIVE_POINTS_PER_WALKER)))
        journal.phase = "live points"
        n_dim = journal.problem.n_dim
        starts = finite_starts(journal, lambda n: rng.standard_normal((n, n_dim)), self.n_live, n_least=self.n_live)
        journal.phase = "nested sampling"
        sampler = _library().NestedSampler(
            lockstep,
            _probit,
            n_dim,
            nlive=self.n_live,
            bound="multi",
            sample=self.sample,
            rstate=rng,
            live_points=[unit_cube(starts.z), starts.z, starts.log_likelihood],
            pool=lockstep,
            queue_size=lockstep.size,
            use_pool={"prior_transform": False, "loglikelihood": False, "propose_point": True, "update_bound": False},
        )
        # dynesty's own wrapper prints a traceback for every walker that an interruption ends.
        sampler.loglikelihood = _library().utils.LogLikelihood(lockstep, n_dim)
        for i, step in enumerate(sampler.sample(dlogz=self.d_log_z, save_bounds=False)):
            if i % NEWS_EVERY == 0:
                ledger.tell("nested sampling", f"{i} dead points, {float(step.delta_logz):.3f} of the log-evidence to go", float(step.logz))
        for _ in sampler.add_live_points():
            pass
        return _outcome(sampler, ledger, n_live=self.n_live, n_drawn=starts.n_drawn)


def _probit(u: Array) -> Array:
    return np.asarray(ndtri(np.clip(u, SMALLEST_U, LARGEST_U)))


def _outcome(sampler: Any, ledger: Ledger, *, n_live: int, n_drawn: int) -> SearchOutcome:
    """What dynesty found, times the share of the prior where the likelihood is not zero: dynesty was given that part alone."""
    results = sampler.results
    log_weight = np.asarray(results.logwt, dtype=np.float64) - float(results.logz[-1])
    weight = np.exp(log_weight)
    # The last of the n_drawn points was drawn until it fell inside, so it says nothing about the share.
    share = 1.0 if n_drawn == n_live else (n_live - 1) / (n_drawn - 1)
    log_evidence = float(results.logz[-1]) + float(np.log(share))
    ledger.tell("done", f"{results.niter} dead points", log_evidence)
    return outcome_of(
        u=unit_cube(np.asarray(results.samples)),
        log_likelihood=np.asarray(results.logl, dtype=np.float64),
        log_weight=log_weight,
        log_evidence=log_evidence,
        log_evidence_error=float(np.sqrt(float(results.logzerr[-1]) ** 2 + (1.0 - share) / (share * n_drawn))),
        n_calls=ledger.n_calls,
        diagnostics={
            "n_eff": float(weight.sum() ** 2 / np.sum(weight**2)),
            "n_iterations": int(results.niter),
            "efficiency": float(results.eff),
            "information": float(results.information[-1]),
            "possible_share": share,
        },
    )
