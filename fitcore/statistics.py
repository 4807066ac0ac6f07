"""Statistics of weighted values: quantiles, means, covariances. NaN marks a value that is not known; it is left out with its weight.

Arrays in, arrays out; samples with names and evidence are `fitcore.samples.Samples`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.errors import SpecError

Array = NDArray[np.float64]


def weighted_quantile(x: Any, q: Any, weight: Any = None) -> Array:
    """Quantiles of weighted values, by the rule of the ``corner`` package.

    With the values sorted, value k lies at ``sum_{i<k} w_i / sum_{i<n-1} w_i``; between them the quantile is linear. With equal weights
    this is `numpy.percentile`.

    Parameters
    ----------
    x : values, shape (n,).
    q : where, in [0, 1], any shape.
    weight : not negative, shape (n,); None for equal weights.

    References
    ----------
    Foreman-Mackey (2016), corner.py, JOSS 1(2), 24; function ``corner.quantile``.
    """
    values = np.asarray(x, dtype=np.float64)
    q = np.asarray(q, dtype=np.float64)
    weight = np.ones_like(values) if weight is None else np.asarray(weight, dtype=np.float64)
    if values.ndim != 1 or values.size == 0 or weight.shape != values.shape:
        raise SpecError(f"weighted_quantile: values of shape {values.shape} and weights of shape {weight.shape}; both must be (n,), n > 0.")
    if not ((q >= 0.0) & (q <= 1.0)).all():
        raise SpecError(f"weighted_quantile: q is {q!r}; it must lie in [0, 1].")
    order = np.argsort(values)
    ordered = values[order]
    if not (ordered[1:] > ordered[:-1]).all():  # the quick sort may swap equal values, and so their weights
        order = np.argsort(values, kind="stable")
    below = np.concatenate([[0.0], np.cumsum(weight[order])[:-1]])
    if below[-1] <= 0.0:  # one value, or all weight on the largest
        return np.full(q.shape, ordered[-1])
    return np.interp(q, below / below[-1], ordered)


def central_interval(sigma: float) -> tuple[float, float]:
    """The quantiles that enclose the central probability of ``sigma`` standard deviations of a normal."""
    tail = 0.5 * math.erfc(sigma / math.sqrt(2.0))
    return tail, 1.0 - tail


def known_quantile(x: Array, q: Any, weight: Array) -> Array:
    """`weighted_quantile` of the values that are not NaN; NaN where none of them has weight."""
    known = ~np.isnan(x)
    if known.all() and np.any(weight > 0.0):
        return weighted_quantile(x, q, weight)
    if not np.any(weight[known] > 0.0):
        return np.full(np.shape(q), np.nan)
    return weighted_quantile(x[known], q, weight[known])


def weighted_mean(x: Array, weight: Array) -> Array:
    """Means of the columns of ``x`` of shape (n, n_dim), each over its known values; shape (n_dim,)."""
    known = _known_weight(x, weight)
    total = known.sum(axis=0)
    return np.where(total > 0.0, np.sum(known * np.nan_to_num(x, nan=0.0), axis=0) / np.where(total > 0.0, total, 1.0), np.nan)


def weighted_covariance(x: Array, weight: Array) -> Array:
    """Covariance of the columns of ``x`` of shape (n, n_dim), each pair over the rows that know both; shape (n_dim, n_dim).

    Without bias for independent rows, as ``numpy.cov(x, rowvar=False, aweights=weight)``; zero where a single row has all the weight.
    """
    known = _known_weight(x, weight)
    has = (known > 0.0).astype(np.float64)
    offset = np.nan_to_num(x - weighted_mean(x, weight), nan=0.0)
    total = known.T @ has
    freedom = total - (known.T**2 @ has) / np.where(total > 0.0, total, 1.0)
    is_spread = freedom > 1e-12
    spread = np.where(is_spread, (known * offset).T @ offset / np.where(is_spread, freedom, 1.0), 0.0)
    return np.where(total > 0.0, spread, np.nan)


def systematic_resampling(weight: Array, n: int, seed: int) -> NDArray[np.int64]:
    """Which samples make ``n`` draws of equal weight, in random order, shape (n,).

    One random number shifts a comb of ``n`` equal teeth over the summed weights, so that sample k is taken ``n weight[k]`` times, rounded
    down or up: the least noise that draws of equal weight can have. The order is then shuffled, so that repeated draws do not stand side by
    side. The same for the same seed.

    Parameters
    ----------
    weight : not negative, sums to one, shape (n_samples,).
    n : how many draws, > 0.

    References
    ----------
    Kitagawa (1996), J. Comput. Graph. Stat. 5, 1; Douc, Cappe & Moulines (2005), arXiv:cs/0507025.
    """
    if n < 1:
        raise SpecError(f"systematic_resampling: n is {n!r}; it must be at least 1.")
    rng = np.random.default_rng(seed)
    summed = np.cumsum(weight)
    teeth = (rng.random() + np.arange(n)) / n * summed[-1]
    # the last tooth may be rounded up to the very end, past all weight
    last = np.flatnonzero(weight)[-1]
    return rng.permutation(np.minimum(np.searchsorted(summed, teeth, side="right"), last))


def _known_weight(x: Array, weight: Array) -> Array:
    return np.where(np.isnan(x), 0.0, weight[:, None])
