"""The mode scout: gradient ascents from prior draws that look for modes which a proposal does not know. And, without gradients, where the
modes are that a poor proposal does know.

No diagnostic made of importance weights can see a mode that no draw has reached; hence this search of its own. It proposes modes, with
their Laplace masses; the adaptation that follows keeps a component at each, and finds out how much it holds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from fitcore.search.adaptation import extended
from fitcore.search.base import Array, weights_from
from fitcore.search.curvature import measured
from fitcore.search.gaussians import Components
from fitcore.search.journal import Journal
from fitcore.search.mixture import Mixture
from fitcore.search.modes import Mode, descend, distinct, gaussian_at
from fitcore.search.pareto import effective_sample_size

LOG_MASS_IGNORED = -7.0
MOST_CENTERS = 6
PROBES_PER_DIMENSION, GOOD_ENOUGH, LOCATED_SHARE, POLISHES = 10, 0.2, 0.8, 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Scouted:
    """What was found: Gaussians at the modes, with the shares of the posterior they seem to hold (None where nothing was), and how many of
    them the proposal did not know."""

    anchors: Components | None
    n_new: int


def _centers(mixture: Mixture) -> tuple[Array, Array]:
    """Centers (k, n_dim) of the heaviest components in probit space, and Cholesky factors (k, n_dim, n_dim) of their covariances there."""
    heaviest = np.argsort(-mixture.weight, kind="stable")[:MOST_CENTERS]
    centers = mixture.bending.bent(mixture.mean[heaviest])
    inverses = [np.linalg.inv(mixture.bending.jacobian(center)) for center in centers]
    covariances = [inverse @ mixture.covariance[k] @ inverse.T for inverse, k in zip(inverses, heaviest, strict=True)]
    return centers, np.asarray(np.linalg.cholesky(np.array(covariances)), dtype=np.float64)


def _distances(mixture: Mixture, z: Array) -> list[float]:
    """Mahalanobis distances of one point from every component, in straight coordinates."""
    x = mixture.bending.straighten(z[None])[0]
    factors = np.linalg.cholesky(mixture.covariance)
    return [float(np.linalg.norm(np.linalg.solve(factor, x - mean))) for mean, factor in zip(mixture.mean, factors, strict=True)]


def scout(journal: Journal, mixture: Mixture, rng: np.random.Generator, *, n_starts: int) -> Scouted:
    """Look for modes outside the mixture, from ``n_starts`` prior draws and the mixture's own largest components.

    Does nothing without starts, or where the likelihood has no gradient.

    A mode counts as new outside the 99.99 % ellipsoid of every component, with a Laplace mass above e^-7 of the largest.
    """

    def negative(z: Array) -> tuple[Array, Array]:
        value, gradient = journal.value_and_gradient(z)
        value = np.where(np.isfinite(value), 0.5 * np.sum(z * z, axis=1) - value, np.inf)
        return value, z - gradient

    if not n_starts or journal.problem.value_and_gradient is None:
        return Scouted(anchors=None, n_new=0)
    d, phase = mixture.n_dim, journal.phase
    journal.phase = "scout"
    centers, factors = _centers(mixture)
    starts = np.concatenate([centers, rng.standard_normal((n_starts, d))])
    places, values, _ = descend(negative, starts, np.concatenate([factors, np.broadcast_to(np.eye(d), (n_starts, d, d))]))
    found = distinct(places, values, lambda z, value: gaussian_at(negative, z, value))
    journal.phase = phase
    if not found:
        return Scouted(anchors=None, n_new=0)
    largest = max(mode.log_mass for mode in found)
    limit = float(np.sqrt(chdtri(d, 1e-4)))
    kept = [mode for mode in found if mode.log_mass > largest + LOG_MASS_IGNORED]
    n_new = sum(bool(np.min(_distances(mixture, mode.z)) > limit) for mode in kept)
    if n_new:
        journal.ledger.tell("scout", f"{n_new} new mode{'s' if n_new > 1 else ''} outside the proposal")
    return Scouted(anchors=_gaussians(kept), n_new=n_new)


def _gaussians(modes: Sequence[Mode]) -> Components:
    return Components(
        weight=weights_from([mode.log_mass for mode in modes]),
        mean=np.array([mode.z for mode in modes]),
        covariance=np.array([mode.covariance for mode in modes]),
    )


def located(journal: Journal, mixture: Mixture, rng: np.random.Generator) -> Mixture:
    """The mixture with a Gaussian at the mode near its centers, from values alone; the mixture itself where it is good as it is.

    A parameter that is new to a chain is drawn from its prior, independent of all others, although the posterior is narrow in it and
    correlated with most: few draws of such a proposal count, and adapting it takes thousands. Measuring the curvature takes hundreds.
    """
    phase, journal.phase = journal.phase, "location"
    z = mixture.draw(journal.rounded(PROBES_PER_DIMENSION * mixture.n_dim), rng)

    def negative(points: Array) -> Array:
        values = journal.log_likelihood(points)
        return np.where(np.isfinite(values), 0.5 * np.sum(points * points, axis=1) - values, np.inf)

    values, found = negative(z), mixture
    if effective_sample_size(-values - mixture.log_prob(z)) < GOOD_ENOUGH * len(z):
        centers, factors = _centers(mixture)
        places, heights = np.concatenate([z, centers]), np.concatenate([values, negative(centers)])
        best = int(np.argmin(heights))
        if np.isfinite(heights[best]):
            nearest = int(np.argmin([np.linalg.norm(np.linalg.solve(f, places[best] - c)) for c, f in zip(centers, factors, strict=True)]))
            mode = measured(negative, places[best], float(heights[best]), factor=factors[nearest], n_polishes=POLISHES)
            found = extended(mixture, _gaussians([mode]), LOCATED_SHARE)
    journal.phase = phase
    return found
