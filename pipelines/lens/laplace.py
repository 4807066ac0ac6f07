"""Samples of the Laplace approximation at the solutions of a descent, as the outcome of a search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.search.base import Problem, SearchOutcome
from pipelines.lens.marquardt import Minimum, Penalty

Array = NDArray[np.float64]
LEAST_SHARE = 0.02
SHARE_REACH = 30.0
"""Solutions whose objective lies within this of the best share the samples."""
SMALLEST_DEVIATION = 1e-6


def covariance_of(minimum: Minimum) -> Array:
    """Covariance of the parameters: the inverse of the curvature, with its eigenvalues kept positive."""
    values, vectors = np.linalg.eigh(0.5 * (minimum.curvature + minimum.curvature.T))
    return (vectors / np.maximum(values, 1e-6 * values.max())) @ vectors.T + SMALLEST_DEVIATION**2 * np.eye(len(values))


def shares(minima: Sequence[Minimum]) -> Array:
    """Fractions of the samples for each solution, by their Laplace evidence; those far worse than the best get none."""
    log_mass = np.array([-0.5 * m.objective + 0.5 * np.linalg.slogdet(covariance_of(m))[1] for m in minima])
    share = np.exp(log_mass - log_mass.max())
    near = np.array([m.objective - min(n.objective for n in minima) < SHARE_REACH for m in minima])
    share = np.where(near, np.maximum(share, LEAST_SHARE), 0.0)
    return share / share.sum()


def outcome_of(
    minima: Sequence[Minimum],
    *,
    problem: Problem,
    penalty: Penalty,
    names: Sequence[str],
    n_samples: int,
    rng: np.random.Generator,
    n_calls: int,
    facts: Mapping[str, Any],
) -> SearchOutcome:
    """A search's outcome: the solutions themselves and draws around them, equally weighted within a solution.

    ``minima`` are the solutions, the chosen one first; ``names`` are the parameters' paths in the order of their vectors.
    """
    chosen = [minima[0], *(m for m in minima[1:] if m.objective < minima[0].objective + SHARE_REACH)]
    order = [list(names).index(path) for path in problem.paths]
    draws, log_weight = [], []
    for minimum, share in zip(chosen, shares(chosen), strict=True):
        if share == 0.0:
            continue
        n = max(2, round(n_samples * share))
        root = np.linalg.cholesky(covariance_of(minimum))
        points = np.concatenate([[minimum.p], minimum.p + rng.standard_normal((n - 1, len(minimum.p))) @ root.T])
        draws.append(np.clip(points, penalty.lower, penalty.upper)[:, order])
        log_weight.append(np.full(n, np.log(share / n)))
    u = np.clip(np.asarray(problem.model.inverse_transform(np.concatenate(draws))), 1e-15, 1.0 - 1e-15)
    log_likelihood = problem.log_likelihood(u)
    keep = np.isfinite(log_likelihood)
    weight = np.concatenate(log_weight)[keep]
    return SearchOutcome(
        u=u[keep],
        log_likelihood=log_likelihood[keep],
        log_weight=weight - np.log(np.exp(weight).sum()),
        log_evidence=float("nan"),
        log_evidence_error=float("nan"),
        n_calls=n_calls + len(u),
        diagnostics=dict(facts),
    )
