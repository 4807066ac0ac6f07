"""The mode scout: gradient ascents from prior draws that look for modes which a proposal does not know.

No diagnostic made of importance weights can see a mode that no draw has reached; hence this search of its own. It proposes modes, with
their Laplace masses; the adaptation that follows keeps a component at each, and finds out how much it holds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from fitcore.search.base import Array, weights_from
from fitcore.search.gaussians import Components
from fitcore.search.journal import Journal
from fitcore.search.mixture import Mixture
from fitcore.search.modes import descend, distinct, gaussian_at

LOG_MASS_IGNORED = -7.0
MOST_CENTERS = 6


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
    anchors = Components(
        weight=weights_from([mode.log_mass for mode in kept]),
        mean=np.array([mode.z for mode in kept]),
        covariance=np.array([mode.covariance for mode in kept]),
    )
    return Scouted(anchors=anchors, n_new=n_new)
