"""Rays through several masses, with no more terms of a power law's series than its ellipticity needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np

from fitcore.evaluation import compiled
from pipelines.lens.geometry import array_module
from pipelines.lens.mass import Isothermal, PowerLaw, terms_needed

del _backend

SERIES_TOLERANCE = 1e-9
ELLIPTICITY_STEPS = (0.1, 0.2, 0.35, 0.5, 0.65, 0.8)
"""The series of a power law is cut where its remainder is 1e-9, for the smallest of these that is above |eps|."""


def deflection(mass: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """Deflection by one mass at positions in arcsec; shape of ``x``. Under JAX the series' length is chosen while running."""
    if not isinstance(mass, PowerLaw | Isothermal) or array_module(x, y, mass.ellipticity_1, mass.einstein_radius) is np:
        return mass.deflection(x, y)
    return _switched(mass, x, y)


@compiled
def _switched(mass: Any, x: Any, y: Any) -> tuple[Any, Any]:
    """A function of its own, since its many branches are then traced once for all functions that it is part of."""
    counts = [*(terms_needed(size, SERIES_TOLERANCE) for size in ELLIPTICITY_STEPS), None]
    size = jnp.sqrt(mass.ellipticity_1**2 + mass.ellipticity_2**2)
    index = jnp.searchsorted(jnp.asarray(ELLIPTICITY_STEPS), size)
    return jax.lax.switch(index, [lambda a, b, n=n: mass.deflection(a, b, n) for n in counts], x, y)


def total_deflection(masses: Sequence[Any], x: Any, y: Any) -> tuple[Any, Any]:
    """Sum of the deflections of several masses at positions in arcsec."""
    parts = [deflection(mass, x, y) for mass in masses]
    return sum(part[0] for part in parts), sum(part[1] for part in parts)


def ray_trace(masses: Sequence[Any], x: Any, y: Any) -> tuple[Any, Any]:
    """Source-plane positions beta = theta - alpha(theta), arcsec."""
    alpha_x, alpha_y = total_deflection(masses, x, y)
    return x - alpha_x, y - alpha_y
