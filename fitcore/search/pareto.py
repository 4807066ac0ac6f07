"""What a set of importance weights says about itself: effective size, Pareto k-hat, tempering, grade. Nothing is drawn here."""

from __future__ import annotations

import numpy as np

from fitcore.search.base import Array

EFFICIENCY_GOOD = 0.2
EFFICIENCY_LEAST = 0.05
K_GOOD = 0.3
K_USABLE = 0.5


def effective_sample_size(log_weight: Array) -> float:
    """Kish's effective sample size, (sum w)^2 / sum w^2, of log-weights of shape (n,); 0 where no weight is finite."""
    largest = np.max(log_weight, initial=-np.inf)
    if not np.isfinite(largest):
        return 0.0
    weight = np.exp(log_weight - largest)
    return float(weight.sum() ** 2 / np.sum(weight * weight))


def pareto_k(log_weight: Array) -> float:
    """Shape of the generalized Pareto distribution that fits the upper tail of the weights; infinite where the tail has too few points.

    Below 0.5 the weights have a finite variance, so that the law of large numbers holds at the usual rate.

    Parameters
    ----------
    log_weight : shape (n,); entries of -inf count as weights of zero.

    References
    ----------
    Vehtari et al. 2024, JMLR 25, 72 (tail length, prior on k); Zhang & Stephens 2009, Technometrics 51, 316 (the estimator).
    """
    n = len(log_weight)
    finite = np.sort(log_weight[np.isfinite(log_weight)])
    n_tail = int(min(0.2 * n, 3.0 * np.sqrt(n)))
    if n_tail < 5 or len(finite) <= n_tail:
        return float("inf")
    weight = np.exp(finite - finite[-1])
    excess = weight[-n_tail:] - weight[-n_tail - 1]
    excess = excess[excess > 0]
    m = len(excess)
    if m < 5:
        return float("inf")
    n_grid = 30 + int(np.sqrt(m))
    quartile = excess[int(m / 4 + 0.5) - 1]
    grid = 1.0 / excess[-1] + (1.0 - np.sqrt(n_grid / (np.arange(1, n_grid + 1) - 0.5))) / (3.0 * quartile)
    shape = np.mean(np.log1p(-grid[:, None] * excess), axis=1)
    profile = m * (np.log(-grid / shape) - shape - 1.0)
    posterior = 1.0 / np.exp(np.clip(profile[None, :] - profile[:, None], -700.0, 700.0)).sum(axis=1)
    k = np.mean(np.log1p(-np.sum(grid * posterior) * excess))
    return float((k * m + 5.0) / (m + 10.0))  # ten pseudo-observations at k = 0.5


def temper(log_weight: Array, target: float) -> float:
    """Largest exponent of at most 1 for which the weights have an effective size of ``target``; bisection."""
    if effective_sample_size(log_weight) >= target:
        return 1.0
    low, high = 0.0, 1.0
    for _ in range(40):
        middle = 0.5 * (low + high)
        if effective_sample_size(middle * log_weight) >= target:
            low = middle
        else:
            high = middle
    return low


def grade(*, k: float, efficiency: float, has_adapted: bool) -> str:
    """Grade of a frozen importance sample: "A" use the error as it is, "B" double it, "F" do not use.

    Measured on random targets and proposals, root mean square of error over claim (worst): efficiency above 0.2, 84 runs with k < 0.3:
    1.04, and 23 with k from 0.3 to 0.5: 1.07 (fresh runs, after the limits were chosen); efficiency 0.05 to 0.2 with k < 0.3, 29 runs:
    1.06 (2.1); the rest: 1.8 (5.2). So a low efficiency alone, as on shells, makes a sample dear rather than wrong; its error is doubled.
    """
    if not has_adapted or not k < K_USABLE or not efficiency > EFFICIENCY_LEAST:
        return "F"
    if k < K_GOOD:
        return "A" if efficiency > EFFICIENCY_GOOD else "B"
    return "B" if efficiency > EFFICIENCY_GOOD else "F"


def pooled_grade(k: float) -> str:
    """Grade of shells and draws pooled, by the tail of their weights: "A" use the error as it is, "B" double it, "F" do not trust it."""
    if k < K_GOOD:
        return "A"
    return "B" if k < K_USABLE else "F"
