"""The elliptical NFW lens: convergence, deflection and potential as pure functions, for NumPy and JAX. The component is `mass.NFW`.

The ellipse is in the convergence: kappa(m) with m^2 = x'^2 + y'^2 / q^2, the radius on the major axis. With X = m / scale_radius,
kappa = 2 kappa_s (F - 1) / (1 - X^2), F = arccosh(1/X) / sqrt(1 - X^2) (Bartelmann 1996, A&A 313, 697). The integrals of `homoeoid` give
1e-12 for radii of 1e-5 to 1000 scale radii and axis ratios down to 0.1.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from pipelines.lens import homoeoid
from pipelines.lens.geometry import array_module

SOFTENING_SQUARED = 1e-60
"""Added to squared radii, in units of the scale radius: keeps the logarithm at the center, and its gradient, finite."""
NEAR_ONE = 0.05
SERIES_TERMS = 14


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


def _profile(kappa_s: Any, scale_radius: Any) -> homoeoid.Profile:
    square = scale_radius**2
    return homoeoid.Profile(
        convergence=lambda w: 2.0 * kappa_s * _sloped(w / square + SOFTENING_SQUARED),
        steepness=lambda w: 2.0 * kappa_s * _steepness(w / square + SOFTENING_SQUARED) / square,
        enclosed=lambda w: 4.0 * kappa_s * square * _enclosed(w / square + SOFTENING_SQUARED),
    )


def nfw_convergence(x: Any, y: Any, *, ellipticity_1: Any, ellipticity_2: Any, kappa_s: Any, scale_radius: Any) -> Any:
    """Convergence at offsets ``x``, ``y`` from the center, arcsec, any one shape."""
    return homoeoid.convergence(_profile(kappa_s, scale_radius), x, y, ellipticity_1, ellipticity_2)


def nfw_deflection(x: Any, y: Any, *, ellipticity_1: Any, ellipticity_2: Any, kappa_s: Any, scale_radius: Any) -> tuple[Any, Any]:
    """Deflection at offsets ``x``, ``y`` from the center, arcsec, any one shape."""
    return homoeoid.deflection(_profile(kappa_s, scale_radius), x, y, ellipticity_1, ellipticity_2, kappa_s, scale_radius)


def nfw_hessian(x: Any, y: Any, *, ellipticity_1: Any, ellipticity_2: Any, kappa_s: Any, scale_radius: Any) -> tuple[Any, Any, Any]:
    """psi_xx, psi_xy, psi_yy at offsets ``x``, ``y`` from the center, arcsec, any one shape."""
    return homoeoid.second_derivatives(_profile(kappa_s, scale_radius), x, y, ellipticity_1, ellipticity_2, kappa_s, scale_radius)


def nfw_potential(x: Any, y: Any, *, ellipticity_1: Any, ellipticity_2: Any, kappa_s: Any, scale_radius: Any) -> Any:
    """psi in arcsec^2, zero at the center, at offsets ``x``, ``y`` from it, arcsec, any one shape."""
    return homoeoid.potential(_profile(kappa_s, scale_radius), x, y, ellipticity_1, ellipticity_2, kappa_s, scale_radius)
