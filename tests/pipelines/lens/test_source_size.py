"""Flux and half-light radius of sources, against closed forms and against sums over a fine grid."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore import backend as _backend  # noqa: F401  # isort: skip

import jax
import jax.numpy as jnp

from pipelines.lens.columns import GaussianBasis
from pipelines.lens.light import Gaussian, Sersic
from pipelines.lens.source_size import flux_and_half_light_radius

_found = jax.jit(flux_and_half_light_radius)


def basis(x: float = 0.1, y: float = -0.05, e: tuple[float, float] = (0.0, 0.0), n: int = 6) -> GaussianBasis:
    return GaussianBasis(center_x=x, center_y=y, ellipticity_1=e[0], ellipticity_2=e[1], sigma_max=0.35, n=n)


def by_grid(source: Any, amplitudes: np.ndarray, half: float = 3.5, n: int = 1801) -> tuple[float, float]:
    """Sums over pixels: the flux, and the radius at which the sorted pixels have reached half of it."""
    axis = (np.arange(n) - n // 2) * (2 * half / n)
    x, y = np.meshgrid(axis, axis)
    image, left = np.zeros_like(x), list(amplitudes)
    for light in source.values():
        if isinstance(light, GaussianBasis):
            square = np.asarray(light.radius_squared(x, y))
            for sigma in light.sigmas:
                image += left.pop(0) * np.exp(-0.5 * square / sigma**2)
        else:
            image += light.surface_brightness(x, y)
    middle = [np.sum(image * part) / image.sum() for part in (x, y)]
    distance = np.hypot(x - middle[0], y - middle[1]).ravel()
    order = np.argsort(distance)
    running = np.cumsum(image.ravel()[order])
    return float(running[-1] * (2 * half / n) ** 2), float(np.interp(0.5 * running[-1], running, distance[order]))


def test_one_gaussian_in_closed_form() -> None:
    """Flux 2 pi sigma^2 I; half of it within sigma sqrt(2 ln 2)."""
    flux, radius = _found({"main": basis(n=1)}, jnp.array([3.0]))
    assert float(flux) == pytest.approx(2 * np.pi * 0.35**2 * 3.0, rel=1e-9)
    assert float(radius) == pytest.approx(0.35 * np.sqrt(2 * np.log(2)), rel=1e-3)


def test_a_sersic_profile_has_half_its_light_within_its_effective_radius() -> None:
    source = Sersic(
        center_x=0.0, center_y=0.0, ellipticity_1=0.0, ellipticity_2=0.0, intensity=2.0, effective_radius=0.12, sersic_index=1.5
    )
    assert float(_found(source, jnp.zeros(0))[1]) == pytest.approx(0.12, rel=2e-3)


AMPLITUDES = np.array([1.0, 0.0, 5.0, 2.0, 0.0, 30.0])
SOURCES = {
    "flat": ({"main": basis(e=(0.3, -0.2))}, AMPLITUDES),
    "two": ({"main": basis(), "second": basis(0.35, 0.3, (0.2, 0.1), 4)}, np.append(AMPLITUDES, [0.0, 0.0, 0.0, 40.0])),
    "mixed": (
        {"main": basis(), "spot": Gaussian(center_x=-0.3, center_y=0.0, ellipticity_1=0.1, ellipticity_2=0.0, intensity=20.0, sigma=0.06)},
        AMPLITUDES,
    ),
}


@pytest.mark.parametrize(("source", "amplitudes"), SOURCES.values(), ids=SOURCES)
def test_against_a_grid(source: Any, amplitudes: np.ndarray) -> None:
    flux, radius = _found(source, jnp.asarray(amplitudes))
    expected = by_grid(source, amplitudes)
    assert float(flux) == pytest.approx(expected[0], rel=1e-5)
    assert float(radius) == pytest.approx(expected[1], rel=5e-3)


def test_no_light_has_no_radius() -> None:
    flux, radius = _found({"main": basis()}, jnp.zeros(6))
    assert float(flux) == 0.0
    assert np.isnan(radius)
