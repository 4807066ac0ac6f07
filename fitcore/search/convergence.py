"""Whether chains agree, and how many independent draws they are worth. Arrays in, numbers out.

References
----------
Vehtari, Gelman, Simpson, Carpenter & Burkner 2021, Bayesian Analysis 16, 667; Geyer 1992, Statistical Science 7, 473.
"""

from __future__ import annotations

import numpy as np
from scipy.special import ndtri

from fitcore.search.base import Array


def _split(chains: Array) -> Array:
    """Halves of chains (m, n) as chains of their own; the middle draw of an odd number is left out."""
    half = chains.shape[1] // 2
    return np.concatenate([chains[:, :half], chains[:, -half:]])


def _rank_normalized(chains: Array) -> Array:
    """Normal scores of the ranks among all draws; ties share their mean rank."""
    _, which, counts = np.unique(chains, return_inverse=True, return_counts=True)
    rank = (np.cumsum(counts) - 0.5 * (counts - 1))[which].reshape(chains.shape)
    return np.asarray(ndtri((rank - 0.375) / (chains.size + 0.25)), dtype=np.float64)


def _scale_reduction(chains: Array) -> float:
    n = chains.shape[1]
    within = chains.var(axis=1, ddof=1).mean()
    between = chains.mean(axis=1).var(ddof=1)
    if within == 0.0:
        return 1.0 if between == 0.0 else np.inf
    return float(np.sqrt((n - 1) / n + between / within))


def r_hat(chains: Array) -> float:
    """Rank-normalized split R-hat of one parameter's chains, shape (n_chains, n_draws): the larger of the location's and the spread's."""
    folded = np.abs(chains - np.median(chains))
    return max(_scale_reduction(_rank_normalized(_split(part))) for part in (chains, folded))


def bulk_effective_sample_size(chains: Array) -> float:
    """Independent draws that one parameter's chains, shape (n_chains, n_draws), are worth in the bulk of the distribution.

    Correlations are summed in pairs, as far as the pair sums are positive and made to fall; the number is at most n log10(n).
    """
    parts = _rank_normalized(_split(chains))
    m, n = parts.shape
    centered = parts - parts.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centered, n=2 * n, axis=1)
    covariance = np.fft.irfft(np.abs(spectrum) ** 2, n=2 * n, axis=1)[:, :n].mean(axis=0) / n
    within = covariance[0] * n / (n - 1)
    total = covariance[0] + parts.mean(axis=1).var(ddof=1)
    if total == 0.0:
        return 1.0
    correlation = 1.0 - (within - covariance * n / (n - 1)) / total
    correlation[0] = 1.0
    pairs = correlation[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    negative = np.flatnonzero(pairs <= 0.0)
    pairs = np.minimum.accumulate(pairs[: negative[0]] if negative.size else pairs)
    time = max(-1.0 + 2.0 * float(pairs.sum()), 1.0 / np.log10(m * n))
    return float(m * n / time)
