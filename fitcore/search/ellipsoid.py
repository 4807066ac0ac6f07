"""A fast minimum-volume enclosing ellipsoid for nautilus's bounds. A bound that is a little too large costs calls, never correctness."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.search.base import Array

MULTIPLICATIVE_STEPS = 60
EXCHANGE_STEPS = 300
PRUNE_AT = (10, 25, 40)
COARSE, FINE = 1.01, 1.005  # of the optimality gap max(g)/D


def minimum_volume_enclosing_ellipsoid(points: Array) -> tuple[Array, Array, Array]:
    """Center (d,), matrix A (d, d) and its inverse, such that (x - c)^T A (x - c) <= 1 for all points (n, d).

    Solves the dual, D-optimal design: multiplicative updates first (Titterington 1976; they move all weights at once), then the rank-one
    exchange steps of Khachiyan (1996) with updates of all distances in O(n d) by the Sherman-Morrison formula (Todd & Yildirim 2007,
    Discrete Appl. Math. 155, 1731).
    """
    center, scale = points.mean(axis=0), points.std(axis=0) + 1e-300
    lifted = np.column_stack([(points - center) / scale, np.ones(len(points))])
    lifted, weight = _multiplicative(lifted)
    weight = _exchange(lifted, weight)
    support = weight > 1e-12
    inner, weight = lifted[support, :-1], weight[support] / weight[support].sum()
    middle = weight @ inner
    inverse = ((inner - middle) * weight[:, None]).T @ (inner - middle)
    c = middle * scale + center
    inverse = inverse * np.outer(scale, scale)
    matrix = np.linalg.inv(inverse)
    deviation = points - c
    largest = np.max(np.sum((deviation @ matrix) * deviation, axis=1))
    return c, matrix / largest, inverse * largest


def _multiplicative(lifted: Array) -> tuple[Array, Array]:
    dimension = lifted.shape[1]
    weight = np.full(len(lifted), 1.0 / len(lifted))
    for step in range(MULTIPLICATIVE_STEPS):
        variance = _variance(lifted, np.linalg.inv((lifted * weight[:, None]).T @ lifted))
        if variance.max() < COARSE * dimension:
            break
        weight = weight * (variance / dimension) ** 1.5
        weight /= weight.sum()
        if step in PRUNE_AT:
            # Points deep inside with hardly any weight will not become support points; the last scaling covers them in any case.
            keep = (weight > 1e-4 / len(weight)) | (variance > 0.95 * dimension)
            if keep.sum() > dimension + 5:
                lifted, weight = lifted[keep], weight[keep] / weight[keep].sum()
    return lifted, weight


def _exchange(lifted: Array, weight: Array) -> Array:
    dimension = lifted.shape[1]
    projected = lifted @ np.linalg.inv((lifted * weight[:, None]).T @ lifted)
    variance = np.sum(projected * lifted, axis=1)
    for _ in range(EXCHANGE_STEPS):
        j = int(np.argmax(variance))
        if variance[j] < FINE * dimension:
            break
        step = (variance[j] - dimension) / (dimension * (variance[j] - 1.0))
        factor = step / (1.0 - step + step * variance[j])
        row = projected[j].copy()
        overlap = lifted @ row
        variance = (variance - factor * overlap * overlap) / (1.0 - step)
        projected = (projected - factor * np.outer(overlap, row)) / (1.0 - step)
        weight = weight * (1.0 - step)
        weight[j] += step
    return weight


def _variance(lifted: Array, inverse: NDArray[np.floating[Any]]) -> Array:
    return np.sum((lifted @ inverse) * lifted, axis=1)
