"""Ellipses without angles, for NumPy and JAX alike.

With the complex ellipticity eps = e1 + i e2 = (1-q)/(1+q) exp(2 i phi) and z = x + i y, the quantity w = z - eps conj(z) gives every
elliptical radius: R = |w| / sqrt(1 - |eps|^2) = sqrt(q x'^2 + y'^2 / q), the radius on the intermediate axis. It is smooth at q = 1, where
the position angle has no meaning. Profiles are in `mass` and `light`.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np

del _backend

SOFTENING_SQUARED = 1e-60
"""Square of a length in arcsec, far below any pixel, that keeps radii positive and their gradients finite at a center."""


def array_module(*values: Any) -> ModuleType:
    """jax.numpy when any value is a JAX array or tracer, numpy otherwise."""
    return jnp if any(isinstance(value, jax.Array) for value in values) else np


def ellipse_vector(x: Any, y: Any, ellipticity_1: Any, ellipticity_2: Any) -> tuple[Any, Any]:
    """Real and imaginary part of w = z - eps conj(z), at offsets ``x``, ``y`` from the center; arcsec, shapes of ``x``."""
    return (
        (1.0 - ellipticity_1) * x - ellipticity_2 * y,
        (1.0 + ellipticity_1) * y - ellipticity_2 * x,
    )


def elliptical_radius(x: Any, y: Any, ellipticity_1: Any, ellipticity_2: Any) -> Any:
    """R = sqrt(q x'^2 + y'^2 / q) at offsets from the center, in arcsec."""
    xp = array_module(x, y, ellipticity_1, ellipticity_2)
    w_x, w_y = ellipse_vector(x, y, ellipticity_1, ellipticity_2)
    return xp.sqrt((w_x * w_x + w_y * w_y + SOFTENING_SQUARED) / (1.0 - ellipticity_1**2 - ellipticity_2**2))


def ellipticity(axis_ratio: Any, position_angle: Any) -> tuple[Any, Any]:
    """(e1, e2) of an axis ratio in (0, 1] and a position angle in radians, anticlockwise from +x."""
    xp = array_module(axis_ratio, position_angle)
    size = (1.0 - axis_ratio) / (1.0 + axis_ratio)
    return size * xp.cos(2.0 * position_angle), size * xp.sin(2.0 * position_angle)


def axis_ratio(ellipticity_1: Any, ellipticity_2: Any) -> Any:
    """q = (1 - |eps|) / (1 + |eps|)."""
    xp = array_module(ellipticity_1, ellipticity_2)
    size = xp.hypot(ellipticity_1, ellipticity_2)
    return (1.0 - size) / (1.0 + size)


def position_angle(ellipticity_1: Any, ellipticity_2: Any) -> Any:
    """phi in radians, in (-pi/2, pi/2], anticlockwise from +x; 0 where q = 1."""
    xp = array_module(ellipticity_1, ellipticity_2)
    return 0.5 * xp.arctan2(ellipticity_2, ellipticity_1)
