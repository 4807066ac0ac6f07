"""`Bending`: a map that straightens curved posteriors, so that a mixture of few components fits them. It is fitted to weighted points.

It is a chain of layers. Each whitens, y = F^-1 (z - c), and shears along a bent ridge,

    x = y - a g_2(v.y) - b g_3(v.y),   a, b orthogonal to v,   g_2(s) = s^2 - 1,   g_3(s) = s^3 - 3 s   (s limited to +-3.5),

which leaves v.y alone: so its inverse is the same with a plus, and its Jacobian is one. A banana, a bent degeneracy, costs 3 d numbers that
way; a mixture needs several covariances of d^2/2 each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import solve_triangular

from fitcore.search.base import Array
from fitcore.search.gaussians import whitening

LAYERS = 6
LIMIT = 3.5
REFINEMENTS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class Bending:
    """Layers of the map; with none of them it is the identity.

    Parameters
    ----------
    center : (m, d). factor : (m, d, d), invertible. direction : (m, d), unit vectors. bend : (m, 2, d), the vectors a and b.
    """

    center: Array
    factor: Array
    direction: Array
    bend: Array

    @classmethod
    def none(cls, n_dim: int) -> Bending:
        """The identity."""
        return cls(
            center=np.zeros((0, n_dim)),
            factor=np.zeros((0, n_dim, n_dim)),
            direction=np.zeros((0, n_dim)),
            bend=np.zeros((0, 2, n_dim)),
        )

    def __len__(self) -> int:
        return len(self.center)

    @property
    def log_volume(self) -> float:
        """Logarithm of |dz/dx|, the same everywhere."""
        return float(sum(np.linalg.slogdet(factor)[1] for factor in self.factor))

    def straighten(self, z: Array) -> Array:
        """``z`` (n, d) in straight coordinates."""
        for center, factor, direction, bend in zip(self.center, self.factor, self.direction, self.bend, strict=True):
            y = np.linalg.solve(factor, (z - center).T).T  # triangular as fitted, but not once it is embedded elsewhere
            z = y - _ridge(y @ direction) @ bend
        return z

    def bent(self, x: Array) -> Array:
        """The inverse of `straighten`."""
        layers = list(zip(self.center, self.factor, self.direction, self.bend, strict=True))
        for center, factor, direction, bend in reversed(layers):
            x = center + (x + _ridge(x @ direction) @ bend) @ factor.T
        return x

    def embed(self, places: list[int], n_dim: int) -> Bending:
        """The same map on some of ``n_dim`` dimensions, the identity on the others."""
        m = len(self)
        center, direction, bend = np.zeros((m, n_dim)), np.zeros((m, n_dim)), np.zeros((m, 2, n_dim))
        center[:, places], direction[:, places], bend[:, :, places] = self.center, self.direction, self.bend
        factor = np.tile(np.eye(n_dim), (m, 1, 1))
        factor[np.ix_(range(m), places, places)] = self.factor
        return Bending(center=center, factor=factor, direction=direction, bend=bend)

    def jacobian(self, z: Array) -> Array:
        """Derivative (d, d) of `straighten` at one point (d,)."""
        d = len(z)
        steps = 1e-5 * np.eye(d)
        return ((self.straighten(z + steps) - self.straighten(z - steps)) / 2e-5).T

    def to_arrays(self) -> dict[str, Any]:
        """Arrays by name."""
        return {"center": self.center, "factor": self.factor, "direction": self.direction, "bend": self.bend}


def _ridge(s: Array) -> Array:
    s = np.clip(s, -LIMIT, LIMIT)
    return np.column_stack([s * s - 1.0, s**3 - 3.0 * s])


def _strongest(y: Array, weight: Array) -> Array:
    """The unit vector v for which the points bend most as a function of v.y: from the third moments, E[y_i y_j y_k]."""
    d = y.shape[1]
    third = np.einsum("n,ni,nj,nk->ijk", weight, y, y, y, optimize=True)
    left = np.linalg.svd(third.reshape(d, d * d), full_matrices=False)[0]
    starts: list[Array] = []
    for i in range(min(4, d)):
        vectors = np.linalg.eigh(np.einsum("i,ijk->jk", left[:, i], third))[1]
        starts += [vectors[:, 0], vectors[:, -1], left[:, i]]
    best, best_strength = starts[0], -1.0
    for start in starts:
        v = start
        for _ in range(REFINEMENTS):
            a = np.einsum("ijk,j,k->i", third, v, v)
            a -= (a @ v) * v
            norm = float(np.linalg.norm(a))
            if norm > best_strength:
                best, best_strength = v, norm
            if norm == 0.0:
                break
            values, vectors = np.linalg.eigh(np.einsum("i,ijk->jk", a / norm, third))
            steepest = vectors[:, int(np.argmax(np.abs(values)))]
            across = steepest - (steepest @ a) / norm**2 * a
            v = across / max(float(np.linalg.norm(across)), 1e-300)
    return best


def fit_bending(z: Array, weight: Array) -> Bending:
    """Layers as long as each gains more log-likelihood than it has parameters (Akaike), for points (n, d) with weights summing to one."""
    n, d = 1.0 / float(np.sum(weight * weight)), z.shape[1]
    layers: list[tuple[Array, Array, Array, Array]] = []
    x = z
    while d >= 2 and len(layers) < LAYERS and n > 5 * d:
        center, factor = whitening(x, weight)
        y = solve_triangular(factor, (x - center).T, lower=True, check_finite=False).T
        # Weights may be few and large: far points must not dominate third moments.
        radius = np.sqrt(np.sum(y * y, axis=1))
        tame = y * np.minimum(1.0, (np.sqrt(d) + 3.0) / np.maximum(radius, 1e-300))[:, None]
        v = _strongest(tame, weight)
        ridge = _ridge(y @ v)
        centered = ridge - weight @ ridge
        across = y - np.outer(y @ v, v)
        gram = (centered * weight[:, None]).T @ centered + 1e-6 * np.eye(2)
        bend = np.linalg.solve(gram, (centered * weight[:, None]).T @ across)
        # The determinant of the residual covariance tells the gain of a Gaussian fit to the straightened points.
        explained = bend.T @ gram @ bend
        remaining = np.linalg.slogdet(np.eye(d) - explained)[1]
        if -0.5 * n * remaining < 3 * d:
            break
        layers.append((center, factor, v, bend))
        x = y - ridge @ bend
    if not layers:
        return Bending.none(d)
    center, factor, direction, bend = (np.array(column) for column in zip(*layers, strict=True))
    return Bending(center=center, factor=factor, direction=direction, bend=bend)
