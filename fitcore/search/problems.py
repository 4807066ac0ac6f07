"""Problems with exact answers: the examiner of searches. Every search must solve every one of them; tests and benchmarks share them.

They are made the other way round: the posterior p(z) is chosen, normalized, in probit space, and the likelihood is p(z)/N(z; 0, 1) times a
constant; so evidence, moments and independent posterior draws are known.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax.numpy as jnp
import numpy as np
from jax.scipy.special import ndtr as jax_ndtr
from scipy.special import gammaln, ndtr, ndtri

from fitcore.search.base import Array, Problem
from fitcore.search.mixture import Mixture

del _backend

Draws = Callable[[int, np.random.Generator], Array]


@dataclass(frozen=True, kw_only=True, eq=False)
class KnownProblem:
    """A problem, and the truth about it.

    Parameters
    ----------
    name : for messages.
    problem : what the search is given.
    log_evidence : exact.
    draw : independent posterior draws in probit space, ``draw(n, rng)`` of shape (n, n_dim).
    """

    name: str
    problem: Problem
    log_evidence: float
    draw: Draws

    def with_proposal(self, *, shift: float = 0.0, width: float = 1.0, n: int = 2000, seed: int = 0) -> Problem:
        """The problem with a mixture fitted to ``n`` exact draws: moved by ``shift`` whitened standard deviations in every dimension, up or
        down at random, and stretched about its mean by ``width``.
        """
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 2])))
        z = self.draw(n, rng)
        mean, factor = z.mean(axis=0), np.linalg.cholesky(np.cov(z.T) + 1e-12 * np.eye(z.shape[1]))
        moved = mean + factor @ (shift * rng.choice([-1.0, 1.0], size=len(mean))) + width * (z - mean)
        return replace(self.problem, proposal=Mixture.fit(moved, np.zeros(n)))


@dataclass(frozen=True, kw_only=True, eq=False)
class _Shape:
    """A Gaussian with standard deviations from 0.05 to 0.5 of the prior's in random directions, about a random center."""

    mean: Array
    factor: Array

    @classmethod
    def random(cls, n_dim: int, seed: int) -> _Shape:
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, n_dim])))
        rotation = np.linalg.qr(rng.standard_normal((n_dim, n_dim)))[0]
        sigma = np.exp(np.linspace(np.log(0.05), np.log(0.5), n_dim))
        factor = np.linalg.cholesky((rotation * sigma**2) @ rotation.T)
        return cls(mean=0.5 * rng.standard_normal(n_dim), factor=np.asarray(factor, dtype=np.float64))

    def whiten(self, z: Array) -> Array:
        return np.asarray(np.linalg.solve(self.factor, (z - self.mean).T).T, dtype=np.float64)

    def log_prob(self, y: Array) -> Array:
        return -0.5 * np.sum(y * y, axis=1) + self.log_peak

    @property
    def log_peak(self) -> float:
        return float(-np.log(np.diag(self.factor)).sum() - 0.5 * len(self.mean) * np.log(2.0 * np.pi))

    def traced(self, bend: Callable[[Any], Any] = lambda y: y) -> Callable[[Any], Any]:
        """The log density of one point in jax.numpy, in coordinates that ``bend`` makes straight."""
        inverse = np.linalg.inv(self.factor)

        def log_posterior(z: Any) -> Any:
            y = bend(jnp.asarray(inverse) @ (z - self.mean))
            return -0.5 * jnp.sum(y * y) + self.log_peak

        return log_posterior


def _known(
    name: str,
    n_dim: int,
    log_posterior: Callable[[Array], Array],
    draw: Draws,
    *,
    log_evidence: float = 0.0,
    gradient: Callable[[Array], Array] | None = None,
    traced: Callable[[Any], Any] | None = None,
    n_batch: int = 32,
) -> KnownProblem:
    """``traced`` is the log posterior of one point in jax.numpy."""
    constant = 0.5 * n_dim * np.log(2.0 * np.pi) + log_evidence

    def of_z(z: Array) -> Array:
        return log_posterior(z) + 0.5 * np.sum(z * z, axis=1) + 0.5 * n_dim * np.log(2.0 * np.pi) + log_evidence

    def of_one(z: Any) -> Any:
        assert traced is not None
        return traced(z) + 0.5 * jnp.sum(z * z) + constant

    def value_and_gradient(z: Array) -> tuple[Array, Array]:
        assert gradient is not None
        return of_z(z), gradient(z) + z

    problem = Problem(
        n_dim=n_dim,
        paths=tuple(f"p{i}" for i in range(n_dim)),
        log_likelihood=lambda u: of_z(ndtri(u)),
        value_and_gradient=None if gradient is None else value_and_gradient,
        traceable=None if traced is None else of_one,
        n_batch=n_batch,
    )
    return KnownProblem(name=name, problem=problem, log_evidence=log_evidence, draw=draw)


def gaussian(n_dim: int, *, seed: int = 0, log_evidence: float = -3.0) -> KnownProblem:
    """A Gaussian posterior."""
    shape = _Shape.random(n_dim, seed)

    def gradient(z: Array) -> Array:
        return np.asarray(-np.linalg.solve(shape.factor.T, shape.whiten(z).T).T, dtype=np.float64)

    return _known(
        f"gaussian-{n_dim}",
        n_dim,
        lambda z: shape.log_prob(shape.whiten(z)),
        lambda n, rng: shape.mean + rng.standard_normal((n, n_dim)) @ shape.factor.T,
        log_evidence=log_evidence,
        gradient=gradient,
        traced=shape.traced(),
    )


def banana(n_dim: int, *, strength: float = 0.8, seed: int = 0) -> KnownProblem:
    """A Gaussian bent along one of its directions into two others; at a strength of 0.8 no single Gaussian fits it."""
    shape = _Shape.random(n_dim, seed)

    def bend(y: Array, sign: float) -> Array:
        bent = y.copy()
        bow = sign * strength * (y[:, 0] ** 2 - 1.0)
        bent[:, 1] += bow
        if n_dim > 2:
            bent[:, 2] -= bow
        return bent

    def straight(y: Any) -> Any:
        bow = strength * (y[0] ** 2 - 1.0)
        return y.at[1].add(-bow).at[2].add(bow) if n_dim > 2 else y.at[1].add(-bow)

    return _known(
        f"banana-{n_dim}",
        n_dim,
        lambda z: shape.log_prob(bend(shape.whiten(z), -1.0)),
        lambda n, rng: shape.mean + bend(rng.standard_normal((n, n_dim)), 1.0) @ shape.factor.T,
        traced=shape.traced(straight),
    )


def edge(n_dim: int, *, seed: int = 0) -> KnownProblem:
    """A posterior that leans on the lower edge of two priors, half a normal of width 0.1 in u there, and is the prior elsewhere."""
    width = 0.1
    log_norm = 2.0 * float(np.log(width * np.sqrt(2.0 * np.pi) * (ndtr(1.0 / width) - 0.5)))
    del seed

    def log_posterior(z: Array) -> Array:
        prior = -0.5 * np.sum(z * z, axis=1) - 0.5 * n_dim * np.log(2.0 * np.pi)
        return prior - np.sum(ndtr(z[:, :2]) ** 2, axis=1) / (2.0 * width**2) - log_norm

    def traced(z: Any) -> Any:
        prior = -0.5 * jnp.sum(z * z) - 0.5 * n_dim * np.log(2.0 * np.pi)
        return prior - jnp.sum(jax_ndtr(z[:2]) ** 2) / (2.0 * width**2) - log_norm

    def draw(n: int, rng: np.random.Generator) -> Array:
        z = rng.standard_normal((n, n_dim))
        z[:, :2] = ndtri(np.clip(np.abs(width * rng.standard_normal((n, 2))), 1e-300, 0.999))
        return z

    return _known(f"edge-{n_dim}", n_dim, log_posterior, draw, log_evidence=log_norm, traced=traced)


def two_modes(n_dim: int, *, share: float = 0.3, distance: float = 12.0, seed: int = 0) -> KnownProblem:
    """Two Gaussians of one shape, ``distance`` whitened standard deviations apart; the second holds ``share`` of the mass."""
    shape = _Shape.random(n_dim, seed)
    rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 3])))
    towards = rng.standard_normal(n_dim)
    step = distance * towards / np.linalg.norm(towards)

    def parts(y: Array) -> tuple[Array, Array]:
        return shape.log_prob(y) + np.log1p(-share), shape.log_prob(y - step) + np.log(share)

    def log_posterior(z: Array) -> Array:
        return np.logaddexp(*parts(shape.whiten(z)))

    def gradient(z: Array) -> Array:
        y = shape.whiten(z)
        first, second = parts(y)
        in_second = np.exp(second - np.logaddexp(first, second))
        return np.asarray(-np.linalg.solve(shape.factor.T, (y - in_second[:, None] * step).T).T, dtype=np.float64)

    one = shape.traced()

    def traced(z: Any) -> Any:
        return jnp.logaddexp(one(z) + np.log1p(-share), one(z - shape.factor @ step) + np.log(share))

    def draw(n: int, rng: np.random.Generator) -> Array:
        y = rng.standard_normal((n, n_dim)) + np.where(rng.random((n, 1)) < share, step, 0.0)
        return shape.mean + y @ shape.factor.T

    return _known(f"two-modes-{n_dim}", n_dim, log_posterior, draw, gradient=gradient, traced=traced)


def constrained(n_dim: int, *, cut: float = -0.5, seed: int = 0) -> KnownProblem:
    """A Gaussian of which a constraint forbids the part below ``cut`` whitened standard deviations: log-likelihood -inf there."""
    shape = _Shape.random(n_dim, seed)

    def log_posterior(z: Array) -> Array:
        y = shape.whiten(z)
        return np.where(y[:, 0] > cut, shape.log_prob(y), -np.inf) - float(np.log(ndtr(-cut)))

    inverse = np.linalg.inv(shape.factor)

    def traced(z: Any) -> Any:
        y = jnp.asarray(inverse) @ (z - shape.mean)
        return jnp.where(y[0] > cut, -0.5 * jnp.sum(y * y) + shape.log_peak, -jnp.inf) - float(np.log(ndtr(-cut)))

    def draw(n: int, rng: np.random.Generator) -> Array:
        y = rng.standard_normal((n, n_dim))
        y[:, 0] = ndtri(ndtr(cut) + (1.0 - ndtr(cut)) * rng.random(n))
        return shape.mean + y @ shape.factor.T

    return _known(f"constrained-{n_dim}", n_dim, log_posterior, draw, traced=traced)


def shell(n_dim: int, *, radius: float = 1.5, width: float = 0.03) -> KnownProblem:
    """A thin sphere about the prior's center: no mixture of a few components fits it."""
    grid = np.linspace(max(radius - 8.0 * width, 0.0), radius + 8.0 * width, 4001)
    density = grid ** (n_dim - 1) * np.exp(-0.5 * ((grid - radius) / width) ** 2)
    cumulative = np.concatenate([[0.0], np.cumsum(0.5 * (density[1:] + density[:-1]) * np.diff(grid))])
    log_sphere = np.log(2.0) + 0.5 * n_dim * np.log(np.pi) - float(gammaln(0.5 * n_dim))
    log_norm = log_sphere + float(np.log(cumulative[-1]))

    def log_posterior(z: Array) -> Array:
        return -0.5 * ((np.linalg.norm(z, axis=1) - radius) / width) ** 2 - log_norm

    def draw(n: int, rng: np.random.Generator) -> Array:
        z = rng.standard_normal((n, n_dim))
        r = np.interp(rng.random(n) * cumulative[-1], cumulative, grid)
        return z * (r / np.linalg.norm(z, axis=1))[:, None]

    return _known(f"shell-{n_dim}", n_dim, log_posterior, draw)


def known_problems() -> list[KnownProblem]:
    """One of each kind, quick enough for a test."""
    return [gaussian(2), gaussian(5), gaussian(10), banana(5), edge(4), two_modes(4), constrained(4)]


def standardized_errors(known: KnownProblem, u: Array, log_weight: Array) -> tuple[Array, Array]:
    """Errors of the posterior's means and standard deviations, in units of what independent draws of the same effective number would show.

    The error of a standard deviation sigma is sigma sqrt((kurtosis - 1) / 4 n). Shape (n_dim,) each.
    """
    exact = known.draw(200_000, np.random.Generator(np.random.Philox(1)))
    mean, sigma = exact.mean(axis=0), exact.std(axis=0)
    kurtosis = np.mean(((exact - mean) / sigma) ** 4, axis=0)
    z, weight = ndtri(u), np.exp(log_weight)
    n = 1.0 / np.sum(weight * weight)
    own_mean = weight @ z
    own_sigma = np.sqrt(weight @ (z - own_mean) ** 2)
    return (own_mean - mean) / sigma * np.sqrt(n), (own_sigma / sigma - 1.0) / np.sqrt((kurtosis - 1.0) / (4.0 * n))


def counting(problem: Problem) -> tuple[Problem, dict[str, Any]]:
    """The problem, and the numbers of points and gradients that it was asked for so far."""
    counts: dict[str, Any] = {"values": 0, "gradients": 0, "sizes": set()}

    def log_likelihood(u: Array) -> Array:
        counts["values"] += len(u)
        counts["sizes"].add(len(u))
        return problem.log_likelihood(u)

    def value_and_gradient(z: Array) -> tuple[Array, Array]:
        assert problem.value_and_gradient is not None
        counts["gradients"] += len(z)
        return problem.value_and_gradient(z)

    gradient = None if problem.value_and_gradient is None else value_and_gradient
    return replace(problem, log_likelihood=log_likelihood, value_and_gradient=gradient), counts
