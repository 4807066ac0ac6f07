"""Descent to the minima of a function from many starts, and the distinct minima among the places reached, each with its Gaussian.

The function is minus a log posterior in probit space; what is done with the modes is decided in `scout` and `multistart`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fitcore.search.base import Array

STEPS = 150
MEMORY = 12
LONGEST_STEP = 2.0  # in units of the prior's standard deviation, or of the factor given
GRADIENT_SMALL = 1e-3
DECREASE_SMALL = 1e-3  # in log posterior: a mode need only be found, not polished
DISTINCT = 4.0
HESSIAN_STEP = 1e-3

Descent = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mode:
    """A maximum of the posterior density: place (d,), covariance (d, d) and log mass of the Gaussian there.

    ``value`` is the function's at the place, and ``n_hits`` says how many starts ended there. The log mass leaves out the constant
    d/2 ln(2 pi), as the function leaves out that of the prior.
    """

    z: Array
    covariance: Array
    log_mass: float
    value: float = np.nan
    n_hits: int = 1


class _Path:
    """One start's place, and the steps that approximate the inverse Hessian (Nocedal & Wright 2006, algorithm 7.4)."""

    def __init__(self, y: Array, value: float, gradient: Array) -> None:
        self.y, self.value, self.gradient = y, value, gradient
        self.steps: list[tuple[Array, Array]] = []
        self.is_done = not np.isfinite(value) or not np.all(np.isfinite(gradient))
        self.length, self.direction, self.n_quiet = 1.0, np.zeros_like(y), 0
        self.is_walled = False

    def aim(self) -> None:
        q, rhos = self.gradient.copy(), []
        for s, y in reversed(self.steps):
            a = (s @ q) / (s @ y)
            rhos.append(a)
            q -= a * y
        if self.steps:
            s, y = self.steps[-1]
            q *= (s @ y) / (y @ y)
        for (s, y), a in zip(self.steps, reversed(rhos), strict=True):
            q += s * (a - (y @ q) / (s @ y))
        if not q @ self.gradient > 0:
            q, self.steps = self.gradient.copy(), []
        if not self.steps:
            q /= max(1.0, float(np.linalg.norm(q)))
        longest = float(np.max(np.abs(q)))
        self.direction = -q * min(1.0, LONGEST_STEP / max(longest, 1e-300))
        self.length = 1.0

    @property
    def trial(self) -> Array:
        return self.y + self.length * self.direction

    def take(self, value: float, gradient: Array) -> None:
        slope = float(self.gradient @ self.direction)
        is_finite = np.isfinite(value) and bool(np.all(np.isfinite(gradient)))
        if not is_finite or value > self.value + 1e-4 * self.length * slope:
            self.length *= 0.3 if is_finite else 0.1
            self.is_done = self.length < 1e-6
            self.is_walled |= not is_finite
            return
        self.is_walled &= self.length < 1.0  # a whole step that was taken has left the wall behind
        step, change = self.length * self.direction, gradient - self.gradient
        if step @ change > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self.steps = [*self.steps[-MEMORY + 1 :], (step, change)]
        self.n_quiet = self.n_quiet + 1 if self.value - value < DECREASE_SMALL else 0
        self.y, self.value, self.gradient = self.trial, value, gradient
        self.is_done = float(np.max(np.abs(gradient))) < GRADIENT_SMALL or self.n_quiet >= 2
        if not self.is_done:
            self.aim()


class Descended(NamedTuple):
    """Places (n, d) and values (n,) reached, and which of the starts (n,) ended beside a wall of infinite values."""

    places: Array
    values: Array
    is_walled: NDArray[np.bool_]


def descend(function: Descent, starts: Array, factors: Array | None = None) -> Descended:
    """Minima reached from ``starts`` (n, d) by L-BFGS with all starts in lockstep, so that values and gradients come in batches.

    A start where the function is not finite stays with infinity.

    Parameters
    ----------
    factors : matrices (n, d, d); a start's steps are measured in coordinates y, z = start + factor y, and at most two long. Where the scale
        of a minimum nearby is known, its Cholesky factor keeps the first steps from leaping over it into another. None for the identity.
    """
    values, gradients = function(starts)
    if factors is None:
        factors = np.broadcast_to(np.eye(starts.shape[1]), (len(starts), starts.shape[1], starts.shape[1]))
    paths = [_Path(np.zeros(len(g)), float(v), f.T @ g) for v, g, f in zip(values, gradients, factors, strict=True)]
    for path in paths:
        if not path.is_done:
            path.aim()
    for _ in range(STEPS):
        active = [i for i, path in enumerate(paths) if not path.is_done]
        if not active:
            break
        values, gradients = function(np.array([starts[i] + factors[i] @ paths[i].trial for i in active]))
        for i, value, gradient in zip(active, values, gradients, strict=True):
            paths[i].take(float(value), factors[i].T @ gradient)
    places = np.array([start + factor @ path.y for start, factor, path in zip(starts, factors, paths, strict=True)])
    values = np.array([path.value if np.isfinite(path.value) else np.inf for path in paths])
    return Descended(places, values, np.array([path.is_walled for path in paths]))


def gaussian_at(function: Descent, z: Array, value: float) -> Mode:
    """The Gaussian at a minimum, its Hessian from differences of the gradients; no wider than the prior in any direction."""
    d = len(z)
    steps = HESSIAN_STEP * np.eye(d)
    _, gradients = function(np.concatenate([z + steps, z - steps]))
    hessian = (gradients[:d] - gradients[d:]) / (2.0 * HESSIAN_STEP)
    hessian = 0.5 * (hessian + hessian.T)
    if not np.all(np.isfinite(hessian)):
        hessian = np.eye(d)
    return mode_of(hessian, z, value)


def mode_of(hessian: Array, z: Array, value: float) -> Mode:
    """The mode with a given Hessian; eigenvalues below one are raised to it, the prior's own."""
    eigenvalues, vectors = np.linalg.eigh(hessian)
    eigenvalues = np.maximum(eigenvalues, 1.0)
    log_mass = -value - 0.5 * float(np.sum(np.log(eigenvalues)))
    return Mode(z=z, covariance=(vectors / eigenvalues) @ vectors.T, log_mass=log_mass, value=value)


def distinct(places: Array, values: Array, fitted: Callable[[Array, float], Mode], *, n_most: int | None = None) -> list[Mode]:
    """Distinct minima among ``places`` (n, d) of the given ``values`` (n,), deepest first, each made by ``fitted``.

    Those too shallow to carry mass are left out. A place belongs to the first mode within four of its standard deviations; once there are
    ``n_most`` modes, places far from all of them are left out too.
    """
    found: list[Mode] = []
    factors: list[Any] = []
    finite = values[np.isfinite(values)]
    depth = float(finite.min()) + 2.0 * places.shape[1] + 7.0 if finite.size else -np.inf
    for i in np.argsort(values, kind="stable"):
        if not values[i] <= depth:
            continue
        distances = [np.linalg.norm(np.linalg.solve(factor, places[i] - mode.z)) for mode, factor in zip(found, factors, strict=True)]
        near = next((k for k, distance in enumerate(distances) if distance < DISTINCT), None)
        if near is not None:
            found[near] = replace(found[near], n_hits=found[near].n_hits + 1)
        elif n_most is None or len(found) < n_most:
            found.append(fitted(places[i], float(values[i])))
            factors.append(np.asarray(np.linalg.cholesky(found[-1].covariance)))
    return found
