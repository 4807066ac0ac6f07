"""Any lens whose convergence is constant on concentric, similar ellipses: its deflection and potential as one-dimensional integrals.

The integrals over homoeoids of Schramm 1990 (A&A 231, 19) and Keeton 2001 (astro-ph/0102341), eq. 4 to 6, rewritten in the complex
ellipticity so that no angle appears. The double-exponential rule (Takahasi & Mori 1974) takes a cusp at the center and any ratio of radii
with 81 nodes. NumPy in, NumPy out; traceable by JAX. What is special to the NFW profile is in `nfw`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import numpy as np

from pipelines.lens.geometry import array_module, ellipse_vector

del _backend

TINY = 1e-60
"""Added to squares: a gradient at q = 1 is zero then, not NaN."""
HALF_NODES = 40
STEP = 3.4 / HALF_NODES


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A convergence as a function of w = x'^2 + y'^2 / q^2, the square of the radius on the major axis, arcsec^2.

    Parameters
    ----------
    convergence : kappa(w).
    steepness : its derivative with respect to w.
    enclosed : its integral from 0 to w.
    """

    convergence: Callable[[Any], Any]
    steepness: Callable[[Any], Any]
    enclosed: Callable[[Any], Any]


def _rule() -> tuple[Any, Any]:
    """Nodes in (0, 1) and weights of the double-exponential rule."""
    k = np.arange(-HALF_NODES, HALF_NODES + 1) * STEP
    node = 1.0 / (1.0 + np.exp(-np.pi * np.sinh(k)))
    rest = 1.0 / (1.0 + np.exp(np.pi * np.sinh(k)))
    return node, STEP * np.pi * np.cosh(k) * node * rest


NODES, WEIGHTS = _rule()


def _size(ellipticity_1: Any, ellipticity_2: Any) -> Any:
    """|eps|; its gradient is zero, not NaN, at q = 1."""
    xp = array_module(ellipticity_1, ellipticity_2)
    return xp.sqrt(ellipticity_1**2 + ellipticity_2**2 + TINY)


def _as_arrays(*values: Any) -> tuple[Any, ...]:
    """jax.numpy or numpy, whichever the values want, and the first two of them as arrays of float64 of one shape with all."""
    xp = array_module(*values)
    zero = xp.zeros(np.broadcast_shapes(*(np.shape(value) for value in values)))
    return xp, xp.asarray(values[0], dtype=xp.float64) + zero, xp.asarray(values[1], dtype=xp.float64) + zero


def _summed(integrand: Callable[[Any], tuple[Any, ...]], start: tuple[Any, ...], xp: Any) -> tuple[Any, ...]:
    """Sum over the nodes of the weighted integrands, one node at a time: memory for one, whatever the number of positions."""
    if xp is np:
        total = start
        for node, weight in zip(NODES, WEIGHTS, strict=True):
            total = tuple(a + weight * b for a, b in zip(total, integrand(node), strict=True))
        return total

    def step(total: tuple[Any, ...], rule: tuple[Any, Any]) -> tuple[tuple[Any, ...], None]:
        return tuple(a + rule[1] * b for a, b in zip(total, integrand(rule[0]), strict=True)), None

    return jax.lax.scan(step, start, (xp.asarray(NODES), xp.asarray(WEIGHTS)))[0]


def _homoeoids(x: Any, y: Any, ellipticity_1: Any, ellipticity_2: Any) -> Callable[[Any], tuple[Any, Any]]:
    """The function u -> (f, w): f = 1 - (1 - q^2) u, and the square of the radius of the homoeoid u; u = 1 passes the position."""
    size = _size(ellipticity_1, ellipticity_2)
    # (1 - q^2) and (1 - q^2) x'^2 in the complex ellipticity: x'^2 = (r^2 + Re(z^2 exp(-2 i phi))) / 2
    flattening = 4.0 * size / (1.0 + size) ** 2
    square = x * x + y * y
    along = 2.0 / (1.0 + size) ** 2 * (size * square + ellipticity_1 * (x * x - y * y) + 2.0 * ellipticity_2 * x * y)

    def at(u: Any) -> tuple[Any, Any]:
        f = 1.0 - flattening * u
        return f, u * (square - along * u) / f

    return at


def convergence(profile: Profile, x: Any, y: Any, ellipticity_1: Any, ellipticity_2: Any) -> Any:
    """Convergence at offsets ``x``, ``y`` from the center, arcsec, any one shape."""
    w_x, w_y = ellipse_vector(x, y, ellipticity_1, ellipticity_2)
    return profile.convergence((w_x * w_x + w_y * w_y) / (1.0 - _size(ellipticity_1, ellipticity_2)) ** 2)


def deflection(profile: Profile, x: Any, y: Any, ellipticity_1: Any, ellipticity_2: Any, *others: Any) -> tuple[Any, Any]:
    """Deflection at offsets ``x``, ``y`` from the center, arcsec, any one shape; ``others`` are the profile's own parameters."""
    xp, x, y = _as_arrays(x, y, ellipticity_1, ellipticity_2, *others)
    at = _homoeoids(x, y, ellipticity_1, ellipticity_2)

    def integrand(u: Any) -> tuple[Any, Any]:
        f, w = at(u)
        common = profile.convergence(w) / (f * xp.sqrt(f))
        return common * 0.5 * (1.0 + f), common * u

    zero = 0.0 * x
    mean, difference = _summed(integrand, (zero, zero), xp)
    size = _size(ellipticity_1, ellipticity_2)
    difference = -2.0 / (1.0 + size) ** 2 * difference
    scale = (1.0 - size) / (1.0 + size)
    return (
        scale * (mean * x + difference * (ellipticity_1 * x + ellipticity_2 * y)),
        scale * (mean * y + difference * (ellipticity_2 * x - ellipticity_1 * y)),
    )


def second_derivatives(profile: Profile, x: Any, y: Any, ellipticity_1: Any, ellipticity_2: Any, *others: Any) -> tuple[Any, Any, Any]:
    """psi_xx, psi_xy, psi_yy at offsets ``x``, ``y`` from the center, arcsec, any one shape: the deflection's integrals, differentiated."""
    xp, x, y = _as_arrays(x, y, ellipticity_1, ellipticity_2, *others)
    size = _size(ellipticity_1, ellipticity_2)
    at = _homoeoids(x, y, ellipticity_1, ellipticity_2)
    turned_x, turned_y = ellipticity_1 * x + ellipticity_2 * y, ellipticity_2 * x - ellipticity_1 * y
    # half the gradient of (1 - q^2) x'^2
    along_x, along_y = (2.0 / (1.0 + size) ** 2 * (size * part + turned) for part, turned in ((x, turned_x), (y, turned_y)))

    def integrand(u: Any) -> tuple[Any, ...]:
        f, w = at(u)
        root = f * xp.sqrt(f)
        common, steep = profile.convergence(w) / root, profile.steepness(w) * 2.0 * u / (f * root)
        by_x, by_y = steep * (x - along_x * u), steep * (y - along_y * u)
        half = 0.5 * (1.0 + f)
        return common * half, common * u, by_x * half, by_y * half, by_x * u, by_y * u

    mean, difference, mean_x, mean_y, difference_x, difference_y = _summed(integrand, (0.0 * x,) * 6, xp)
    factor = -2.0 / (1.0 + size) ** 2
    scale = (1.0 - size) / (1.0 + size)
    return (
        scale * (mean + mean_x * x + factor * (difference * ellipticity_1 + difference_x * turned_x)),
        scale * (mean_y * x + factor * (difference * ellipticity_2 + difference_y * turned_x)),
        scale * (mean + mean_y * y + factor * (-difference * ellipticity_1 + difference_y * turned_y)),
    )


def potential(profile: Profile, x: Any, y: Any, ellipticity_1: Any, ellipticity_2: Any, *others: Any) -> Any:
    """psi in arcsec^2, zero at the center, at offsets ``x``, ``y`` from it, arcsec, any one shape."""
    xp, x, y = _as_arrays(x, y, ellipticity_1, ellipticity_2, *others)
    at = _homoeoids(x, y, ellipticity_1, ellipticity_2)

    def integrand(u: Any) -> tuple[Any]:
        f, w = at(u)
        return (profile.enclosed(w) / (u * xp.sqrt(f)),)

    size = _size(ellipticity_1, ellipticity_2)
    (total,) = _summed(integrand, (0.0 * x,), xp)
    return 0.5 * (1.0 - size) / (1.0 + size) * total


def gaussian_profile(convergence_0: Any, sigma: Any, ellipticity_1: Any, ellipticity_2: Any) -> Profile:
    """kappa = convergence_0 exp(-R^2 / 2 sigma^2), R^2 = q w on the intermediate axis."""
    size = _size(ellipticity_1, ellipticity_2)
    rate = 0.5 * (1.0 - size) / (1.0 + size) / sigma**2

    def kappa(w: Any) -> Any:
        return convergence_0 * array_module(w, convergence_0, rate).exp(-rate * w)

    return Profile(
        convergence=kappa,
        steepness=lambda w: -rate * kappa(w),
        enclosed=lambda w: -convergence_0 / rate * array_module(w, rate).expm1(-rate * w),
    )


def cored_profile(einstein_radius: Any, slope: Any, core_radius: Any, ellipticity_1: Any, ellipticity_2: Any) -> Profile:
    """kappa = (3 - slope)/2 (einstein_radius^2 / (R^2 + core_radius^2))^((slope - 1)/2), R^2 = q w on the intermediate axis."""
    size = _size(ellipticity_1, ellipticity_2)
    q, t = (1.0 - size) / (1.0 + size), slope - 1.0
    core = core_radius**2

    def kappa(w: Any) -> Any:
        return 0.5 * (3.0 - slope) * einstein_radius**t * (q * w + core) ** (-0.5 * t)

    def enclosed(w: Any) -> Any:
        xp = array_module(w, q, core, slope)
        # (q w + core)^a - core^a without cancellation
        growth = xp.expm1(0.5 * (3.0 - slope) * xp.log1p(q * w / core))
        return einstein_radius**t / q * core ** (0.5 * (3.0 - slope)) * growth

    return Profile(convergence=kappa, steepness=lambda w: -0.5 * t * q * kappa(w) / (q * w + core), enclosed=enclosed)
