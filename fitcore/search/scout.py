"""The mode scout: gradient ascents from prior draws that look for modes which a proposal does not know.

No diagnostic made of importance weights can see a mode that no draw has reached; hence this search of its own. It proposes modes, with
their Laplace masses; whether they matter is found out by the adaptation that follows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import chdtri

from fitcore.search.base import Array
from fitcore.search.gaussians import Components
from fitcore.search.journal import Journal
from fitcore.search.mixture import Mixture

STEPS = 150
MEMORY = 12
LONGEST_STEP = 2.0  # in units of the prior's standard deviation
GRADIENT_SMALL = 1e-3
DECREASE_SMALL = 1e-3  # in log posterior: a mode need only be found, not polished
DISTINCT = 4.0
LOG_MASS_IGNORED = -7.0
HESSIAN_STEP = 1e-3

Descent = Callable[[Array], tuple[Array, Array]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Mode:
    """A maximum of the posterior density: place (d,), covariance (d, d) and log mass of the Gaussian there."""

    z: Array
    covariance: Array
    log_mass: float


@dataclass(frozen=True, kw_only=True, eq=False)
class Scouted:
    """A mixture with the new modes added, and how many there were."""

    mixture: Mixture
    n_new: int


class _Path:
    """One start's place, and the steps that approximate the inverse Hessian (Nocedal & Wright 2006, algorithm 7.4)."""

    def __init__(self, z: Array, value: float, gradient: Array) -> None:
        self.z, self.value, self.gradient = z, value, gradient
        self.steps: list[tuple[Array, Array]] = []
        self.is_done = not np.isfinite(value) or not np.all(np.isfinite(gradient))
        self.length, self.direction, self.n_quiet = 1.0, np.zeros_like(z), 0

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
        return self.z + self.length * self.direction

    def take(self, value: float, gradient: Array) -> None:
        slope = float(self.gradient @ self.direction)
        is_finite = np.isfinite(value) and bool(np.all(np.isfinite(gradient)))
        if not is_finite or value > self.value + 1e-4 * self.length * slope:
            self.length *= 0.3 if is_finite else 0.1
            self.is_done = self.length < 1e-6
            return
        step, change = self.length * self.direction, gradient - self.gradient
        if step @ change > 1e-10 * float(np.linalg.norm(step) * np.linalg.norm(change)):
            self.steps = [*self.steps[-MEMORY + 1 :], (step, change)]
        self.n_quiet = self.n_quiet + 1 if self.value - value < DECREASE_SMALL else 0
        self.z, self.value, self.gradient = self.trial, value, gradient
        self.is_done = float(np.max(np.abs(gradient))) < GRADIENT_SMALL or self.n_quiet >= 2
        if not self.is_done:
            self.aim()


def descend(function: Descent, starts: Array) -> tuple[Array, Array]:
    """Minima reached from ``starts`` (n, d) by L-BFGS with all starts in lockstep, so that values and gradients come in batches.

    Returns places (n, d) and values (n,); a start where the function is not finite stays with infinity.
    """
    values, gradients = function(starts)
    paths = [_Path(z, float(v), g) for z, v, g in zip(starts, values, gradients, strict=True)]
    for path in paths:
        if not path.is_done:
            path.aim()
    for _ in range(STEPS):
        active = [path for path in paths if not path.is_done]
        if not active:
            break
        values, gradients = function(np.array([path.trial for path in active]))
        for path, value, gradient in zip(active, values, gradients, strict=True):
            path.take(float(value), gradient)
    places = np.array([path.z for path in paths])
    return places, np.array([path.value if np.isfinite(path.value) else np.inf for path in paths])


def _mode(function: Descent, z: Array, value: float) -> Mode:
    d = len(z)
    steps = HESSIAN_STEP * np.eye(d)
    _, gradients = function(np.concatenate([z + steps, z - steps]))
    hessian = (gradients[:d] - gradients[d:]) / (2.0 * HESSIAN_STEP)
    hessian = 0.5 * (hessian + hessian.T)
    if not np.all(np.isfinite(hessian)):
        hessian = np.eye(d)
    eigenvalues, vectors = np.linalg.eigh(hessian)
    eigenvalues = np.maximum(eigenvalues, 1.0)  # the posterior is no wider than the prior
    log_mass = -value - 0.5 * float(np.sum(np.log(eigenvalues)))
    return Mode(z=z, covariance=(vectors / eigenvalues) @ vectors.T, log_mass=log_mass)


def modes(function: Descent, starts: Array) -> list[Mode]:
    """Distinct minima of ``function``, deepest first; those too shallow to carry mass are left out."""
    places, values = descend(function, starts)
    found: list[Mode] = []
    factors: list[Any] = []
    for i in np.argsort(values, kind="stable"):
        if not np.isfinite(values[i]) or values[i] > values.min() + 2.0 * starts.shape[1] + 7.0:
            continue
        if any(np.linalg.norm(np.linalg.solve(factor, places[i] - mode.z)) < DISTINCT for mode, factor in zip(found, factors, strict=True)):
            continue
        found.append(_mode(function, places[i], float(values[i])))
        factors.append(np.asarray(np.linalg.cholesky(found[-1].covariance)))
    return found


def _centers(mixture: Mixture) -> Array:
    """The components' centers in probit space, heaviest first; shape (k, n_dim)."""
    return mixture.bending.bent(mixture.mean[np.argsort(-mixture.weight, kind="stable")])


def _distances(mixture: Mixture, z: Array) -> list[float]:
    """Mahalanobis distances of one point from every component, in straight coordinates."""
    x = mixture.bending.straighten(z[None])[0]
    factors = np.linalg.cholesky(mixture.covariance)
    return [float(np.linalg.norm(np.linalg.solve(factor, x - mean))) for mean, factor in zip(mixture.mean, factors, strict=True)]


def _extended(mixture: Mixture, mode: Mode, weight: float) -> Mixture:
    """The mixture with a component at a mode, ``weight`` relative to the rest; its covariance is carried to straight coordinates."""
    jacobian = mixture.bending.jacobian(mode.z)
    components = Components(
        weight=np.append(mixture.weight, weight),
        mean=np.concatenate([mixture.mean, mixture.bending.straighten(mode.z[None])]),
        covariance=np.concatenate([mixture.covariance, (jacobian @ mode.covariance @ jacobian.T)[None]]),
    )
    return Mixture.of(components, bending=mixture.bending)


def scout(journal: Journal, mixture: Mixture, rng: np.random.Generator, *, n_starts: int) -> Scouted:
    """Look for modes outside the mixture, from ``n_starts`` prior draws and the mixture's own largest components; add those found.

    Does nothing without starts, or where the likelihood has no gradient.

    A mode counts as new outside the 99.99 % ellipsoid of every component, with a Laplace mass above e^-7 of the largest.
    """

    def negative(z: Array) -> tuple[Array, Array]:
        value, gradient = journal.value_and_gradient(z)
        value = np.where(np.isfinite(value), 0.5 * np.sum(z * z, axis=1) - value, np.inf)
        return value, z - gradient

    if not n_starts or journal.problem.value_and_gradient is None:
        return Scouted(mixture=mixture, n_new=0)
    d, phase = mixture.n_dim, journal.phase
    journal.phase = "scout"
    found = modes(negative, np.concatenate([_centers(mixture)[:2], rng.standard_normal((n_starts, d))]))
    journal.phase = phase
    if not found:
        return Scouted(mixture=mixture, n_new=0)
    largest = max(mode.log_mass for mode in found)
    limit = float(np.sqrt(chdtri(d, 1e-4)))
    new = [m for m in found if m.log_mass > largest + LOG_MASS_IGNORED and np.min(_distances(mixture, m.z)) > limit]
    extended = mixture
    for mode in new:
        extended = _extended(extended, mode, max(float(np.exp(min(mode.log_mass - largest, 0.0))), 0.1))
    if new:
        journal.ledger.tell("scout", f"{len(new)} new mode{'s' if len(new) > 1 else ''} outside the proposal")
    return Scouted(mixture=extended, n_new=len(new))
