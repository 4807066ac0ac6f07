"""Light profiles: total and half light, widths, limits, gradients; NumPy against JAX. Reference values are in test_profile_reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import gammainc, gammaincinv

from fitcore import backend as _backend  # noqa: F401  # isort: skip

import jax
import jax.numpy as jnp

from pipelines.lens.geometry import ellipticity
from pipelines.lens.light import Gaussian, Sersic, sersic_b

E_1, E_2 = ellipticity(0.6, 0.7)


def sersic(**changes: Any) -> Sersic:
    fields = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": E_1, "ellipticity_2": E_2}
    return Sersic(**{**fields, "intensity": 1.4, "effective_radius": 0.8, "sersic_index": 2.5, **changes})


def gaussian(**changes: Any) -> Gaussian:
    fields = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": E_1, "ellipticity_2": E_2}
    return Gaussian(**{**fields, "intensity": 1.4, "sigma": 0.3, **changes})


@pytest.mark.parametrize("n", [0.36, 0.5, 0.8, 1.0, 2.0, 4.0, 6.0, 10.0])
def test_b_encloses_half_the_light(n: float) -> None:
    assert gammainc(2 * n, sersic_b(n)) == pytest.approx(0.5, rel=1e-13)
    assert float(jax.jit(sersic_b)(n)) == pytest.approx(gammaincinv(2 * n, 0.5), rel=1e-12)


def test_b_under_jax_has_the_right_slope() -> None:
    h = 1e-5
    for n in (0.8, 1.0, 4.0):
        expected = (gammaincinv(2 * (n + h), 0.5) - gammaincinv(2 * (n - h), 0.5)) / (2 * h)
        assert float(jax.grad(sersic_b)(n)) == pytest.approx(expected, rel=1e-7)


def test_sersic_at_its_effective_radius_and_outside() -> None:
    galaxy = sersic()
    c, s = np.cos(0.7), np.sin(0.7)
    on_major, on_minor = 0.8 / np.sqrt(0.6), 0.8 * np.sqrt(0.6)
    x, y = 0.1 + np.array([on_major * c, -on_minor * s]), -0.2 + np.array([on_major * s, on_minor * c])
    assert galaxy.surface_brightness(x, y) == pytest.approx([1.4, 1.4], rel=1e-13)


def test_sersic_of_index_one_half_is_a_gaussian() -> None:
    """b = ln 2, so sigma = R_e / sqrt(2 ln 2), and the center is twice as bright as R_e."""
    x, y = np.meshgrid(np.linspace(-1, 1, 9), np.linspace(-1, 1, 7))
    twin = gaussian(intensity=2.8, sigma=0.8 / np.sqrt(2 * np.log(2)))
    assert sersic(sersic_index=0.5).surface_brightness(x, y) == pytest.approx(twin.surface_brightness(x, y), rel=1e-12)


def test_gaussian_holds_two_pi_sigma_squared() -> None:
    """The ellipse keeps the area, so the sum does not depend on the axis ratio."""
    axis = np.arange(-4, 4, 0.05)
    x, y = np.meshgrid(axis, axis)
    for q in (1.0, 0.6, 0.3):
        e_1, e_2 = ellipticity(q, 0.7)
        total = gaussian(ellipticity_1=e_1, ellipticity_2=e_2).surface_brightness(x, y).sum() * 0.05**2
        assert total == pytest.approx(2 * np.pi * 0.3**2 * 1.4, rel=1e-9)


@pytest.mark.parametrize("profile", [sersic(), gaussian()])
def test_shapes_are_kept(profile: Any) -> None:
    assert np.shape(profile.surface_brightness(0.3, 0.2)) == ()
    assert profile.surface_brightness(np.ones(3), np.ones(3)).shape == (3,)
    assert profile.surface_brightness(np.ones((2, 3, 4)), np.ones((2, 3, 4))).shape == (2, 3, 4)
    assert jax.jit(profile.surface_brightness)(jnp.ones((2, 3)), jnp.ones((2, 3))).shape == (2, 3)


@pytest.mark.parametrize("profile", [sersic(), gaussian()])
def test_numpy_and_jax_agree(profile: Any) -> None:
    x, y = np.random.default_rng(1).uniform(-2, 2, (2, 50))
    plain, traced = profile.surface_brightness(x, y), jax.jit(lambda p: p.surface_brightness(x, y))(profile)
    assert isinstance(plain, np.ndarray)
    assert np.asarray(traced) == pytest.approx(plain, rel=1e-12)


@pytest.mark.parametrize("make", [sersic, gaussian])
def test_any_single_parameter_may_be_traced(make: Any) -> None:
    """In a model most leaves are constants; whichever is free must reach JAX, on NumPy coordinates too."""
    x = np.linspace(-1, 1, 5)
    names = list(make().__dataclass_fields__)
    values = {name: float(getattr(make(), name)) for name in names}
    gradient = jax.jit(jax.grad(lambda v: make(**v).surface_brightness(x, x).sum()))(values)
    for name, value in values.items():
        assert jax.eval_shape(lambda v, name=name: make(**{name: v}).surface_brightness(x, x), value).shape == (5,)
        h = 1e-6
        up, down = (make(**{name: value + d}).surface_brightness(x, x).sum() for d in (h, -h))
        assert float(gradient[name]) == pytest.approx((up - down) / (2 * h), rel=1e-5, abs=1e-7), name


@pytest.mark.parametrize("make", [sersic, gaussian])
@pytest.mark.parametrize("e", [(0.0, 0.0), (0.2, -0.1)])
def test_gradients_are_finite_at_the_center_and_for_a_circle(make: Any, e: tuple[float, float]) -> None:
    profile = make(ellipticity_1=e[0], ellipticity_2=e[1])
    values = {name: float(getattr(profile, name)) for name in profile.__dataclass_fields__}
    gradient = jax.grad(lambda v: make(**v).surface_brightness(jnp.array([0.1]), jnp.array([-0.2]))[0])(values)
    assert all(np.isfinite(value) for value in gradient.values()), gradient
    assert np.isfinite(profile.surface_brightness(0.1, -0.2))
