"""Mass profiles: the identities that tie deflection, convergence and potential; closed forms; limits; gradients; NumPy against JAX."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore import backend as _backend  # noqa: F401  # isort: skip

import jax
import jax.numpy as jnp

from fitcore.errors import ModelError
from fitcore.model import Model, Uniform
from pipelines.lens.geometry import ellipticity
from pipelines.lens.mass import (
    DEFAULT_TERMS,
    NFW,
    CoredPowerLaw,
    GaussianMass,
    Isothermal,
    PowerLaw,
    Shear,
    Sheet,
    power_law_deflection,
    terms_needed,
)

X = np.array([0.9, -1.4, 0.02, 2.6, 0.1, -0.3])
Y = np.array([0.3, 0.7, -0.6, -2.0, 1.9, -0.21])


def power_law(q: float = 0.7, phi: float = 0.6, **changes: Any) -> PowerLaw:
    e_1, e_2 = ellipticity(q, phi)
    fields = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": e_1, "ellipticity_2": e_2, "einstein_radius": 1.3, "slope": 2.1}
    return PowerLaw(**{**fields, **changes})


def isothermal(q: float = 0.7, phi: float = 0.6, **changes: Any) -> Isothermal:
    e_1, e_2 = ellipticity(q, phi)
    fields = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": e_1, "ellipticity_2": e_2, "einstein_radius": 1.3}
    return Isothermal(**{**fields, **changes})


PROFILES = {
    "power law": power_law(),
    "shallow": power_law(0.5, slope=1.4),
    "steep": power_law(0.8, -1.2, slope=2.7),
    "round": power_law(1.0),
    "slope 2": power_law(slope=2.0),
    "flat": power_law(0.1),
    "isothermal": isothermal(),
    "shear": Shear(gamma_1=0.05, gamma_2=-0.08),
    "sheet": Sheet(center_x=0.1, center_y=0.3, convergence_0=0.2),
    "cored": CoredPowerLaw(
        center_x=0.1, center_y=-0.2, ellipticity_1=0.2, ellipticity_2=0.1, einstein_radius=1.2, slope=2.2, core_radius=0.1
    ),
    "cored, round": CoredPowerLaw(
        center_x=0.1, center_y=-0.2, ellipticity_1=0.0, ellipticity_2=0.0, einstein_radius=1.2, slope=2.0, core_radius=0.3
    ),
    "gaussian": GaussianMass(center_x=0.1, center_y=-0.2, ellipticity_1=-0.3, ellipticity_2=0.1, convergence_0=0.8, sigma=0.6),
    "halo": NFW(center_x=0.1, center_y=-0.2, ellipticity_1=0.2, ellipticity_2=0.1, kappa_s=0.3, scale_radius=4.0),
}


@pytest.fixture(params=PROFILES.values(), ids=PROFILES)
def profile(request: pytest.FixtureRequest) -> Any:
    return request.param


def test_convergence_is_half_the_divergence_and_there_is_no_curl(profile: Any) -> None:
    def matrix(x: Any, y: Any) -> Any:
        return jax.jacfwd(lambda v: jnp.stack(profile.deflection(v[0], v[1])))(jnp.stack([x, y]))

    m = np.asarray(jax.jit(jax.vmap(matrix))(X, Y))
    assert 0.5 * (m[:, 0, 0] + m[:, 1, 1]) == pytest.approx(profile.convergence(X, Y), rel=1e-9, abs=1e-12)
    assert m[:, 0, 1] == pytest.approx(m[:, 1, 0], rel=1e-9, abs=1e-10)


def test_deflection_is_the_gradient_of_the_potential(profile: Any) -> None:
    gradient = jax.jit(jax.vmap(jax.grad(profile.potential, argnums=(0, 1))))(X, Y)
    for got, expected in zip(gradient, profile.deflection(X, Y), strict=True):
        assert np.asarray(got) == pytest.approx(np.asarray(expected), rel=1e-9, abs=1e-12)


def test_numpy_and_jax_agree(profile: Any) -> None:
    def everything(p: Any) -> Any:
        return (*p.deflection(X, Y), p.convergence(X, Y), p.potential(X, Y))

    for plain, traced in zip(everything(profile), jax.jit(everything)(profile), strict=True):
        assert isinstance(plain, np.ndarray)
        assert np.asarray(traced) == pytest.approx(plain, rel=1e-12, abs=1e-14)


def test_shapes_are_kept(profile: Any) -> None:
    for shape in ((), (1,), (2, 3), (4, 1, 2)):
        x, y = np.full(shape, 0.4)[()], np.full(shape, -0.7)[()]
        parts = (*profile.deflection(x, y), profile.convergence(x, y), profile.potential(x, y))
        assert [np.shape(part) for part in parts] == [shape] * 4
    assert [np.shape(part) for part in profile.deflection(1, 2)] == [(), ()]


def test_any_single_parameter_may_be_traced(profile: Any) -> None:
    """In a model most leaves are constants; whichever is free must reach JAX, on NumPy coordinates too."""
    values = {name: float(getattr(profile, name)) for name in profile.__dataclass_fields__}

    def total(parameters: dict[str, Any]) -> Any:
        p = type(profile)(**parameters)
        return sum(part.sum() for part in (*p.deflection(X, Y), p.convergence(X, Y), p.potential(X, Y)))

    gradient = jax.jit(jax.grad(total))(values)
    for name, value in values.items():
        assert jax.eval_shape(lambda v, name=name: total({**values, name: v}), value).shape == ()
        h = 1e-6
        slope = (total({**values, name: value + h}) - total({**values, name: value - h})) / (2 * h)
        assert float(gradient[name]) == pytest.approx(slope, rel=1e-5, abs=1e-6), name


@pytest.mark.parametrize("q", [0.2, 0.5, 0.8, 0.95])
def test_isothermal_ellipse_in_closed_form(q: float) -> None:
    """Kormann, Schneider & Bartelmann 1994 (A&A 284, 285), eq. 27, on the intermediate axis."""
    phi = 0.6
    lens = isothermal(q, phi, center_x=0.0, center_y=0.0)
    c, s = np.cos(phi), np.sin(phi)
    a, b = c * X + s * Y, -s * X + c * Y
    f, m = np.sqrt(1 - q * q), np.sqrt(q * q * a * a + b * b)
    along, across = 1.3 * np.sqrt(q) / f * np.arctan(f * a / m), 1.3 * np.sqrt(q) / f * np.arctanh(f * b / m)
    alpha_x, alpha_y = lens.deflection(X, Y)
    assert alpha_x == pytest.approx(c * along - s * across, rel=1e-11)
    assert alpha_y == pytest.approx(s * along + c * across, rel=1e-11)
    assert lens.convergence(X, Y) == pytest.approx(0.5 * 1.3 * np.sqrt(q) / m, rel=1e-13)
    assert lens.potential(X, Y) == pytest.approx(a * along + b * across, rel=1e-11)


def test_slope_two_is_isothermal() -> None:
    for q in (1.0, 0.6):
        assert np.array(power_law(q, slope=2.0).deflection(X, Y)) == pytest.approx(np.array(isothermal(q).deflection(X, Y)), rel=1e-15)
    near = np.array(power_law(slope=2.0 + 1e-9).deflection(X, Y))
    assert near == pytest.approx(np.array(isothermal().deflection(X, Y)), rel=1e-7)


@pytest.mark.parametrize("slope", [1.3, 2.0, 2.6])
def test_round_power_law_in_closed_form(slope: float) -> None:
    lens = power_law(1.0, slope=slope)
    a, b = X - 0.1, Y + 0.2
    r = np.hypot(a, b)
    size = 1.3 * (1.3 / r) ** (slope - 2.0)
    assert np.array(lens.deflection(X, Y)) == pytest.approx(np.array([size * a / r, size * b / r]), rel=1e-13)
    assert lens.potential(X, Y) == pytest.approx(size * r / (3.0 - slope), rel=1e-13)
    nearly = np.array(power_law(1.0 - 1e-9, slope=slope).deflection(X, Y))
    assert nearly == pytest.approx(np.array(lens.deflection(X, Y)), abs=1e-8)


def test_mass_within_the_einstein_ellipse_is_its_area() -> None:
    """The mean convergence within R = einstein_radius is one, whatever the axis ratio: by Gauss's law along a circle around it."""
    angle = np.arange(4096) * 2 * np.pi / 4096
    for q in (1.0, 0.7, 0.4):
        lens = power_law(q, phi=0.0, center_x=0.0, center_y=0.0)
        # flux of alpha through the ellipse R = theta_E: x = theta_E / sqrt(q) cos, y = theta_E sqrt(q) sin
        x, y = 1.3 / np.sqrt(q) * np.cos(angle), 1.3 * np.sqrt(q) * np.sin(angle)
        alpha_x, alpha_y = lens.deflection(x, y)
        flux = np.mean(alpha_x * 1.3 * np.sqrt(q) * np.cos(angle) + alpha_y * 1.3 / np.sqrt(q) * np.sin(angle)) * 2 * np.pi
        assert flux == pytest.approx(2 * np.pi * 1.3**2, rel=1e-10)


def test_flat_ellipses_are_accurate_with_and_without_jax() -> None:
    """q = 0.1 against a series of 1000 terms."""
    for slope in (1.5, 2.0, 2.5):
        lens = power_law(0.1, slope=slope)
        exact = np.array(lens.deflection(X, Y, 1000))
        assert np.array(lens.deflection(X, Y)) == pytest.approx(exact, rel=1e-12)
        traced = jax.jit(lambda p: p.deflection(X, Y))(lens)
        assert np.array(traced) == pytest.approx(exact, rel=1e-11)


def test_terms_needed() -> None:
    assert terms_needed(0.0) == terms_needed(-1.0) == 1
    assert terms_needed(0.1, 1.1e-6) == 6
    assert terms_needed(0.1, 0.9e-6) == 7
    assert terms_needed(9 / 11) <= DEFAULT_TERMS
    assert terms_needed(1.0) == 4000
    exact = np.array(power_law(0.5).deflection(X, Y, 500))
    for tolerance in (1e-4, 1e-8):
        cut = np.array(power_law(0.5).deflection(X, Y, terms_needed(1 / 3, tolerance)))
        assert cut == pytest.approx(exact, rel=3 * tolerance)
        assert cut != pytest.approx(exact, rel=1e-5 * tolerance)


def test_a_long_series_under_jax_is_the_unrolled_one() -> None:
    shape = {"ellipticity_1": 0.1, "ellipticity_2": 0.05, "einstein_radius": 1.3, "slope": 1.9}
    short = power_law_deflection(jnp.asarray(X), jnp.asarray(Y), **shape, n_terms=30)
    long = power_law_deflection(jnp.asarray(X), jnp.asarray(Y), **shape, n_terms=60)
    assert np.array(long) == pytest.approx(np.array(short), rel=1e-12)


@pytest.mark.parametrize("slope", [1.4, 2.0, 2.4])
@pytest.mark.parametrize("e", [(0.0, 0.0), (0.2, -0.1)])
@pytest.mark.parametrize("at", [(0.1, -0.2), (0.8, 0.4)])
def test_gradients_are_finite_for_a_circle_at_the_center_and_at_slope_two(
    slope: float, e: tuple[float, float], at: tuple[float, float]
) -> None:
    values = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": e[0], "ellipticity_2": e[1], "einstein_radius": 1.3, "slope": slope}

    def total(parameters: dict[str, Any]) -> Any:
        lens = PowerLaw(**parameters)
        return sum(lens.deflection(*map(jnp.asarray, at))) + lens.potential(*map(jnp.asarray, at))

    gradient = jax.grad(total)(values)
    assert all(np.isfinite(value) for value in gradient.values()), gradient


def test_center_is_finite() -> None:
    for lens in (power_law(slope=1.5), power_law(slope=2.5), isothermal()):
        assert np.array(lens.deflection(0.1, -0.2)) == pytest.approx(np.zeros(2), abs=1e-12)
        assert lens.potential(0.1, -0.2) == 0.0
        assert np.isfinite(lens.convergence(0.1, -0.2))


@pytest.mark.parametrize("slope", [1.4, 2.0, 2.6])
def test_no_radius_is_no_mass(slope: float) -> None:
    lens = power_law(slope=slope, einstein_radius=0.0)
    assert np.all(np.array(lens.deflection(X, Y)) == 0.0)
    assert np.all(lens.convergence(X, Y) == 0.0)
    traced = jax.jit(lambda radius: power_law(slope=slope, einstein_radius=radius).deflection(X, Y))(0.0)
    assert np.all(np.array(traced) == 0.0)


def test_signs_of_the_shear() -> None:
    """A positive gamma_1 stretches images along x: deflection away from the origin there, towards it on y."""
    assert Shear(gamma_1=0.1, gamma_2=0.0).deflection(2.0, 3.0) == (pytest.approx(0.2), pytest.approx(-0.3))
    assert Shear(gamma_1=0.0, gamma_2=0.1).deflection(2.0, 3.0) == (pytest.approx(0.3), pytest.approx(0.2))
    assert np.all(Shear(gamma_1=0.3, gamma_2=0.1).convergence(X, Y) == 0.0)


def test_priors_outside_the_domain_are_refused() -> None:
    with pytest.raises(ModelError, match="slope"):
        Model({"mass": power_law(slope=Uniform(0.5, 2.5))})
    with pytest.raises(ModelError, match="ellipticity_1"):
        Model({"mass": isothermal(ellipticity_1=1.0)})


def test_a_core_that_vanishes_leaves_the_power_law() -> None:
    """But for the mass that the core takes, of the share (core / r)^(3 - slope)."""
    for slope in (1.6, 2.0, 2.4):
        plain = power_law(0.6, slope=slope)
        cored = CoredPowerLaw(**{name: getattr(plain, name) for name in plain.__dataclass_fields__}, core_radius=1e-5)
        away = np.array(cored.deflection(X, Y)) - np.array(plain.deflection(X, Y))
        share = np.hypot(*away) / np.hypot(*plain.deflection(X, Y)) / (1e-5 / np.hypot(X - 0.1, Y + 0.2)) ** (3 - slope)
        assert np.all((share > 0.5) & (share < 2.0))
        assert cored.convergence(X, Y) == pytest.approx(plain.convergence(X, Y), rel=1e-8)


def test_round_cored_isothermal_and_gaussian_in_closed_form() -> None:
    """alpha r = 2 int kappa r dr: theta_E (sqrt(r^2 + c^2) - c), and 2 kappa_0 sigma^2 (1 - exp(-r^2 / 2 sigma^2))."""
    shape = {"center_x": 0.0, "center_y": 0.0, "ellipticity_1": 0.0, "ellipticity_2": 0.0}
    r = np.hypot(X, Y)
    cored = CoredPowerLaw(**shape, einstein_radius=1.2, slope=2.0, core_radius=0.3)
    gaussian = GaussianMass(**shape, convergence_0=0.8, sigma=0.6)
    for lens, flux in ((cored, 1.2 * (np.sqrt(r**2 + 0.09) - 0.3)), (gaussian, 2 * 0.8 * 0.36 * (1 - np.exp(-0.5 * r**2 / 0.36)))):
        assert np.array(lens.deflection(X, Y)) == pytest.approx(np.array([flux * X, flux * Y]) / r**2, rel=1e-12)
