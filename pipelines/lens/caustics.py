"""The effective Einstein radius and the number of images, from the critical curves met along rays from the lens's center; traceable by JAX.

Along a ray both eigenvalues of the inverse magnification matrix, 1 - kappa -+ gamma, grow outward: each has one zero, found by bisection.
The tangential curve is then known to machine precision at any number of angles, and its area by the trapezoidal rule, which is spectrally
accurate for a closed smooth curve. That suffices for one lens whose curve is seen whole from its center. `critical` finds the curves of any
lens, `images` the images of any source; both are dearer and not traceable.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp

from pipelines.lens.images import CENTRAL
from pipelines.lens.magnification import derivatives

del _backend

BISECTIONS = 40
INNERMOST = 1e-3
"""Radius in arcsec where a ray starts; a tangential curve inside it counts as none. For the radial curve it is that of a central image."""
SOFTENING_SQUARED = 1e-60
N_ANGLES = 96


@jax.tree_util.register_dataclass
@dataclass(frozen=True, kw_only=True)
class Rays:
    """The tangential (first row) and the radial (second row) critical curve along rays from the center; shape (2, n).

    Parameters
    ----------
    radius : from the center, arcsec; where its ray starts if the eigenvalue is positive all along.
    exists : whether the eigenvalue changes sign on the ray.
    beta_x, beta_y : the curve traced to the source plane, arcsec.
    """

    radius: Any
    exists: Any
    beta_x: Any
    beta_y: Any


def along_rays(masses: Sequence[Any], *, center: tuple[Any, Any], outermost: Any = 10.0, n_angles: int = N_ANGLES) -> Rays:
    """Both critical curves along ``n_angles`` rays that reach from ``center`` to ``outermost``; lengths in arcsec."""
    angle = jnp.arange(n_angles) * (2.0 * jnp.pi / n_angles)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    sign = jnp.asarray([[1.0], [-1.0]])

    def step(_: int, state: tuple[Any, ...]) -> tuple[Any, ...]:
        inner, outer, _, _ = state
        middle = 0.5 * (inner + outer)
        x, y = center[0] + middle * cosine, center[1] + middle * sine
        alpha_x, alpha_y, psi_xx, psi_xy, psi_yy = derivatives(masses, x, y)
        gamma = jnp.sqrt(0.25 * (psi_xx - psi_yy) ** 2 + psi_xy**2 + SOFTENING_SQUARED)
        inside = 1.0 - 0.5 * (psi_xx + psi_yy) - sign * gamma < 0.0
        return jnp.where(inside, middle, inner), jnp.where(inside, outer, middle), x - alpha_x, y - alpha_y

    first = jnp.tile(jnp.asarray([[INNERMOST], [CENTRAL]]), (1, n_angles))
    last = first + outermost
    inner, outer, beta_x, beta_y = jax.lax.fori_loop(0, BISECTIONS, step, (first, last, first, first))
    return Rays(radius=0.5 * (inner + outer), exists=(inner > first) & (outer < last), beta_x=beta_x, beta_y=beta_y)


def effective_radius_of(rays: Rays) -> Any:
    """sqrt(area of the tangential critical curve / pi) in arcsec, one number; NaN where a ray does not cross the curve."""
    return jnp.where(jnp.all(rays.exists[0]), jnp.sqrt(jnp.mean(rays.radius[0] ** 2)), jnp.nan)


def effective_einstein_radius(masses: Sequence[Any], *, center: tuple[Any, Any], outermost: Any = 10.0, n_angles: int = 64) -> Any:
    """sqrt(area of the tangential critical curve / pi) in arcsec, one number; NaN where a ray does not cross the curve.

    Parameters
    ----------
    masses : all mass components, shear included.
    center : a point inside the curve, arcsec.
    outermost : the curve lies within this radius of the center, arcsec.
    n_angles : rays; 64 give 1e-8 for ellipses and shears of real lenses.
    """
    return effective_radius_of(along_rays(masses, center=center, outermost=outermost, n_angles=n_angles))


def n_images_of(rays: Rays, source: tuple[Any, Any]) -> Any:
    """Number of images of a point at ``source``, arcsec, without central ones, as `images` tells them apart; NaN without a curve.

    No image is looked for. det A keeps its sign between the critical curves, so the images there are as many as the winding number of the
    traced boundary around the source: 1 - w outside the tangential curve, whose caustic winds w times (the far field winds once), and v - w
    between it and the radial curve, whose caustic winds v times; or a circle around the center, where that is the larger.
    """
    away_x, away_y = rays.beta_x - source[0], rays.beta_y - source[1]
    next_x, next_y = jnp.roll(away_x, -1, axis=-1), jnp.roll(away_y, -1, axis=-1)
    turns = jnp.arctan2(away_x * next_y - away_y * next_x, away_x * next_x + away_y * next_y).sum(axis=-1) / (2.0 * jnp.pi)
    w, v = jnp.round(turns)
    is_nested = jnp.all(rays.exists[0] & (rays.radius[0] > rays.radius[1]))
    return jnp.where(is_nested, 1.0 + v - 2.0 * w, jnp.nan)
