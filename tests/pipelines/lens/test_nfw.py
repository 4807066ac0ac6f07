"""The NFW integrals: a direct integration of another form, identities, limits, gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import integrate

from fitcore import backend as _backend  # noqa: F401  # isort: skip

import jax
import jax.numpy as jnp

from pipelines.lens.geometry import ellipticity
from pipelines.lens.mass import NFW
from pipelines.lens.nfw import _enclosed, _sloped, _steepness, nfw_convergence, nfw_deflection, nfw_hessian, nfw_potential

FIELDS = ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "kappa_s", "scale_radius")


def halo(q: float = 0.7, phi: float = 0.6, **changes: Any) -> NFW:
    e_1, e_2 = ellipticity(q, phi)
    fields = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": e_1, "ellipticity_2": e_2, "kappa_s": 0.3, "scale_radius": 4.0}
    return NFW(**{**fields, **changes})


def circular_convergence(r: float) -> float:
    """kappa of the round halo with kappa_s = scale_radius = 1, projected along the line of sight: no closed form, no shared code."""

    def along(t: float) -> float:
        return 20 * t**19 * _density(np.hypot(r, t**20 / (1 - t))) * _stretch(t)

    return integrate.quad(along, 0, 1, epsabs=0, epsrel=1e-12, limit=500)[0]


def _density(r: float) -> float:
    return 2.0 / (r * (1.0 + r) ** 2)


def _stretch(t: float) -> float:
    """d(z)/dt over 20 t^19, for z = t^20 / (1 - t): the whole line of sight in 0 < t < 1."""
    return (1.0 + t / (20.0 * (1.0 - t))) / (1.0 - t)


@pytest.mark.parametrize("r", [0.02, 0.3, 0.97, 0.98, 1.0, 1.03, 3.0, 40.0])
def test_convergence_is_the_density_in_projection(r: float) -> None:
    got = nfw_convergence(np.float64(r), np.float64(0.0), ellipticity_1=0.0, ellipticity_2=0.0, kappa_s=1.0, scale_radius=1.0)
    # kappa_s = rho_s r_s / Sigma_cr, and the projection of rho / rho_s along both halves of the line gives twice the half
    assert got == pytest.approx(circular_convergence(r), rel=1e-9)


@pytest.mark.parametrize("r", [1e-4, 0.02, 0.3, 0.999, 1.0, 3.0, 40.0])
def test_round_deflection_is_the_enclosed_mass_over_the_radius(r: float) -> None:
    shape = {"ellipticity_1": 0.0, "ellipticity_2": 0.0, "kappa_s": 1.0, "scale_radius": 1.0}

    def ring(t: float) -> float:
        return 10 * t**9 * 2.0 * t**10 * float(nfw_convergence(np.float64(t**10), np.float64(0.0), **shape))

    expected = integrate.quad(ring, 0, r**0.1, epsabs=0, epsrel=1e-12, limit=400)[0] / r
    alpha_x, alpha_y = nfw_deflection(np.float64(0.6 * r), np.float64(-0.8 * r), **shape)
    assert (alpha_x, alpha_y) == (pytest.approx(0.6 * expected, rel=1e-10), pytest.approx(-0.8 * expected, rel=1e-10))
    assert float(_enclosed(np.float64(r * r))) == pytest.approx(expected * r / 4.0, rel=1e-10)


@pytest.mark.parametrize("q", [1.0, 0.8, 0.5, 0.1])
@pytest.mark.parametrize("r", [1e-4, 0.1, 1.0, 10.0, 300.0])
def test_deflection_of_any_ellipse_and_radius(q: float, r: float) -> None:
    """Against the integral of Schramm 1990 in the principal axes, by adaptive quadrature."""
    phi, x, y = 0.6, r * np.cos(1.3), r * np.sin(1.3)
    a, b = np.cos(phi) * x + np.sin(phi) * y, -np.sin(phi) * x + np.cos(phi) * y

    def integrand(t: float, power: int) -> float:
        u = t**12
        flat = 1.0 - (1.0 - q * q) * u
        kappa = 2.0 * float(_sloped(np.float64(u * (a * a + b * b / flat))))
        return 12.0 * t**11 * kappa / flat ** (power + 0.5)

    first, second = (q * c * integrate.quad(integrand, 0, 1, args=(n,), epsabs=0, epsrel=1e-12, limit=600)[0] for n, c in ((0, a), (1, b)))
    e_1, e_2 = ellipticity(q, phi)
    got = nfw_deflection(np.float64(x), np.float64(y), ellipticity_1=e_1, ellipticity_2=e_2, kappa_s=1.0, scale_radius=1.0)
    expected = np.cos(phi) * first - np.sin(phi) * second, np.sin(phi) * first + np.cos(phi) * second
    assert np.hypot(got[0] - expected[0], got[1] - expected[1]) < 1e-9 * np.hypot(*expected)


POSITIONS = jnp.array([(0.8, 0.3), (-2.0, 1.0), (0.1, 3.7), (9.0, -6.0)])


@jax.jit
def derivatives(lens: NFW) -> tuple[Any, Any]:
    def gradient(p: Any) -> Any:
        return jax.grad(lambda p: lens.potential(p[0], p[1]))(p)

    def hessian(p: Any) -> Any:
        return jax.jacfwd(lambda p: jnp.stack(lens.deflection(p[0], p[1])))(p)

    return jax.vmap(gradient)(POSITIONS), jax.vmap(hessian)(POSITIONS)


@pytest.mark.parametrize("q", [1.0, 0.8, 0.2])
def test_potential_deflection_and_convergence_belong_together(q: float) -> None:
    lens = halo(q)
    gradient, hessian = (np.asarray(part) for part in derivatives(lens))
    x, y = np.asarray(POSITIONS).T
    assert gradient.transpose() == pytest.approx(np.array(lens.deflection(x, y)), rel=1e-11)
    assert hessian[:, 0, 0] + hessian[:, 1, 1] == pytest.approx(2.0 * lens.convergence(x, y), rel=1e-10)
    assert hessian[:, 0, 1] == pytest.approx(hessian[:, 1, 0], abs=1e-12)


def test_scale_radius_is_on_the_major_axis() -> None:
    q, phi = 0.5, 0.6
    lens = halo(q, phi, center_x=0.0, center_y=0.0)
    round_one = halo(1.0, center_x=0.0, center_y=0.0)
    assert lens.convergence(4.0 * np.cos(phi), 4.0 * np.sin(phi)) == pytest.approx(0.2, rel=1e-12)  # kappa(r_s) = 2 kappa_s / 3
    assert lens.convergence(-2.0 * np.sin(phi), 2.0 * np.cos(phi)) == pytest.approx(0.2, rel=1e-12)
    assert round_one.convergence(0.0, 4.0) == pytest.approx(0.2, rel=1e-12)


def test_numpy_and_jax_agree_and_shapes_stay() -> None:
    rng = np.random.default_rng(0)
    lens = halo()
    for shape in ((), (1,), (5, 7)):
        x, y = rng.uniform(-3.0, 3.0, (2, *shape))
        for method in ("deflection", "convergence", "potential"):
            plain, traced = np.asarray(getattr(lens, method)(x, y)), getattr(lens, method)(jnp.asarray(x), jnp.asarray(y))
            assert plain.shape[plain.ndim - len(shape) :] == shape
            assert np.asarray(traced) == pytest.approx(plain, rel=1e-12)
            assert plain.dtype == np.float64


def everything(values: Any) -> Any:
    """All three methods at the center, on the scale radius, and elsewhere."""
    lens = NFW(**dict(zip(FIELDS, values, strict=True)))
    x, y = jnp.array([0.1, 0.1, 1.0]), jnp.array([-0.2, 3.8, 1.0])
    return jnp.concatenate([*lens.deflection(x, y), lens.convergence(x, y), lens.potential(x, y)])


forward, backward = jax.jit(jax.jacfwd(everything)), jax.jit(jax.jacrev(everything))


@pytest.mark.parametrize("e", [(0.0, 0.0), (0.2, -0.1)])
def test_gradients_are_finite_at_the_center_at_the_scale_radius_and_when_round(e: tuple[float, float]) -> None:
    values = jnp.array([0.1, -0.2, *e, 0.3, 4.0])
    assert np.all(np.isfinite(forward(values)))
    assert np.all(np.isfinite(backward(values)))


def test_center_is_not_deflected() -> None:
    lens = halo()
    assert lens.deflection(np.array([0.1]), np.array([-0.2])) == (pytest.approx([0.0], abs=1e-30), pytest.approx([0.0], abs=1e-30))
    assert nfw_potential(0.0, 0.0, ellipticity_1=0.1, ellipticity_2=0.0, kappa_s=1.0, scale_radius=1.0) == pytest.approx(0.0, abs=1e-30)


def test_steepness_is_the_derivative_of_the_slope() -> None:
    """On both sides of the borders between series and closed forms."""
    square = np.array([1e-6, 1e-3, 0.3, 0.9499, 0.9501, 0.97, 1.0, 1.03, 1.0499, 1.0501, 5.0, 1e3])
    exact = jax.vmap(jax.grad(_sloped))(jnp.asarray(square))
    assert _steepness(square) == pytest.approx(np.asarray(exact), rel=1e-11)


@pytest.mark.parametrize("q", [1.0, 0.7, 0.1])
@pytest.mark.parametrize("r", [1e-5, 1e-2, 1.0, 100.0])
def test_second_derivatives_of_any_ellipse_and_radius(q: float, r: float) -> None:
    """Those of the deflection, and their trace the convergence."""
    e_1, e_2 = ellipticity(q, 0.6)
    shape = {"ellipticity_1": e_1, "ellipticity_2": e_2, "kappa_s": 0.3, "scale_radius": 1.0}
    at = jnp.array([r * np.cos(1.3), r * np.sin(1.3)])
    matrix = np.asarray(jax.jit(jax.jacfwd(lambda v: jnp.stack(nfw_deflection(v[0], v[1], **shape))))(at))
    psi_xx, psi_xy, psi_yy = nfw_hessian(float(at[0]), float(at[1]), **shape)
    scale = np.abs(matrix).max()
    assert np.array([[psi_xx, psi_xy], [psi_xy, psi_yy]]) / scale == pytest.approx(matrix / scale, abs=1e-11)
    kappa = nfw_convergence(float(at[0]), float(at[1]), **shape)
    assert 0.5 * (psi_xx + psi_yy) == pytest.approx(kappa, rel=1e-11)
