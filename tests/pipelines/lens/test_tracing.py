"""Rays through several masses: the sum of their deflections, and series that are cut no earlier than their ellipticity allows."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore import backend as _backend  # noqa: F401  # isort: skip

import jax
import jax.numpy as jnp

from pipelines.lens.mass import Isothermal, PowerLaw, Shear, Sheet
from pipelines.lens.tracing import ELLIPTICITY_STEPS, deflection, ray_trace, total_deflection

X, Y = np.random.default_rng(0).uniform(-2.0, 2.0, (2, 50))
traced = jax.jit(deflection)


def power_law(size: float, slope: float = 2.2) -> PowerLaw:
    angle = 0.9
    return PowerLaw(
        center_x=0.1,
        center_y=-0.2,
        ellipticity_1=size * np.cos(angle),
        ellipticity_2=size * np.sin(angle),
        einstein_radius=1.3,
        slope=slope,
    )


@pytest.mark.parametrize("slope", [1.3, 2.0, 2.7])
@pytest.mark.parametrize("size", sorted({0.0, 0.03, 0.83, *ELLIPTICITY_STEPS, *(step + 1e-9 for step in ELLIPTICITY_STEPS)}))
def test_the_series_is_long_enough_for_every_ellipticity(size: float, slope: float) -> None:
    """On both sides of each step, against the whole series."""
    mass = power_law(size, slope)
    whole = np.array(mass.deflection(X, Y))
    wrong = np.hypot(*(np.array(traced(mass, X, Y)) - whole)) / np.hypot(*whole)
    assert np.max(wrong) < 1e-8


def test_numpy_takes_the_whole_series() -> None:
    for size in (0.05, 0.6):
        assert np.array_equal(np.array(deflection(power_law(size), X, Y)), np.array(power_law(size).deflection(X, Y)))


@pytest.mark.parametrize("xp", [np, jnp])
def test_deflections_add_up(xp: Any) -> None:
    isothermal = Isothermal(center_x=0.3, center_y=0.1, ellipticity_1=0.1, ellipticity_2=0.0, einstein_radius=0.4)
    masses = [power_law(0.05), isothermal, Shear(gamma_1=0.05, gamma_2=-0.02), Sheet(center_x=0.2, center_y=0.0, convergence_0=0.1)]
    expected = np.sum([mass.deflection(X, Y) for mass in masses], axis=0)
    x, y = xp.asarray(X), xp.asarray(Y)
    assert np.array(total_deflection(masses, x, y)) == pytest.approx(expected, rel=1e-8, abs=1e-9)
    assert np.array(ray_trace(masses, x, y)) == pytest.approx(np.stack([X, Y]) - expected, rel=1e-8, abs=1e-8)


def test_batches_of_masses_choose_each_their_own() -> None:
    """Under vmap too, where all lengths are computed and one is taken."""
    sizes = (0.02, 0.3, 0.9)
    batch = jax.tree_util.tree_map(lambda *values: jnp.array(values), *(power_law(size) for size in sizes))
    together = jax.jit(jax.vmap(deflection, (0, None, None)))(batch, X, Y)
    for i, size in enumerate(sizes):
        expected = np.array(power_law(size).deflection(X, Y))
        assert np.array([part[i] for part in together]) == pytest.approx(expected, abs=1e-8)  # ten times where the series is cut
