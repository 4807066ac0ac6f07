"""Light profiles: surface brightness. Pure functions of position and parameters; intensities in the image's unit per pixel."""

from __future__ import annotations

from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax.numpy as jnp
import numpy as np
from numpy.polynomial.chebyshev import cheb2poly, chebinterpolate
from scipy.special import gammaincinv

from fitcore.model import Leaf, component, leaf
from pipelines.lens.geometry import SOFTENING_SQUARED, array_module, ellipse_vector

del _backend


LEAST_INDEX = 0.36
_TERMS = 22


def _of_inverse_index(u: Any) -> Any:
    """b_n - 2n + 1/3 as a function of u in (-1, 1), where 1/n = (1 + u) / (2 LEAST_INDEX)."""
    n = 2.0 * LEAST_INDEX / (1.0 + np.asarray(u))
    return gammaincinv(2.0 * n, 0.5) - 2.0 * n + 1.0 / 3.0


_COEFFICIENTS = cheb2poly(chebinterpolate(_of_inverse_index, _TERMS - 1))


def sersic_b(n: Any) -> Any:
    """b_n such that the effective radius holds half the light: P(2n, b_n) = 1/2, for n of at least 0.36.

    Under JAX by the polynomial in 1/n through 22 values, good to 1e-15: there the incomplete gamma function is a loop of many small steps.
    """
    if array_module(n) is np:
        return gammaincinv(2.0 * n, 0.5)
    u = 2.0 * LEAST_INDEX / n - 1.0
    total = jnp.zeros_like(u)
    for coefficient in _COEFFICIENTS[::-1]:
        total = total * u + float(coefficient)
    return 2.0 * n - 1.0 / 3.0 + total


@component
class Sersic:
    """I = intensity exp(-b_n [(R / effective_radius)^(1/n) - 1]), R on the intermediate axis; lengths in arcsec."""

    center_x: Leaf
    center_y: Leaf
    ellipticity_1: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    ellipticity_2: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    intensity: Leaf
    effective_radius: Leaf = leaf(lower=0.0)
    sersic_index: Leaf = leaf(lower=LEAST_INDEX)

    def surface_brightness(self, x: Any, y: Any) -> Any:
        """Surface brightness at positions in arcsec; shape of ``x``."""
        w_x, w_y = ellipse_vector(x - self.center_x, y - self.center_y, self.ellipticity_1, self.ellipticity_2)
        xp = array_module(w_x, self.effective_radius, self.sersic_index)
        # nothing but logarithm and exponentials for a pixel: XLA does several of them at a time, a power or a quotient it does not
        unit = 1.0 / xp.asarray((1.0 - self.ellipticity_1**2 - self.ellipticity_2**2) * self.effective_radius**2)
        power = xp.exp(0.5 / self.sersic_index * xp.log((w_x * w_x + w_y * w_y + SOFTENING_SQUARED) * unit))
        return self.intensity * xp.exp(-sersic_b(self.sersic_index) * (power - 1.0))


@component
class Gaussian:
    """I = intensity exp(-R^2 / (2 sigma^2)), sigma on the intermediate axis; lengths in arcsec."""

    center_x: Leaf
    center_y: Leaf
    ellipticity_1: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    ellipticity_2: Leaf = leaf(lower=-1.0, upper=1.0, open_lower=True, open_upper=True)
    intensity: Leaf
    sigma: Leaf = leaf(lower=0.0, open_lower=True)

    def surface_brightness(self, x: Any, y: Any) -> Any:
        """Surface brightness at positions in arcsec; shape of ``x``."""
        w_x, w_y = ellipse_vector(x - self.center_x, y - self.center_y, self.ellipticity_1, self.ellipticity_2)
        square = (w_x * w_x + w_y * w_y) / (1.0 - self.ellipticity_1**2 - self.ellipticity_2**2)
        xp = array_module(square, self.sigma)
        return self.intensity * xp.exp(-0.5 * square / self.sigma**2)
