"""The Gaussian at a minimum of a function known by its values alone: measured over about one standard deviation, walls of infinity allowed.

The search for the minimum is in `modes`; this polishes it, because the measured curvature gives the step that is left.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fitcore.search.base import Array
from fitcore.search.modes import Mode, mode_of

FIRST_STEP = 0.1
LARGEST_STEP = 1.0  # the prior's standard deviation
SMALLEST_STEP = 1e-7
ROUNDS = 12
RISE_WANTED = 0.5  # that of one standard deviation
LENGTHS = (1.0, 0.3, 0.1)  # of Newton steps tried: beyond the peak's neighborhood the whole one may lead away
STEP = 0.7  # in standard deviations: long enough to see a kink, short enough to see the peak
POLISHES = 6
POLISHED = 0.02

Values = Callable[[Array], Array]


def _steps(values: Values, z: Array, value: float, factor: Array) -> Array:
    """Lengths along the columns of ``factor``, shape (d,), over which the function rises by about a half."""
    d = len(z)
    steps = np.full(d, FIRST_STEP)
    for _ in range(ROUNDS):
        moves = steps[:, None] * factor.T
        rises = values(np.concatenate([z + moves, z - moves])).reshape(2, d) - value
        rise = np.where(np.isfinite(rises), np.abs(rises), -1.0).max(axis=0)
        factor = np.where(rise < 0.0, 0.1, np.clip(np.sqrt(RISE_WANTED / np.maximum(rise, 1e-12)), 0.1, 10.0))
        changed = np.clip(steps * factor, SMALLEST_STEP, LARGEST_STEP)
        is_settled = (rise >= 0.2 * RISE_WANTED) & (rise <= 5.0 * RISE_WANTED) | (changed == steps)
        if np.all(is_settled):
            break
        steps = np.where(is_settled, steps, changed)
    return steps


def _expansion(values: Values, z: Array, value: float, factor: Array) -> tuple[Array, Array]:
    """Gradient (d,) and Hessian (d, d) in the coordinates y of ``z + factor y``, from differences over y = 1.

    Where a wall of infinity stands on one side, the other side alone gives the curvature, and a slope towards the wall is none.
    """
    d = len(z)
    pairs = [(i, j) for i in range(d) for j in range(i)]
    corners = [sign * (factor[:, i] + factor[:, j]) for i, j in pairs for sign in (1.0, -1.0)]
    points = z + np.concatenate([factor.T, -factor.T, np.reshape(corners, (-1, d))])
    found = values(points) - value
    up, down, cross = found[:d], found[d : 2 * d], found[2 * d :].reshape(-1, 2)
    is_open = np.isfinite(up) & np.isfinite(down)
    gradient = np.where(is_open, 0.5 * (up - down), 0.0)
    one_sided = np.where(np.isfinite(up), up, np.where(np.isfinite(down), down, 0.0))
    hessian = np.diag(np.where(is_open, up + down, 2.0 * one_sided))
    for (i, j), corner in zip(pairs, cross, strict=True):
        if np.all(np.isfinite(corner)):  # two corners and what the axes rise by: half the calls of four corners
            hessian[i, j] = hessian[j, i] = 0.5 * (corner.sum() - hessian[i, i] - hessian[j, j])
    return gradient, hessian


def measured(values: Values, z: Array, value: float, *, factor: Array | None = None, n_polishes: int = POLISHES) -> Mode:
    """The minimum near ``z``, and the Gaussian there; no wider than the prior in any direction.

    Parameters
    ----------
    values : the function, of points (n, d); returns shape (n,), infinite where it excludes a point.
    z, value : a place close to the minimum, and the finite value there.
    factor : (d, d), its columns the directions of the first steps, such as a Cholesky factor of a covariance; None for the axes.
    n_polishes : most Newton steps.
    """
    directions = np.eye(len(z)) if factor is None else factor
    factor = directions * _steps(values, z, value, directions)
    precision = np.eye(len(z))
    for _ in range(n_polishes):
        gradient, hessian = _expansion(values, z, value, factor)
        eigenvalues, vectors = np.linalg.eigh(hessian)
        move = -vectors @ ((vectors.T @ gradient) / np.maximum(eigenvalues, 0.1 * STEP**2))
        trials = z + np.outer(LENGTHS, factor @ move)
        at_trials = values(trials)
        best = int(np.argmin(at_trials))
        trial, at_trial = trials[best], float(at_trials[best])
        inverse = np.linalg.inv(factor)
        precision = np.asarray(inverse.T @ hessian @ inverse, dtype=np.float64)
        wanted = STEP * np.asarray(np.linalg.cholesky(mode_of(precision, z, value).covariance), dtype=np.float64)
        is_same = np.linalg.norm(np.linalg.solve(factor, wanted) - np.eye(len(z))) < 0.2
        is_better = at_trial < value
        if is_better:
            z, value = trial, at_trial
        if is_same and not (is_better and np.linalg.norm(move) > POLISHED):
            break
        factor = wanted
    return mode_of(precision, z, value)
