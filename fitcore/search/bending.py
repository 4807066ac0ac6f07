"""`Bending`: a map that straightens curved posteriors, so that a mixture of few components fits them. It is fitted to weighted points.

It is a chain of layers. Each whitens, y = F^-1 (z - c), and shears, either along a bent ridge,

    x = y - a g_2(v.y) - b g_3(v.y),   a, b orthogonal to v,   g_2(s) = s^2 - 1,   g_3(s) = s^3 - 3 s   (s limited to +-3.5),

which leaves v.y alone: so its inverse is the same with a plus, and its Jacobian is one; or in a triangle,

    x_k = y_k - sum_ij Q_kij y_i y_j   over pairs of axes before k   (y limited to +-3.5),

whose inverse goes from axis to axis, and whose Jacobian is one as well. A banana, a bent degeneracy, costs 3 d numbers the first way. The
second is for a posterior that is bent in many directions at once, as one of narrow correlations between parameters that are not linear.
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
PENALTIES = (1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0)


@dataclass(frozen=True, kw_only=True, eq=False)
class Bending:
    """Layers of the map; with none of them it is the identity.

    Parameters
    ----------
    center : (m, d). factor : (m, d, d), invertible. direction : (m, d), unit vectors. bend : (m, 2, d), the vectors a and b.
    quadratic : (m, d, d, d), the Q_kij; None for none.
    """

    center: Array
    factor: Array
    direction: Array
    bend: Array
    quadratic: Array = None  # type: ignore[assignment]  # replaced by zeros

    def __post_init__(self) -> None:
        if self.quadratic is None:
            m, d = self.center.shape
            object.__setattr__(self, "quadratic", np.zeros((m, d, d, d)))

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
        for center, factor, direction, bend, quadratic in self._layers():
            y = np.asarray(
                np.linalg.solve(factor, (z - center).T).T, dtype=np.float64
            )  # triangular as fitted, but not once it is embedded elsewhere
            z = y - _ridge(y @ direction) @ bend - _products(y, quadratic)
        return z

    def _layers(self) -> list[tuple[Array, Array, Array, Array, Array]]:
        return list(zip(self.center, self.factor, self.direction, self.bend, self.quadratic, strict=True))

    def bent(self, x: Array) -> Array:
        """The inverse of `straighten`."""
        for center, factor, direction, bend, quadratic in reversed(self._layers()):
            y = x
            for _ in range(x.shape[1]) if np.any(quadratic) else ():  # right for one axis more each time
                y = x + _products(y, quadratic)
            x = center + (y + _ridge(y @ direction) @ bend) @ factor.T
        return x

    def embed(self, places: list[int], n_dim: int) -> Bending:
        """The same map on some of ``n_dim`` dimensions, the identity on the others."""
        m = len(self)
        center, direction, bend = np.zeros((m, n_dim)), np.zeros((m, n_dim)), np.zeros((m, 2, n_dim))
        center[:, places], direction[:, places], bend[:, :, places] = self.center, self.direction, self.bend
        factor = np.tile(np.eye(n_dim), (m, 1, 1))
        factor[np.ix_(range(m), places, places)] = self.factor
        quadratic = np.zeros((m, n_dim, n_dim, n_dim))
        quadratic[np.ix_(range(m), places, places, places)] = self.quadratic
        return Bending(center=center, factor=factor, direction=direction, bend=bend, quadratic=quadratic)

    @property
    def n_parameters(self) -> int:
        """Numbers that were fitted, the whitening left out."""
        bent = np.any(self.bend != 0.0, axis=(1, 2))
        return int(3 * self.center.shape[1] * bent.sum() + np.count_nonzero(self.quadratic))

    def jacobian(self, z: Array) -> Array:
        """Derivative (d, d) of `straighten` at one point (d,)."""
        d = len(z)
        steps = 1e-5 * np.eye(d)
        return ((self.straighten(z + steps) - self.straighten(z - steps)) / 2e-5).T

    def to_arrays(self) -> dict[str, Any]:
        """Arrays by name."""
        return {
            "center": self.center,
            "factor": self.factor,
            "direction": self.direction,
            "bend": self.bend,
            "quadratic": self.quadratic,
        }


def _ridge(s: Array) -> Array:
    s = np.clip(s, -LIMIT, LIMIT)
    return np.column_stack([s * s - 1.0, s**3 - 3.0 * s])


def _products(y: Array, quadratic: Array) -> Array:
    if not np.any(quadratic):
        return np.zeros_like(y)
    s = np.clip(y, -LIMIT, LIMIT)
    d = y.shape[1]
    return (s[:, :, None] * s[:, None, :]).reshape(-1, d * d) @ quadratic.reshape(d, d * d).T


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


def fit_triangle(z: Array, weight: Array) -> Bending:
    """One triangular layer for points (n, d) with weights summing to one; none where it gains nothing.

    The axes are those of the correlation matrix from the longest on: a direction in which the points hardly spread is where a quadratic
    function of the others shows. Each axis is regressed on the products of those before it, with a ridge penalty and only where Akaike's
    criterion gains.
    """
    n, d = 1.0 / float(np.sum(weight * weight)), z.shape[1]
    if d < 2 or n < 5 * d:
        return Bending.none(d)
    center = weight @ z
    covariance = ((z - center) * weight[:, None]).T @ (z - center)
    deviation = np.sqrt(np.diag(covariance))
    if np.any(deviation <= 1e-12 * np.abs(center)):  # points that do not differ
        return Bending.none(d)
    values, vectors = np.linalg.eigh(covariance / deviation / deviation[:, None])
    values, vectors = np.maximum(values[::-1], 1e-12), vectors[:, ::-1]
    factor = deviation[:, None] * vectors * np.sqrt(values)
    y = np.asarray(np.linalg.solve(factor, (z - center).T).T, dtype=np.float64)
    s = np.clip(y, -LIMIT, LIMIT)
    quadratic = np.zeros((1, d, d, d))
    for k in range(1, d):
        i, j = np.tril_indices(k)
        quadratic[0, k, i, j] = _shrunk(s[:, i] * s[:, j], y[:, k], weight, n)
    if not np.any(quadratic):
        return Bending.none(d)
    return Bending(center=center[None], factor=factor[None], direction=np.eye(d)[:1], bend=np.zeros((1, 2, d)), quadratic=quadratic)


def _shrunk(products: Array, target: Array, weight: Array, n: float) -> Array:
    """Coefficients (m,) of a ridge regression, by the penalty that Akaike's criterion prefers; zero where none gains."""
    products = products - weight @ products
    scale = np.sqrt(np.maximum(weight @ (products * products), 1e-12))
    rows = products / scale * np.sqrt(weight)[:, None]
    values, vectors = np.linalg.eigh(rows.T @ rows)
    moment = vectors.T @ (rows.T @ (target * np.sqrt(weight)))
    variance = max(float(weight @ (target * target)), 1e-300)
    best, best_gain = np.zeros(len(values)), 0.0
    for penalty in PENALTIES:
        shrink = 1.0 / (np.maximum(values, 0.0) + penalty)
        coefficient = shrink * moment
        left = variance - 2.0 * float(coefficient @ moment) + float((values * coefficient) @ coefficient)
        gain = -0.5 * n * np.log(max(left / variance, 1e-12)) - float((values * shrink).sum())
        if gain > best_gain:
            best, best_gain = coefficient, gain
    return (vectors @ best) / scale
