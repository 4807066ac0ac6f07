"""`MultiStart`: the peaks of a posterior, by descents from many draws of the prior, and a Gaussian at each. It gives no evidence.

Descents and grouping are in `modes`, the Gaussians in `curvature`, the batches of the simplexes in `lockstep`.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from fitcore.errors import NotConvergedError, SpecError
from fitcore.search.base import Array, Checkpoint, Problem, Progress, Search, SearchOutcome
from fitcore.search.curvature import measured
from fitcore.search.journal import Journal, Ledger, unit_cube
from fitcore.search.lockstep import Lockstep
from fitcore.search.modes import Mode, descend, distinct
from fitcore.search.outcome import outcome_of
from fitcore.search.settings import check_choice, check_integer
from fitcore.search.starts import finite_starts
from fitcore.search.streams import single_threaded, stream

MOST_MODES = 20
REPORTED_MODES = 5
SIMPLEX_STEP = 0.5
SIMPLEX_STEP_STUCK = 0.05
SIMPLEX_CALLS = 300  # for each parameter
SIMPLEX_TOLERANCE = 1e-2  # in log posterior: `curvature` polishes


@functools.cache
def _optimize() -> Any:
    """scipy's optimizers, loaded when a simplex runs: no other search should wait for them."""
    return importlib.import_module("scipy.optimize")


@dataclass(frozen=True, kw_only=True)
class MultiStart(Search):
    """Descents from prior draws to all peaks they lead to, and samples of the Gaussians there, shared by their Laplace masses.

    The samples carry plain log-likelihoods; the log-evidence is NaN, because a Gaussian at a peak proves nothing about the tails. Laplace's
    approximations of it are among the diagnostics.

    Parameters
    ----------
    n_starts : descents, from prior draws where the likelihood is finite.
    n_samples : samples of the Gaussians, raised to a whole number of the problem's batches.
    method : "gradient" for L-BFGS, "simplex" for Nelder-Mead, "auto" for gradients where the likelihood has them, and a simplex for those
        descents that a wall of zero likelihood stopped.
    n_like_max : most likelihood calls, each gradient counted as one; reaching it is an error, never a poorer result.

    Raises
    ------
    ConfigError
        for a value outside its range.

    References
    ----------
    Nocedal & Wright 2006, Numerical Optimization, algorithm 7.4 (L-BFGS); Nelder & Mead 1965, Computer Journal 7, 308; Tierney & Kadane
    1986, JASA 81, 82 (Laplace's approximation).
    """

    version = 2

    n_starts: int = 64
    n_samples: int = 1000
    method: str = "auto"
    n_like_max: int = 300_000

    def __post_init__(self) -> None:
        check_integer(self, "n_starts", 1, 100_000)
        check_integer(self, "n_samples", 1, 10_000_000)
        check_choice(self, "method", ("auto", "gradient", "simplex"))
        check_integer(self, "n_like_max", 1)

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """See `Search.run`. A proposal is not used.

        Raises
        ------
        SpecError
            when the method is "gradient" and the likelihood has none, or the problem has no parameters.
        NotConvergedError
            when ``n_like_max`` is reached first, or no prior draw has a finite likelihood.
        SearchInterruptedError
            when asked to stop; the work is saved.
        """
        if problem.n_dim < 1:
            raise SpecError(f"The problem has {problem.n_dim} parameters; a search needs at least one. Free a parameter of the model.")
        if self.method == "gradient" and problem.value_and_gradient is None:
            raise SpecError(
                "MultiStart with method='gradient' needs a likelihood with gradients, and the problem has none. Write it in jax.numpy and "
                "set use_jax=True in the analysis, or use method='simplex'."
            )
        ledger = Ledger(checkpoint=checkpoint, progress=progress, n_like_max=self.n_like_max, limit_name="MultiStart.n_like_max")
        with single_threaded(problem) as inner:
            return _Run(self, ledger.journal("multistart", inner), seed=seed).outcome()


class _Run:
    """One search: its settings, and the journal that answers for the likelihood."""

    def __init__(self, settings: MultiStart, journal: Journal, *, seed: int) -> None:
        self.settings, self.journal, self.seed = settings, journal, seed
        self.has_gradient = settings.method != "simplex" and journal.problem.value_and_gradient is not None
        self.n_failed = 0

    def negative(self, z: Array) -> Array:
        """Minus the log posterior, without the prior's constant."""
        return 0.5 * np.sum(z * z, axis=1) - self.journal.log_likelihood(z)

    def negative_and_gradient(self, z: Array) -> tuple[Array, Array]:
        value, gradient = self.journal.value_and_gradient(z)
        return np.where(np.isfinite(value), 0.5 * np.sum(z * z, axis=1) - value, np.inf), z - gradient

    def starts(self) -> Array:
        """Prior draws where the likelihood is finite, shape (at most n_starts, n_dim)."""
        rng, d = stream(self.seed, "multistart.starts"), self.journal.problem.n_dim
        found = finite_starts(self.journal, lambda n: rng.standard_normal((n, d)), self.settings.n_starts, n_least=1)
        self.n_failed += self.settings.n_starts - len(found.z)
        return found.z

    def simplex(self, starts: Array, step: float) -> tuple[Array, Array]:
        """Places (n, d) and values (n,) that Nelder-Mead reaches, twice: a collapsed simplex is made anew where it ended."""
        d = starts.shape[1]
        lockstep = Lockstep(self.negative, size=len(starts))
        options = {"xatol": np.inf, "fatol": SIMPLEX_TOLERANCE, "maxfev": SIMPLEX_CALLS * d, "maxiter": SIMPLEX_CALLS * d, "adaptive": True}

        def minimized(start: Array) -> Any:
            corners = start + np.concatenate([np.zeros((1, d)), step * np.eye(d)])
            return _optimize().minimize(lockstep, start, method="Nelder-Mead", options={**options, "initial_simplex": corners})

        ends = lockstep.map(lambda start: minimized(minimized(start).x), starts)
        self.n_failed += sum(not end.success for end in ends)
        return np.array([end.x for end in ends]), np.array([float(end.fun) for end in ends])

    def ends(self, starts: Array) -> tuple[Array, Array]:
        """Where the descents end."""
        if not self.has_gradient:
            self.journal.phase = "simplexes"
            return self.simplex(starts, SIMPLEX_STEP)
        self.journal.phase = "ascents"
        places, values, is_walled = descend(self.negative_and_gradient, starts)
        is_finite = np.isfinite(values)
        self.n_failed += int(np.sum(~is_finite))
        again = np.flatnonzero(is_walled & is_finite)
        if self.settings.method == "auto" and again.size:
            self.journal.phase = "simplexes"
            places[again], values[again] = self.simplex(places[again], SIMPLEX_STEP_STUCK)
        return places, values

    def modes(self) -> list[Mode]:
        """The distinct peaks, by mass."""
        places, values = self.ends(self.starts())
        self.journal.phase = "modes"
        found = distinct(places, values, lambda z, value: measured(self.negative, z, value), n_most=MOST_MODES)
        return merged(found)

    def outcome(self) -> SearchOutcome:
        modes = self.modes()
        if not modes:
            raise NotConvergedError(
                f"None of {self.settings.n_starts} descents ended at a finite log-likelihood. Raise n_starts, or use method='simplex'."
            )
        self.journal.phase = "sampling"
        masses = np.array([mode.log_mass for mode in modes])
        share = np.exp(masses - np.logaddexp.reduce(masses))
        counts = shared_out(self.journal.rounded(self.settings.n_samples), share)
        z = _draws(modes, counts, stream(self.seed, "multistart.samples"))
        log_likelihood = self.journal.log_likelihood(z)
        is_inside = np.isfinite(log_likelihood)
        log_weight = np.repeat(np.log(np.maximum(share, 1e-300)) - np.log(np.maximum(counts, 1)), counts)
        ledger = self.journal.ledger
        ledger.tell("done", f"{len(modes)} mode{'s' if len(modes) > 1 else ''}")
        return outcome_of(
            u=unit_cube(z[is_inside]),
            log_likelihood=log_likelihood[is_inside],
            log_weight=log_weight[is_inside],
            log_evidence=float("nan"),
            log_evidence_error=float("nan"),
            n_calls=ledger.n_calls,
            diagnostics=self.diagnostics(modes, share, n_excluded=int(np.sum(~is_inside))),
        )

    def diagnostics(self, modes: Sequence[Mode], share: Array, *, n_excluded: int) -> dict[str, float | int | str | bool]:
        """Flat facts, the heaviest modes numbered from 0."""
        d, n_hits = self.journal.problem.n_dim, sum(mode.n_hits for mode in modes)
        found: dict[str, float | int | str | bool] = {
            "method": "gradient" if self.has_gradient else "simplex",
            "n_modes": len(modes),
            "n_starts": self.settings.n_starts,
            "n_failed": self.n_failed,
            "n_hits": n_hits,
            "n_excluded": n_excluded,
            "n_gradients": self.journal.n_gradients,
            "laplace_log_evidence": float(np.logaddexp.reduce([mode.log_mass for mode in modes])),
        }
        for i, mode in enumerate(modes[:REPORTED_MODES]):
            found[f"mode_{i}_log_posterior"] = float(-mode.value - 0.5 * d * np.log(2.0 * np.pi))
            found[f"mode_{i}_log_evidence"] = mode.log_mass
            found[f"mode_{i}_share"] = float(share[i])
            found[f"mode_{i}_hits"] = mode.n_hits
        return found


def merged(modes: Sequence[Mode]) -> list[Mode]:
    """The modes by mass, those that polishing has brought to one place counted as one."""
    kept: list[Mode] = []
    for mode in sorted(modes, key=lambda mode: mode.value):
        offsets = [np.linalg.solve(np.linalg.cholesky(other.covariance), mode.z - other.z) for other in kept]
        near = next((i for i, offset in enumerate(offsets) if np.linalg.norm(offset) < 1.0), None)
        if near is None:
            kept.append(mode)
        else:
            kept[near] = replace(kept[near], n_hits=kept[near].n_hits + mode.n_hits)
    return sorted(kept, key=lambda mode: -mode.log_mass)


def shared_out(n: int, share: Array) -> np.ndarray:
    """``n`` samples by shares that sum to one: whole numbers that sum to ``n``, the largest remainders rounded up."""
    counts = np.floor(n * share).astype(np.int64)
    order = np.argsort(-(n * share - counts), kind="stable")
    counts[order[: n - counts.sum()]] += 1
    return counts


def _draws(modes: Sequence[Mode], counts: np.ndarray, rng: np.random.Generator) -> Array:
    """Draws of each Gaussian, the peak itself the first of them: a hard wall may exclude all others."""
    parts = []
    for mode, n in zip(modes, counts, strict=True):
        noise = rng.standard_normal((n, len(mode.z)))
        noise[:1] = 0.0
        parts.append(mode.z + noise @ np.linalg.cholesky(mode.covariance).T)
    return np.concatenate(parts)
