"""Second derivatives of the lensing potential: what they say about magnification, shear and mass. Sums over all masses of a lens.

The inverse magnification matrix is A = d beta / d theta, its elements 1 - psi_xx, -psi_xy, 1 - psi_yy. Power laws, halos, shears and sheets
have closed forms or one-dimensional integrals; anything else with a `deflection` is differentiated by JAX. NumPy in, NumPy out, for the
masses of `mass`; traceable by JAX. Deflections are in `tracing`, critical curves in `caustics`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np

from pipelines.lens.geometry import array_module
from pipelines.lens.mass import NFW, CoredPowerLaw, GaussianMass, Isothermal, PowerLaw, Shear, Sheet
from pipelines.lens.nfw import nfw_hessian
from pipelines.lens.tracing import deflection, total_deflection

del _backend

SOFTENING_SQUARED = 1e-60
"""Added to the square of the distance from a center, arcsec^2: shears are zero there, not NaN."""
BOUNDARY_POINTS = 256


def derivatives(masses: Sequence[Any], x: Any, y: Any) -> tuple[Any, Any, Any, Any, Any]:
    """alpha_x, alpha_y, psi_xx, psi_xy and psi_yy of the sum of the masses at positions in arcsec; shapes of ``x``."""
    parts = [(*alpha, *hessian_of(mass, x, y, alpha)) for mass in masses for alpha in (deflection(mass, x, y),)]
    alpha_x, alpha_y, psi_xx, psi_xy, psi_yy = (sum(column) for column in zip(*parts, strict=True))
    return alpha_x, alpha_y, psi_xx, psi_xy, psi_yy


def hessian(masses: Sequence[Any], x: Any, y: Any) -> tuple[Any, Any, Any]:
    """psi_xx, psi_xy and psi_yy of the sum of the masses at positions in arcsec; shapes of ``x``."""
    parts = [hessian_of(mass, x, y) for mass in masses]
    return sum(part[0] for part in parts), sum(part[1] for part in parts), sum(part[2] for part in parts)


def hessian_of(mass: Any, x: Any, y: Any, alpha: tuple[Any, Any] | None = None) -> tuple[Any, Any, Any]:
    """psi_xx, psi_xy and psi_yy of one mass at positions in arcsec; shapes of ``x``. ``alpha`` is its deflection there, if known."""
    if isinstance(mass, PowerLaw | Isothermal):
        return _power_law(mass, x, y, deflection(mass, x, y) if alpha is None else alpha)
    zero = 0.0 * (x + y)
    if isinstance(mass, Shear):
        return mass.gamma_1 + zero, mass.gamma_2 + zero, zero - mass.gamma_1
    if isinstance(mass, Sheet):
        return mass.convergence_0 + zero, zero, mass.convergence_0 + zero
    if isinstance(mass, NFW):
        shape = {name: getattr(mass, name) for name in ("ellipticity_1", "ellipticity_2", "kappa_s", "scale_radius")}
        return nfw_hessian(x - mass.center_x, y - mass.center_y, **shape)
    if isinstance(mass, CoredPowerLaw | GaussianMass):
        return mass.second_derivatives(x, y)
    return _differentiated(mass, x, y)


def _power_law(mass: Any, x: Any, y: Any, alpha: tuple[Any, Any]) -> tuple[Any, Any, Any]:
    """A power law's deflection is homogeneous of degree 2 - slope, so by Euler z kappa + conj(z) gamma = (2 - slope) alpha."""
    kappa = mass.convergence(x, y)
    degree = 2.0 - (mass.slope if isinstance(mass, PowerLaw) else 2.0)
    off_x, off_y = x - mass.center_x, y - mass.center_y
    square = off_x**2 + off_y**2 + SOFTENING_SQUARED
    left_x, left_y = (degree * alpha[0] - kappa * off_x) / square, (degree * alpha[1] - kappa * off_y) / square
    gamma_1, gamma_2 = left_x * off_x - left_y * off_y, left_x * off_y + left_y * off_x
    return kappa + gamma_1, gamma_2, kappa - gamma_1


def _differentiated(mass: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    x, y = jnp.asarray(x, dtype=jnp.float64), jnp.asarray(y, dtype=jnp.float64)
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    _, (psi_xx, psi_yx) = jax.jvp(mass.deflection, (x, y), (one, zero))
    _, (psi_xy, psi_yy) = jax.jvp(mass.deflection, (x, y), (zero, one))
    return psi_xx, 0.5 * (psi_xy + psi_yx), psi_yy


def total_convergence(masses: Sequence[Any], x: Any, y: Any) -> Any:
    """kappa of the sum of the masses at positions in arcsec; shape of ``x``."""
    return sum(mass.convergence(x, y) for mass in masses)


def total_potential(masses: Sequence[Any], x: Any, y: Any) -> Any:
    """psi of the sum of the masses in arcsec^2, at positions in arcsec; shape of ``x``."""
    return sum(mass.potential(x, y) for mass in masses)


def arrival_time(masses: Sequence[Any], x: Any, y: Any, source: tuple[Any, Any]) -> Any:
    """Fermat potential (theta - beta)^2 / 2 - psi in arcsec^2 of a source at ``source``; its stationary points are the images."""
    return 0.5 * ((x - source[0]) ** 2 + (y - source[1]) ** 2) - total_potential(masses, x, y)


def jacobian(masses: Sequence[Any], x: Any, y: Any) -> tuple[Any, Any, Any]:
    """kappa, gamma_1, gamma_2 of the sum of the masses at positions in arcsec; shapes of ``x``."""
    psi_xx, psi_xy, psi_yy = hessian(masses, x, y)
    return 0.5 * (psi_xx + psi_yy), 0.5 * (psi_xx - psi_yy), psi_xy


def inverse_magnification(masses: Sequence[Any], x: Any, y: Any) -> Any:
    """det A at positions in arcsec; shape of ``x``. Negative for saddle points of the arrival time."""
    psi_xx, psi_xy, psi_yy = hessian(masses, x, y)
    return (1.0 - psi_xx) * (1.0 - psi_yy) - psi_xy**2


def magnification(masses: Sequence[Any], x: Any, y: Any) -> Any:
    """1 / det A at positions in arcsec; shape of ``x``. Its sign is the image's parity; infinite on a critical curve."""
    inverse = inverse_magnification(masses, x, y)
    with np.errstate(divide="ignore"):
        return array_module(inverse).divide(1.0, inverse)


def enclosed_convergence(masses: Sequence[Any], radius: Any, *, center: tuple[Any, Any], n_angles: int = BOUNDARY_POINTS) -> Any:
    """Integral of kappa over the disc of ``radius`` around ``center``, arcsec^2; times the critical surface density it is the mass.

    By Gauss's law it is half the flux of the deflection through the circle, so a center's cusp costs nothing; the trapezoidal rule on a
    circle converges geometrically. Divide by pi radius^2 for the mean convergence.

    Parameters
    ----------
    radius : arcsec, any shape.
    n_angles : points on the circle.
    """
    xp = array_module(radius, *center, *(getattr(mass, name) for mass in masses for name in mass.__dataclass_fields__))
    angle = np.arange(n_angles) * (2.0 * np.pi / n_angles)
    reach = xp.asarray(radius)[..., None]
    cosine, sine = xp.cos(angle), xp.sin(angle)
    alpha_x, alpha_y = total_deflection(masses, center[0] + reach * cosine, center[1] + reach * sine)
    return np.pi * reach[..., 0] * (alpha_x * cosine + alpha_y * sine).mean(axis=-1)
