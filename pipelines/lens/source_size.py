"""Flux and half-light radius of a source that is any sum of light profiles, traceable by JAX.

Each profile is sampled on ellipses of its own, at radii in equal ratios: nodes with weights, of which flux, center of light and the light
inside any circle are sums.
"""

from __future__ import annotations

from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np

from pipelines.lens.columns import GaussianBasis
from pipelines.lens.linear import lights_of

del _backend

SMALLEST, LARGEST, N_RADII, N_ANGLES = 1e-6, 20.0, 161, 16
"""Radii of the nodes, on the intermediate axis in arcsec; the trapezoidal rule in their logarithm is exact to 1e-9 for a Gaussian."""
BISECTIONS = 40
_LOG = np.linspace(np.log(SMALLEST), np.log(LARGEST), N_RADII)
_STEP = _LOG[1] - _LOG[0]


def _nodes(light: Any, amplitudes: Any) -> tuple[Any, Any, Any]:
    """Positions in arcsec and weights (surface brightness times area) of one profile's nodes, shape (radii, angles)."""
    angle = np.arange(N_ANGLES) * (2.0 * np.pi / N_ANGLES)
    radius = np.exp(_LOG)[:, None]
    e_1, e_2 = getattr(light, "ellipticity_1", 0.0), getattr(light, "ellipticity_2", 0.0)
    # the inverse of w = z - eps conj(z) over sqrt(1 - |eps|^2): an area-preserving map of circles to ellipses
    root = jnp.sqrt(1.0 - e_1**2 - e_2**2)
    w_x, w_y = radius * np.cos(angle), radius * np.sin(angle)
    x = light.center_x + ((1.0 + e_1) * w_x + e_2 * w_y) / root
    y = light.center_y + ((1.0 - e_1) * w_y + e_2 * w_x) / root
    if isinstance(light, GaussianBasis):
        value = jnp.exp(-0.5 * (radius / light.sigmas) ** 2) @ amplitudes
        value = jnp.broadcast_to(value[:, None], x.shape)
    else:
        value = light.surface_brightness(x, y)
    return x, y, value * radius**2 * (_STEP * 2.0 * np.pi / N_ANGLES)


def flux_and_half_light_radius(source: Any, amplitudes: Any) -> tuple[Any, Any]:
    """Integral of a source's surface brightness over the source plane, and the radius of the circle with half of it.

    Parameters
    ----------
    source : a light profile, or a dict of them.
    amplitudes : of its Gaussians, in order.

    Returns
    -------
    The integral, in the unit of surface brightness times arcsec^2, and the radius in arcsec around the center of light; NaN without light.
    """
    parts = []
    for light in lights_of(source):
        n = light.n if isinstance(light, GaussianBasis) else 0
        parts.append(_nodes(light, amplitudes[:n]))
        amplitudes = amplitudes[n:]
    x, y, weight = (jnp.stack(column) for column in zip(*parts, strict=True))
    flux = jnp.sum(weight)
    total = jnp.where(flux > 0.0, flux, 1.0)
    mean_x, mean_y = jnp.sum(weight * x) / total, jnp.sum(weight * y) / total
    log_distance = 0.5 * jnp.log((x - mean_x) ** 2 + (y - mean_y) ** 2 + SMALLEST**4)

    def step(_: int, bracket: tuple[Any, Any]) -> tuple[Any, Any]:
        low, high = bracket
        middle = 0.5 * (low + high)
        # a node stands for a ring as wide as the step between radii
        inside = jnp.sum(weight * jnp.clip((middle - log_distance) / _STEP + 0.5, 0.0, 1.0)) < 0.5 * flux
        return jnp.where(inside, middle, low), jnp.where(inside, high, middle)

    low, high = jax.lax.fori_loop(0, BISECTIONS, step, (jnp.asarray(_LOG[0]), jnp.asarray(_LOG[-1])))
    return flux, jnp.where(flux > 0.0, jnp.exp(0.5 * (low + high)), jnp.nan)
