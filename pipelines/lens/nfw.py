"""The elliptical NFW lens: convergence, deflection and potential as pure functions, for NumPy and JAX. The component is `mass.NFW`.

The ellipse is in the convergence: kappa(m) with m^2 = x'^2 + y'^2 / q^2, the radius on the major axis. With X = m / scale_radius,
kappa = 2 kappa_s (F - 1) / (1 - X^2), F = arccosh(1/X) / sqrt(1 - X^2) (Bartelmann 1996, A&A 313, 697). Deflection and potential are the
one-dimensional integrals over homoeoids of Schramm 1990 (A&A 231, 19) and Keeton 2001 (astro-ph/0102341), eq. 4 to 6, rewritten in the
complex ellipticity so that no angle appears. The double-exponential rule (Takahasi & Mori 1974) takes the cusp at the center and any ratio
of radii: 81 nodes give 1e-12 for radii of 1e-5 to 1000 scale radii and axis ratios down to 0.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import numpy as np

from pipelines.lens.geometry import array_module, ellipse_vector

del _backend

SOFTENING_SQUARED = 1e-60
"""Added to squared radii, in units of the scale radius: keeps the logarithm at the center, and its gradient, finite."""
NEAR_ONE = 0.05
SERIES_TERMS = 14
HALF_NODES = 40
STEP = 3.4 / HALF_NODES


def _rule() -> tuple[Any, Any]:
    """Nodes in (0, 1) and weights of the double-exponential rule."""
    k = np.arange(-HALF_NODES, HALF_NODES + 1) * STEP
    node = 1.0 / (1.0 + np.exp(-np.pi * np.sinh(k)))
    rest = 1.0 / (1.0 + np.exp(np.pi * np.sinh(k)))
    return node, STEP * np.pi * np.cosh(k) * node * rest


NODES, WEIGHTS = _rule()


def _sloped(square: Any) -> Any:
    """(F - 1) / (1 - X^2) of X^2: by its series around X = 1, where the quotient loses its digits."""
    xp = array_module(square)
    s = 1.0 - square
    series = xp.zeros_like(s) + 1.0 / (2 * SERIES_TERMS + 3)
    for n in range(SERIES_TERMS - 1, -1, -1):
        series = series * s + 1.0 / (2 * n + 3)
    # each branch sees only values that it can take, so that no NaN enters a gradient
    inner, outer = xp.where(s > NEAR_ONE, square, 0.5), xp.where(s < -NEAR_ONE, square, 2.0)
    root = xp.sqrt(1.0 - inner)
    inside = ((xp.log(1.0 + root) - 0.5 * xp.log(inner)) / root - 1.0) / (1.0 - inner)
    root = xp.sqrt(outer - 1.0)
    outside = (xp.arctan(root) / root - 1.0) / (1.0 - outer)
    return xp.where(s > NEAR_ONE, inside, xp.where(s < -NEAR_ONE, outside, series))


def _steepness(square: Any) -> Any:
    """Derivative of `_sloped` with respect to X^2: by its series around X = 1."""
    xp = array_module(square)
    s = 1.0 - square
    series = xp.zeros_like(s) + SERIES_TERMS / (2 * SERIES_TERMS + 3)
    for n in range(SERIES_TERMS - 1, 0, -1):
        series = series * s + n / (2 * n + 3)
    away = xp.where(xp.abs(s) > NEAR_ONE, square, 0.5)
    rest = 1.0 - away
    # F' = (1 - X^2 F) / (2 X^2 (X^2 - 1)) in X^2, and F - 1 = (1 - X^2) `_sloped`
    sloped = _sloped(away)
    quotient = (sloped - (1.0 - away * (1.0 + rest * sloped)) / (2.0 * away * rest)) / rest
    return xp.where(xp.abs(s) > NEAR_ONE, quotient, -series)


def _enclosed(square: Any) -> Any:
    """ln(X / 2) + F of X^2: the mass inside X over 4 pi kappa_s scale_radius^2. Inside X = 1 in a form without cancellation."""
    xp = array_module(square)
    f = 1.0 + (1.0 - square) * _sloped(square)
    within = xp.where(square < 1.0, square, 0.5)
    share = within / (1.0 + xp.sqrt(1.0 - within))
    inside = xp.log1p(-0.5 * share) + f * share
    outside = 0.5 * xp.log(xp.where(square < 1.0, 2.0, square)) - np.log(2.0) + f
    return xp.where(square < 1.0, inside, outside)


def _size(ellipticity_1: Any, ellipticity_2: Any) -> Any:
    """|eps|; its gradient is zero, not NaN, at q = 1."""
    xp = array_module(ellipticity_1, ellipticity_2)
    return xp.sqrt(ellipticity_1**2 + ellipticity_2**2 + SOFTENING_SQUARED)


def nfw_convergence(x: Any, y: Any, *, ellipticity_1: Any, ellipticity_2: Any, kappa_s: Any, scale_radius: Any) -> Any:
    """Convergence at offsets ``x``, ``y`` from the center, arcsec, any one shape."""
    w_x, w_y = ellipse_vector(x, y, ellipticity_1, ellipticity_2)
    on_major_axis = (w_x * w_x + w_y * w_y) / (1.0 - _size(ellipticity_1, ellipticity_2)) ** 2
    return 2.0 * kappa_s * _sloped(on_major_axis / scale_radius**2 + SOFTENING_SQUARED)


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


def _homoeoids(x: Any, y: Any, ellipticity_1: Any, ellipticity_2: Any, scale_radius: Any) -> Callable[[Any], tuple[Any, Any]]:
    """The function u -> (f, X^2): f = 1 - (1 - q^2) u, and X the radius in scale radii of the homoeoid u; u = 1 passes the position."""
    size = _size(ellipticity_1, ellipticity_2)
    # (1 - q^2) and (1 - q^2) x'^2 in the complex ellipticity: x'^2 = (r^2 + Re(z^2 exp(-2 i phi))) / 2
    flattening = 4.0 * size / (1.0 + size) ** 2
    square = x * x + y * y
    along = 2.0 / (1.0 + size) ** 2 * (size * square + ellipticity_1 * (x * x - y * y) + 2.0 * ellipticity_2 * x * y)

    def at(u: Any) -> tuple[Any, Any]:
        f = 1.0 - flattening * u
        return f, u * (square - along * u) / (f * scale_radius**2) + SOFTENING_SQUARED

    return at


def nfw_deflection(x: Any, y: Any, *, ellipticity_1: Any, ellipticity_2: Any, kappa_s: Any, scale_radius: Any) -> tuple[Any, Any]:
    """Deflection at offsets ``x``, ``y`` from the center, arcsec, any one shape."""
    xp = array_module(x, y, ellipticity_1, ellipticity_2, kappa_s, scale_radius)
    x, y = xp.asarray(x, dtype=xp.float64), xp.asarray(y, dtype=xp.float64)
    at = _homoeoids(x, y, ellipticity_1, ellipticity_2, scale_radius)

    def integrand(u: Any) -> tuple[Any, Any]:
        f, square = at(u)
        common = _sloped(square) / (f * xp.sqrt(f))
        return common * 0.5 * (1.0 + f), common * u

    zero = _zero(xp, x, y, ellipticity_1, ellipticity_2, kappa_s, scale_radius)
    mean, difference = _summed(integrand, (zero, zero), xp)
    size = _size(ellipticity_1, ellipticity_2)
    difference = -2.0 / (1.0 + size) ** 2 * difference
    scale = 2.0 * kappa_s * (1.0 - size) / (1.0 + size)
    return (
        scale * (mean * x + difference * (ellipticity_1 * x + ellipticity_2 * y)),
        scale * (mean * y + difference * (ellipticity_2 * x - ellipticity_1 * y)),
    )


def nfw_hessian(x: Any, y: Any, *, ellipticity_1: Any, ellipticity_2: Any, kappa_s: Any, scale_radius: Any) -> tuple[Any, Any, Any]:
    """psi_xx, psi_xy, psi_yy at offsets ``x``, ``y`` from the center, arcsec, any one shape: the deflection's integrals, differentiated."""
    xp = array_module(x, y, ellipticity_1, ellipticity_2, kappa_s, scale_radius)
    x, y = xp.asarray(x, dtype=xp.float64), xp.asarray(y, dtype=xp.float64)
    size = _size(ellipticity_1, ellipticity_2)
    at = _homoeoids(x, y, ellipticity_1, ellipticity_2, scale_radius)
    turned_x, turned_y = ellipticity_1 * x + ellipticity_2 * y, ellipticity_2 * x - ellipticity_1 * y
    # half the gradient of (1 - q^2) x'^2
    along_x, along_y = (2.0 / (1.0 + size) ** 2 * (size * part + turned) for part, turned in ((x, turned_x), (y, turned_y)))

    def integrand(u: Any) -> tuple[Any, ...]:
        f, square = at(u)
        root = f * xp.sqrt(f)
        common, steep = _sloped(square) / root, _steepness(square) * 2.0 * u / (f * scale_radius**2 * root)
        by_x, by_y = steep * (x - along_x * u), steep * (y - along_y * u)
        half = 0.5 * (1.0 + f)
        return common * half, common * u, by_x * half, by_y * half, by_x * u, by_y * u

    zero = _zero(xp, x, y, ellipticity_1, ellipticity_2, kappa_s, scale_radius)
    mean, difference, mean_x, mean_y, difference_x, difference_y = _summed(integrand, (zero,) * 6, xp)
    factor = -2.0 / (1.0 + size) ** 2
    scale = 2.0 * kappa_s * (1.0 - size) / (1.0 + size)
    return (
        scale * (mean + mean_x * x + factor * (difference * ellipticity_1 + difference_x * turned_x)),
        scale * (mean_y * x + factor * (difference * ellipticity_2 + difference_y * turned_x)),
        scale * (mean + mean_y * y + factor * (-difference * ellipticity_1 + difference_y * turned_y)),
    )


def nfw_potential(x: Any, y: Any, *, ellipticity_1: Any, ellipticity_2: Any, kappa_s: Any, scale_radius: Any) -> Any:
    """psi in arcsec^2, zero at the center, at offsets ``x``, ``y`` from it, arcsec, any one shape."""
    xp = array_module(x, y, ellipticity_1, ellipticity_2, kappa_s, scale_radius)
    x, y = xp.asarray(x, dtype=xp.float64), xp.asarray(y, dtype=xp.float64)
    at = _homoeoids(x, y, ellipticity_1, ellipticity_2, scale_radius)

    def integrand(u: Any) -> tuple[Any]:
        f, square = at(u)
        return (_enclosed(square) / (u * xp.sqrt(f)),)

    size = _size(ellipticity_1, ellipticity_2)
    (total,) = _summed(integrand, (_zero(xp, x, y, ellipticity_1, ellipticity_2, kappa_s, scale_radius),), xp)
    return 2.0 * kappa_s * scale_radius**2 * (1.0 - size) / (1.0 + size) * total


def _zero(xp: Any, *values: Any) -> Any:
    """Zeros of the shape that the values broadcast to."""
    return xp.zeros(np.broadcast_shapes(*(np.shape(value) for value in values)))
