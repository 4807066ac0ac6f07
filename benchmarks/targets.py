"""Targets for the benchmark of seeded searches: posteriors of several shapes, normalized by construction, so that their evidence is known.

They are not the problems that searches were made with (`fitcore.search.problems`): other spectra of widths, a bend that no layer of
`Bending` can undo, exponentials that lean on the prior's edges, two modes of different shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fitcore.evaluation import compiled  # isort: skip  (double precision before jax.numpy)

import jax
import jax.numpy as jnp
from scipy.special import ndtri

from fitcore.search import Problem
from fitcore.search.mixture import Mixture
from fitcore.search.problems import KnownProblem

Array = NDArray[np.float64]
Draws = Callable[[int, np.random.Generator], Array]
LOG_2PI = float(np.log(2.0 * np.pi))
N_BATCH = 32


@dataclass(frozen=True, kw_only=True, eq=False)
class Blob:
    """A Gaussian with widths from 0.02 to 0.8 of the prior's in random directions."""

    mean: Array
    factor: Array

    @classmethod
    def random(cls, n_dim: int, rng: np.random.Generator, narrowest: float = 0.02, widest: float = 0.8) -> Blob:
        widths = np.exp(rng.uniform(np.log(narrowest), np.log(widest), n_dim))
        rotation = np.linalg.qr(rng.standard_normal((n_dim, n_dim)))[0]
        return cls(mean=0.7 * rng.standard_normal(n_dim), factor=np.linalg.cholesky((rotation * widths**2) @ rotation.T))

    def whiten(self, z: Any) -> Any:
        return jax.scipy.linalg.solve_triangular(self.factor, z - self.mean, lower=True)

    def log_prob(self, z: Any) -> Any:
        y = self.whiten(z)
        return -0.5 * jnp.sum(y * y) - float(np.log(np.diag(self.factor)).sum()) - 0.5 * len(self.mean) * LOG_2PI

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        return self.mean + rng.standard_normal((n, len(self.mean))) @ self.factor.T


def _known(name: str, n_dim: int, log_posterior: Callable[[Any], Any], draw: Draws) -> KnownProblem:
    """The problem whose posterior in probit space is the given normalized density."""

    def log_likelihood(z: Any) -> Any:
        return log_posterior(z) + 0.5 * jnp.sum(z * z) + 0.5 * n_dim * LOG_2PI

    values, gradients = compiled(jax.vmap(log_likelihood)), compiled(jax.vmap(jax.value_and_grad(log_likelihood)))

    def padded(function: Callable[[Any], Any], z: Array) -> Any:
        pieces = []
        for start in range(0, len(z), N_BATCH):
            n = min(N_BATCH, len(z) - start)
            block = z[start : start + n]
            full = np.concatenate([block, np.repeat(block[:1], N_BATCH - n, axis=0)])
            pieces.append(jax.tree.map(lambda part, n=n: np.asarray(part)[:n], function(full)))
        return jax.tree.map(lambda *parts: np.concatenate(parts), *pieces)

    problem = Problem(
        n_dim=n_dim,
        paths=tuple(f"p{i}" for i in range(n_dim)),
        log_likelihood=lambda u: padded(values, ndtri(u)),
        value_and_gradient=lambda z: padded(gradients, z),
        n_batch=N_BATCH,
    )
    return KnownProblem(name=name, problem=problem, log_evidence=0.0, draw=draw)


def _rng(seed: int, n_dim: int, kind: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, n_dim, kind, 77])))


def gaussian(n_dim: int, seed: int) -> KnownProblem:
    """One Gaussian."""
    blob = Blob.random(n_dim, _rng(seed, n_dim, 0))
    return _known(f"gaussian {n_dim}", n_dim, blob.log_prob, blob.draw)


def banana(n_dim: int, seed: int) -> KnownProblem:
    """A Gaussian bent by a parabola into one direction and by a sine into another."""
    blob = Blob.random(n_dim, _rng(seed, n_dim, 1))

    def bow(first: Any, xp: Any) -> tuple[Any, Any]:
        return 0.5 * (first**2 - 1.0), 0.7 * xp.sin(1.5 * first)

    def log_posterior(z: Any) -> Any:
        y = blob.whiten(z)
        one, two = bow(y[0], jnp)
        y = y.at[1].add(-one).at[2].add(-two)
        return -0.5 * jnp.sum(y * y) - float(np.log(np.diag(blob.factor)).sum()) - 0.5 * n_dim * LOG_2PI

    def draw(n: int, rng: np.random.Generator) -> Array:
        y = rng.standard_normal((n, n_dim))
        one, two = bow(y[:, 0], np)
        y[:, 1] += one
        y[:, 2] += two
        return blob.mean + y @ blob.factor.T

    return _known(f"banana {n_dim}", n_dim, log_posterior, draw)


def bounded(n_dim: int, seed: int) -> KnownProblem:
    """Three parameters that decay from an edge of their prior, two from below and one from above; a Gaussian in the others."""
    blob = Blob.random(n_dim - 3, _rng(seed, n_dim, 2))
    scales = np.array([0.02, 0.1, 0.05])
    log_norm = float(np.sum(np.log(scales * -np.expm1(-1.0 / scales))))

    def log_posterior(z: Any) -> Any:
        edge = z[:3] * jnp.array([1.0, 1.0, -1.0])
        prior = -0.5 * jnp.sum(edge * edge) - 1.5 * LOG_2PI
        return prior - jnp.sum(jax.scipy.special.ndtr(edge) / scales) - log_norm + blob.log_prob(z[3:])

    def draw(n: int, rng: np.random.Generator) -> Array:
        u = -scales * np.log1p(rng.random((n, 3)) * np.expm1(-1.0 / scales))
        return np.concatenate([ndtri(np.clip(u, 1e-300, None)) * [1.0, 1.0, -1.0], blob.draw(n, rng)], axis=1)

    return _known(f"bounded {n_dim}", n_dim, log_posterior, draw)


SHARE = 0.25


def _two_blobs(n_dim: int, seed: int) -> tuple[Blob, Blob]:
    rng = _rng(seed, n_dim, 3)
    first = Blob.random(n_dim, rng, 0.05, 0.3)
    second = Blob.random(n_dim, rng, 0.05, 0.3)
    towards = rng.standard_normal(n_dim)
    towards /= np.linalg.norm(towards)
    # Ten standard deviations of the wider of the two along the line that joins them.
    spread = max(float(np.linalg.norm(blob.factor.T @ towards)) for blob in (first, second))
    center = 0.3 * rng.standard_normal(n_dim)
    return replace(first, mean=center - 5.0 * spread * towards), replace(second, mean=center + 5.0 * spread * towards)


def bimodal(n_dim: int, seed: int) -> KnownProblem:
    """Two Gaussians of different shape; the second holds a quarter of the mass."""
    first, second = _two_blobs(n_dim, seed)

    def log_posterior(z: Any) -> Any:
        return jnp.logaddexp(first.log_prob(z) + np.log1p(-SHARE), second.log_prob(z) + np.log(SHARE))

    def draw(n: int, rng: np.random.Generator) -> Array:
        return np.where(rng.random((n, 1)) < SHARE, second.draw(n, rng), first.draw(n, rng))

    return _known(f"bimodal {n_dim}", n_dim, log_posterior, draw)


def one_mode_known(known: KnownProblem, n_dim: int, seed: int) -> Problem:
    """The bimodal problem with a proposal that has seen the larger mode only."""
    first, _ = _two_blobs(n_dim, seed)
    z = first.draw(2000, np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, 2]))))
    return replace(known.problem, proposal=Mixture.fit(z, np.zeros(len(z))))


TARGETS: dict[str, Callable[[int, int], KnownProblem]] = {"gaussian": gaussian, "banana": banana, "bounded": bounded, "bimodal": bimodal}
