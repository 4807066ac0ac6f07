"""Samples of the Laplace approximation at the solutions of a descent, as the outcome of a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.analysis.analysis import Analysis
from fitcore.evaluation import BatchedLikelihood
from fitcore.search.base import Problem, SearchOutcome
from pipelines.lens.marquardt import Minimum, Penalty

Array = NDArray[np.float64]
LEAST_SHARE = 0.02
SHARE_REACH = 30.0
"""Solutions whose objective lies within this of the chosen one share the samples."""
SMALLEST_DEVIATION, LEAST_EIGENVALUE = 1e-6, 1e-8


def covariance_of(minimum: Minimum) -> Array:
    """Covariance of the parameters: the inverse of the curvature, with the eigenvalues of its correlations kept positive."""
    curvature = 0.5 * (minimum.curvature + minimum.curvature.T)
    diagonal = np.diag(curvature)
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    values, vectors = np.linalg.eigh(curvature / scale / scale[:, None])
    inverse = (vectors / np.maximum(values, LEAST_EIGENVALUE * values.max())) @ vectors.T
    return inverse / scale / scale[:, None] + SMALLEST_DEVIATION**2 * np.eye(len(values))


def shares(minima: Sequence[Minimum], gaps: Sequence[float]) -> Array:
    """Fractions of the samples for each solution, by its Laplace evidence at the objective that chose; shape (n,).

    ``gaps`` are the objectives, less that of the first solution, with the model's inadequacy in the noise: at nominal noise a solution that
    was refused may well fit better. Those beyond the reach get none, the others at least a few samples.
    """
    log_volume = np.array([0.5 * np.linalg.slogdet(covariance_of(m))[1] for m in minima])
    log_mass = log_volume - 0.5 * np.asarray(gaps)
    share = np.where(np.asarray(gaps) < SHARE_REACH, np.maximum(np.exp(log_mass - log_mass.max()), LEAST_SHARE), 0.0)
    return share / share.sum()


def evaluating(analysis: Analysis, problem: Problem) -> closing[BatchedLikelihood]:
    """The log-likelihood of a problem's model under another analysis, as a context."""
    return closing(BatchedLikelihood(analysis, problem.model, n_batch=problem.n_batch, n_threads=problem.n_threads))


def outcome_of(
    minima: Sequence[Minimum],
    gaps: Sequence[float],
    *,
    problem: Problem,
    log_likelihood: Callable[[Array], Array],
    penalty: Penalty,
    names: Sequence[str],
    n_samples: int,
    rng: np.random.Generator,
    n_calls: int,
    facts: Mapping[str, Any],
) -> SearchOutcome:
    """A search's outcome: the solutions themselves and draws around them, equally weighted within a solution.

    ``log_likelihood`` may have another noise than the problem's own. ``minima`` are the solutions, the chosen one first, and ``gaps`` how
    much worse each is (`shares`); ``names`` are the paths of their parameters, in order.
    """
    order = [list(names).index(path) for path in problem.paths]
    draws, log_weight = [], []
    for minimum, share in zip(minima, shares(minima, gaps), strict=True):
        if share == 0.0:
            continue
        n = max(2, round(n_samples * share))
        root = np.linalg.cholesky(covariance_of(minimum))
        best = minimum.p[minimum.parameters]
        points = np.concatenate([[best], best + rng.standard_normal((n - 1, len(best))) @ root.T])
        draws.append(np.clip(points, penalty.lower[minimum.parameters], penalty.upper[minimum.parameters])[:, order])
        log_weight.append(np.full(n, np.log(share / n)))
    u = np.clip(np.asarray(problem.model.inverse_transform(np.concatenate(draws))), 1e-15, 1.0 - 1e-15)
    values = log_likelihood(u)
    keep = np.isfinite(values)
    weight = np.concatenate(log_weight)[keep]
    return SearchOutcome(
        u=u[keep],
        log_likelihood=values[keep],
        log_weight=weight - np.log(np.exp(weight).sum()),
        log_evidence=float("nan"),
        log_evidence_error=float("nan"),
        n_calls=n_calls + len(u),
        diagnostics=dict(facts),
    )
