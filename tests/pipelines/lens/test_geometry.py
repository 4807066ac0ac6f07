"""Ellipses: one formula against rotated coordinates, round trips, smoothness where an ellipse is a circle, NumPy against JAX."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcore import backend as _backend  # noqa: F401  # isort: skip

import jax
import jax.numpy as jnp

from pipelines.lens.geometry import array_module, axis_ratio, ellipse_vector, elliptical_radius, ellipticity, position_angle

QS = st.floats(0.05, 1.0)
PHIS = st.floats(-1.57, 1.57)
XS = st.floats(-10.0, 10.0)


@settings(max_examples=60, deadline=None)
@given(x=XS, y=XS, q=QS, phi=PHIS)
def test_radius_is_that_of_the_rotated_ellipse(x: float, y: float, q: float, phi: float) -> None:
    c, s = np.cos(phi), np.sin(phi)
    a, b = c * x + s * y, -s * x + c * y
    assert elliptical_radius(x, y, *ellipticity(q, phi)) == pytest.approx(np.sqrt(q * a * a + b * b / q), rel=1e-9, abs=1e-15)


@settings(max_examples=60, deadline=None)
@given(q=st.floats(0.05, 0.999), phi=PHIS)
def test_axis_ratio_and_angle_come_back(q: float, phi: float) -> None:
    e_1, e_2 = ellipticity(q, phi)
    assert axis_ratio(e_1, e_2) == pytest.approx(q, rel=1e-12)
    assert position_angle(e_1, e_2) == pytest.approx(phi, abs=1e-9)


def test_angle_is_anticlockwise_from_x() -> None:
    """Along the major axis the radius grows slowest."""
    e_1, e_2 = ellipticity(0.5, np.radians(30.0))
    assert (e_1, e_2) == (pytest.approx(1 / 6), pytest.approx(np.sqrt(3) / 6))
    directions = np.radians(np.arange(0, 180))
    radius = elliptical_radius(np.cos(directions), np.sin(directions), e_1, e_2)
    assert np.argmin(radius) == 30
    assert radius.min() == pytest.approx(np.sqrt(0.5))
    assert radius.max() == pytest.approx(np.sqrt(2.0))


def test_angle_has_the_period_of_half_a_turn() -> None:
    assert ellipticity(0.4, 0.3) == pytest.approx(ellipticity(0.4, 0.3 + np.pi), rel=1e-12)
    assert position_angle(0.0, 0.0) == 0.0
    assert axis_ratio(0.0, 0.0) == 1.0


def test_vector_has_the_size_of_the_radius() -> None:
    x, y = np.array([0.3, -1.0, 0.0]), np.array([0.2, 0.7, 0.0])
    w_x, w_y = ellipse_vector(x, y, 0.2, -0.3)
    w = x + 1j * y - (0.2 - 0.3j) * np.conj(x + 1j * y)
    assert w_x + 1j * w_y == pytest.approx(w, rel=1e-14)
    assert elliptical_radius(x, y, 0.2, -0.3) == pytest.approx(np.abs(w) / np.sqrt(1.0 - 0.13), rel=1e-14, abs=1e-29)


@pytest.mark.parametrize("at", [(0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.3, 0.1), (1.0, -0.5, 0.0, 0.0)])
def test_gradient_is_finite_at_the_center_and_for_a_circle(at: tuple[float, ...]) -> None:
    gradient = jax.grad(lambda v: elliptical_radius(*v))(jnp.array(at))
    assert np.all(np.isfinite(gradient))


def test_jax_and_numpy_agree_and_keep_shapes() -> None:
    x = np.random.default_rng(0).standard_normal((3, 4))
    for function in (elliptical_radius, lambda a, b, c, d: ellipse_vector(a, b, c, d)[1]):
        plain, traced = function(x, 2 * x + 1, 0.2, 0.1), jax.jit(function)(x, 2 * x + 1, 0.2, 0.1)
        assert isinstance(plain, np.ndarray)
        assert isinstance(traced, jax.Array)
        assert plain.shape == traced.shape == (3, 4)
        assert plain == pytest.approx(np.asarray(traced), rel=1e-14)
    assert np.shape(elliptical_radius(1.0, 2.0, 0.1, 0.1)) == ()
    assert float(jax.jit(axis_ratio)(0.3, 0.4)) == pytest.approx(1 / 3)


def test_array_module() -> None:
    assert array_module(1.0, np.ones(2)) is np
    assert array_module(1.0, jnp.ones(2)) is jnp
