"""`GaussianBasis`: light as a sum of concentric Gaussians of one shape whose amplitudes are linear, and the images of its members.

The widths go down by sqrt 2, so each Gaussian is the square of the one before: one exponential serves them all.
"""

from __future__ import annotations

import math
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np

from fitcore.model import Leaf, component, leaf
from pipelines.lens.geometry import ellipse_vector

del _backend


@component
class GaussianBasis:
    """``n`` Gaussians of widths sigma_max / sqrt(2)^k on the intermediate axis; lengths in arcsec. Amplitudes are solved, not sampled.

    The center lies ``offset_x``, ``offset_y`` from ``center_x``, ``center_y``: tied to another set's center, the two move together.
    """

    center_x: Leaf
    center_y: Leaf
    ellipticity_1: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    ellipticity_2: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    sigma_max: float
    n: int
    offset_x: Leaf = 0.0
    offset_y: Leaf = 0.0

    def radius_squared(self, x: Any, y: Any) -> Any:
        """Elliptical radius squared at positions in arcsec; shape of ``x``."""
        return radius_squared(x - self.center_x - self.offset_x, y - self.center_y - self.offset_y, self.ellipticity_1, self.ellipticity_2)

    @property
    def sigmas(self) -> np.ndarray:
        """Widths in arcsec, shape (n,)."""
        return self.sigma_max / math.sqrt(2.0) ** np.arange(self.n)


def radius_squared(x: Any, y: Any, ellipticity_1: Any, ellipticity_2: Any) -> Any:
    """q x'^2 + y'^2 / q at offsets from the center."""
    w_x, w_y = ellipse_vector(x, y, ellipticity_1, ellipticity_2)
    return (w_x * w_x + w_y * w_y) / (1.0 - ellipticity_1**2 - ellipticity_2**2)


def images(square: Any, sigma_max: float, n: int) -> Any:
    """Images of the ``n`` members, from the radius squared on sub-pixels.

    Parameters
    ----------
    square : shape (sub-pixels, ...), of any positions.

    Returns
    -------
    Means over the sub-pixels, shape (n, ...).
    """
    first = jnp.exp(square * (-0.5 / sigma_max**2))

    def next_member(member: Any, _: None) -> tuple[Any, Any]:
        return member * member, sub_pixel_mean(member)

    return jax.lax.scan(next_member, first, None, length=n)[1]


def slope_image(square: Any, amplitudes: Any, sigma_max: float) -> Any:
    """Derivative of the summed light with respect to the radius squared, on sub-pixels; ``amplitudes`` has shape (n,)."""
    first = jnp.exp(square * (-0.5 / sigma_max**2))
    rate = jnp.asarray(-0.5 / sigma_max**2, dtype=square.dtype)

    def add(state: tuple[Any, Any, Any], amplitude: Any) -> tuple[tuple[Any, Any, Any], None]:
        member, own_rate, total = state
        return (member * member, 2.0 * own_rate, total + (amplitude * own_rate) * member), None

    return jax.lax.scan(add, (first, rate, jnp.zeros_like(square)), amplitudes)[0][2]


def sub_pixel_mean(values: Any) -> Any:
    """Mean over the leading axis, or of a list of pictures, as an explicit sum: XLA does not vectorize the reduction on a CPU."""
    total = values[0]
    for i in range(1, len(values)):
        total = total + values[i]
    return total / len(values)
