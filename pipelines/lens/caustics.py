"""Critical curves and caustics, and the effective Einstein radius, by bisection along rays from the lens's center.

The tangential eigenvalue 1 - kappa - gamma of the inverse magnification grows outward along every ray, so each ray has one crossing; the
curve is then known to machine precision at any number of angles, and its area by the trapezoidal rule, which is spectrally accurate for a
closed smooth curve. All of it is traceable by JAX, so the effective Einstein radius is a latent variable like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from fitcore.evaluation import compiled
from pipelines.lens.mass import Isothermal, PowerLaw
from pipelines.lens.tracing import deflection, ray_trace

del _backend

Array = NDArray[np.float64]
BISECTIONS = 40
INNERMOST = 1e-3
"""Radius in arcsec where a ray starts; a critical curve inside it counts as none."""


def jacobian(masses: Sequence[Any], x: Any, y: Any) -> tuple[Any, Any, Any]:
    """kappa, gamma_1, gamma_2 of the sum of the masses; shapes of ``x``."""
    parts = [_power_law_jacobian(m, x, y) if isinstance(m, PowerLaw | Isothermal) else _differentiated(m, x, y) for m in masses]
    return sum(p[0] for p in parts), sum(p[1] for p in parts), sum(p[2] for p in parts)


def _power_law_jacobian(mass: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    """A power law's deflection is homogeneous of degree 3 - slope - 1, so by Euler z kappa + conj(z) gamma = (2 - slope) alpha."""
    alpha_x, alpha_y = deflection(mass, x, y)
    kappa = mass.convergence(x, y)
    degree = 2.0 - (mass.slope if isinstance(mass, PowerLaw) else 2.0)
    off_x, off_y = x - mass.center_x, y - mass.center_y
    left_x, left_y = degree * alpha_x - kappa * off_x, degree * alpha_y - kappa * off_y
    square = off_x**2 + off_y**2
    return kappa, (left_x * off_x - left_y * off_y) / square, (left_x * off_y + left_y * off_x) / square


def _differentiated(mass: Any, x: Any, y: Any) -> tuple[Any, Any, Any]:
    one, zero = jnp.ones_like(x), jnp.zeros_like(x)
    _, (a_xx, a_yx) = jax.jvp(mass.deflection, (x, y), (one, zero))
    _, (a_xy, a_yy) = jax.jvp(mass.deflection, (x, y), (zero, one))
    return 0.5 * (a_xx + a_yy), 0.5 * (a_xx - a_yy), 0.5 * (a_xy + a_yx)


def inverse_magnification(masses: Sequence[Any], x: Any, y: Any) -> Any:
    """det A = (1 - kappa)^2 - gamma^2 at positions in arcsec."""
    kappa, gamma_1, gamma_2 = jacobian(masses, jnp.asarray(x), jnp.asarray(y))
    return (1.0 - kappa) ** 2 - gamma_1**2 - gamma_2**2


def _tangential(kappa: Any, gamma: Any) -> Any:
    return 1.0 - kappa - gamma


def _radial(kappa: Any, gamma: Any) -> Any:
    return 1.0 - kappa + gamma


def _crossing(
    masses: Sequence[Any], center: tuple[Any, Any], outermost: Any, n_angles: int, eigenvalue: Callable[[Any, Any], Any]
) -> tuple[Any, Any, Any]:
    """Angles, radii of the sign change of an eigenvalue along each ray, and whether there is one."""
    angle = jnp.arange(n_angles) * (2.0 * jnp.pi / n_angles)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)

    def value(radius: Any) -> Any:
        kappa, gamma_1, gamma_2 = jacobian(masses, center[0] + radius * cosine, center[1] + radius * sine)
        return eigenvalue(kappa, jnp.sqrt(gamma_1**2 + gamma_2**2 + 1e-60))

    def step(_: int, bracket: tuple[Any, Any]) -> tuple[Any, Any]:
        inner, outer = bracket
        middle = 0.5 * (inner + outer)
        inside = value(middle) < 0.0
        return jnp.where(inside, middle, inner), jnp.where(inside, outer, middle)

    inner = jnp.full(n_angles, INNERMOST)
    outer = inner + outermost
    exists = (value(inner) < 0.0) & (value(outer) > 0.0)
    inner, outer = jax.lax.fori_loop(0, BISECTIONS, step, (inner, outer))
    return angle, 0.5 * (inner + outer), exists


_compiled_crossing = compiled(_crossing, static_argnames=("n_angles", "eigenvalue"))


def effective_einstein_radius(masses: Sequence[Any], *, center: tuple[Any, Any], outermost: Any = 10.0, n_angles: int = 64) -> Any:
    """sqrt(area of the tangential critical curve / pi) in arcsec, one number; NaN where a ray does not cross the curve.

    Parameters
    ----------
    masses : all mass components, shear included.
    center : a point inside the curve, arcsec.
    outermost : the curve lies within this radius of the center, arcsec.
    n_angles : rays; 64 give 1e-8 for ellipses and shears of real lenses.
    """
    _, radius, exists = _crossing(masses, center, outermost, n_angles, _tangential)
    return jnp.where(jnp.all(exists), jnp.sqrt(jnp.mean(radius**2)), jnp.nan)


def critical_curves(
    masses: Sequence[Any], *, center: tuple[float, float], outermost: float = 10.0, n_angles: int = 360
) -> dict[str, tuple[Array, Array]]:
    """Critical curves and their caustics: name -> (curve, caustic), each of shape (n_angles + 1, 2) and closed; arcsec.

    ``"tangential"`` and, where the mass profile has one, ``"radial"``. A singular isothermal center has no radial critical curve; its
    ``"cut"`` is the image of a small circle around the center, inside which a source has an image more.
    """
    curves: dict[str, tuple[Array, Array]] = {}
    for name, eigenvalue in (("tangential", _tangential), ("radial", _radial)):
        angle, radius, exists = _compiled_crossing(masses, center, outermost, n_angles, eigenvalue)
        if bool(jnp.all(exists)) and float(jnp.min(radius)) > 2.0 * INNERMOST:
            curves[name] = _mapped(masses, center, angle, radius)
    if "radial" not in curves:
        angle = jnp.arange(n_angles) * (2.0 * jnp.pi / n_angles)
        curves["cut"] = _mapped(masses, center, angle, jnp.full(n_angles, INNERMOST))
    return curves


_compiled_trace = compiled(ray_trace)


def _mapped(masses: Sequence[Any], center: tuple[float, float], angle: Any, radius: Any) -> tuple[Array, Array]:
    x, y = center[0] + radius * jnp.cos(angle), center[1] + radius * jnp.sin(angle)
    curve = np.stack([np.asarray(x), np.asarray(y)], axis=1)
    caustic = np.stack([np.asarray(part) for part in _compiled_trace(masses, x, y)], axis=1)
    return np.concatenate([curve, curve[:1]]), np.concatenate([caustic, caustic[:1]])
