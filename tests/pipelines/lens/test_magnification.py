"""Second derivatives of every mass, and what follows from them, against derivatives of the deflection, integrals and closed forms."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import integrate

from fitcore import backend as _backend  # noqa: F401  # isort: skip

import jax
import jax.numpy as jnp

from pipelines.lens.geometry import ellipticity
from pipelines.lens.magnification import (
    arrival_time,
    derivatives,
    enclosed_convergence,
    hessian,
    hessian_of,
    inverse_magnification,
    jacobian,
    magnification,
    total_convergence,
    total_potential,
)
from pipelines.lens.mass import NFW, CoredPowerLaw, GaussianMass, Isothermal, PowerLaw, Shear, Sheet

X = np.array([0.9, -1.4, 0.02, 2.6, 0.1, -0.3])
Y = np.array([0.3, 0.7, -0.6, -2.0, 1.9, -0.21])


def power_law(q: float = 0.7, phi: float = 0.6, **changes: float) -> PowerLaw:
    e_1, e_2 = ellipticity(q, phi)
    fields = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": e_1, "ellipticity_2": e_2, "einstein_radius": 1.3, "slope": 2.1}
    return PowerLaw(**{**fields, **changes})


def halo(q: float = 0.7, **changes: float) -> NFW:
    e_1, e_2 = ellipticity(q, 0.6)
    fields = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": e_1, "ellipticity_2": e_2, "kappa_s": 0.3, "scale_radius": 4.0}
    return NFW(**{**fields, **changes})


class Unknown:
    """A mass that the module does not know: it has nothing but a deflection."""

    def deflection(self, x: Any, y: Any) -> tuple[Any, Any]:
        return 0.1 * x**3 + x * y**2 * 0.1, 0.1 * x**2 * y + 0.2 * y


PROFILES = {
    "power law": power_law(),
    "shallow": power_law(0.5, slope=1.05),
    "steep": power_law(0.8, slope=2.95),
    "round": power_law(1.0),
    "slope 2": power_law(slope=2.0),
    "flat": power_law(0.1),
    "isothermal": Isothermal(center_x=0.1, center_y=-0.2, ellipticity_1=0.2, ellipticity_2=-0.1, einstein_radius=1.1),
    "shear": Shear(gamma_1=0.05, gamma_2=-0.08),
    "sheet": Sheet(center_x=0.1, center_y=0.3, convergence_0=0.2),
    "halo": halo(),
    "round halo": halo(1.0),
    "small halo": halo(0.3, scale_radius=0.4),
    "cored": CoredPowerLaw(
        center_x=0.1, center_y=-0.2, ellipticity_1=0.2, ellipticity_2=0.1, einstein_radius=1.2, slope=2.2, core_radius=0.1
    ),
    "gaussian": GaussianMass(center_x=0.1, center_y=-0.2, ellipticity_1=-0.3, ellipticity_2=0.1, convergence_0=0.8, sigma=0.6),
    "unknown": Unknown(),
}
BOTH = [power_law(), Shear(gamma_1=0.05, gamma_2=-0.08), Sheet(center_x=0.1, center_y=0.3, convergence_0=0.1), halo()]


def _matrices(mass: Any, x: Any, y: Any) -> Any:
    return jax.vmap(jax.jacfwd(lambda v: jnp.stack(mass.deflection(v[0], v[1]))))(jnp.stack([x, y], axis=1))


# compiled once for each kind of mass, whatever its parameters
_compiled_matrices = jax.jit(_matrices)
_compiled_hessian = jax.jit(hessian_of)


@pytest.mark.parametrize("mass", PROFILES.values(), ids=PROFILES)
def test_second_derivatives_are_those_of_the_deflection(mass: Any) -> None:
    expected = np.asarray((_matrices if isinstance(mass, Unknown) else _compiled_matrices)(mass, X, Y))
    psi_xx, psi_xy, psi_yy = (np.asarray(part) for part in hessian_of(mass, X, Y))
    scale = np.abs(expected).max(axis=(1, 2))
    for got, row, column in ((psi_xx, 0, 0), (psi_xy, 0, 1), (psi_xy, 1, 0), (psi_yy, 1, 1)):
        assert np.abs(got - expected[:, row, column]) / scale == pytest.approx(np.zeros(6), abs=1e-10)
    if hasattr(mass, "convergence"):
        assert 0.5 * (psi_xx + psi_yy) == pytest.approx(mass.convergence(X, Y), rel=1e-11, abs=1e-14)


@pytest.mark.parametrize("mass", PROFILES.values(), ids=PROFILES)
def test_numpy_and_jax_agree_and_shapes_are_kept(mass: Any) -> None:
    plain = hessian_of(mass, X.reshape(2, 3), Y.reshape(2, 3))
    traced = (hessian_of if isinstance(mass, Unknown) else _compiled_hessian)(mass, X.reshape(2, 3), Y.reshape(2, 3))
    for a, b in zip(plain, traced, strict=True):
        assert np.shape(a) == (2, 3)
        assert np.asarray(b) == pytest.approx(np.asarray(a), rel=1e-10, abs=1e-13)
    assert [np.shape(part) for part in hessian_of(mass, 0.3, -0.2)] == [(), (), ()]
    if not isinstance(mass, Unknown):
        assert all(isinstance(part, np.ndarray) for part in plain)


def test_sums_over_masses() -> None:
    parts = np.sum([[*mass.deflection(X, Y), *hessian_of(mass, X, Y)] for mass in BOTH], axis=0)
    assert np.array(derivatives(BOTH, X, Y)) == pytest.approx(parts, rel=1e-14)
    assert np.array(hessian(BOTH, X, Y)) == pytest.approx(parts[2:], rel=1e-14)
    assert total_convergence(BOTH, X, Y) == pytest.approx(0.5 * (parts[2] + parts[4]), rel=1e-12)
    assert total_potential(BOTH, X, Y) == pytest.approx(sum(mass.potential(X, Y) for mass in BOTH), rel=1e-14)
    kappa, gamma_1, gamma_2 = jacobian(BOTH, X, Y)
    assert (kappa + gamma_1, gamma_2, kappa - gamma_1) == (pytest.approx(parts[2]), pytest.approx(parts[3]), pytest.approx(parts[4]))


def test_magnification_is_the_ratio_of_areas() -> None:
    """The images of a small square, by finite differences of traced corners."""
    h = 1e-5
    corners = [(-h, -h), (h, -h), (h, h), (-h, h)]
    beta = np.array([[X + dx - sum(m.deflection(X + dx, Y + dy)[0] for m in BOTH) for dx, dy in corners],
                     [Y + dy - sum(m.deflection(X + dx, Y + dy)[1] for m in BOTH) for dx, dy in corners]])  # fmt: skip
    following = np.roll(beta, -1, axis=1)
    area = 0.5 * np.sum(beta[0] * following[1] - following[0] * beta[1], axis=0)
    assert inverse_magnification(BOTH, X, Y) == pytest.approx(area / (4 * h * h), rel=1e-4)
    assert magnification(BOTH, X, Y) == pytest.approx(1.0 / inverse_magnification(BOTH, X, Y))


def test_isothermal_sphere_in_closed_form() -> None:
    """1 / mu = 1 - theta_E / r."""
    sphere = [Isothermal(center_x=0.0, center_y=0.0, ellipticity_1=0.0, ellipticity_2=0.0, einstein_radius=1.2)]
    r = np.hypot(X, Y)
    assert inverse_magnification(sphere, X, Y) == pytest.approx(1.0 - 1.2 / r, rel=1e-12)
    assert np.isinf(magnification([Sheet(center_x=0.0, center_y=0.0, convergence_0=1.0)], 0.3, 0.4))


SLOPES = (1.0001, 1.5, 2.0, 2.5, 2.9999)


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("e", [(0.0, 0.0), (0.2, -0.1)])
@pytest.mark.parametrize("at", [(0.1, -0.2), (0.1 + 1e-12, -0.2), (0.8, 0.4)])
def test_gradients_of_a_power_law_are_finite_everywhere(slope: float, e: tuple[float, float], at: tuple[float, float]) -> None:
    values = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": e[0], "ellipticity_2": e[1], "einstein_radius": 1.3, "slope": slope}
    _check_gradients(PowerLaw, values, at)


@pytest.mark.parametrize("e", [(0.0, 0.0), (0.2, -0.1)])
@pytest.mark.parametrize("at", [(0.1, -0.2), (0.1 + 1e-12, -0.2), (4.1, -0.2), (0.8, 0.4)])
def test_gradients_of_a_halo_are_finite_everywhere(e: tuple[float, float], at: tuple[float, float]) -> None:
    values = {"center_x": 0.1, "center_y": -0.2, "ellipticity_1": e[0], "ellipticity_2": e[1], "kappa_s": 0.3, "scale_radius": 4.0}
    _check_gradients(NFW, values, at)


def _everything(mass: Any, x: Any, y: Any) -> Any:
    """A sum: whatever is not finite in a part is not finite in it."""
    alpha_x, alpha_y, psi_xx, psi_xy, psi_yy = derivatives([mass], x, y)
    magnification_of = (1.0 - psi_xx) * (1.0 - psi_yy) - psi_xy**2
    return alpha_x + 2.0 * alpha_y + psi_xx + psi_xy + mass.convergence(x, y) + mass.potential(x, y) + 1e-40 * magnification_of


_gradients = jax.jit(jax.value_and_grad(_everything, argnums=(0, 1, 2)))


def _check_gradients(kind: Any, values: dict[str, float], at: tuple[float, float]) -> None:
    for leaf in jax.tree_util.tree_leaves(_gradients(kind(**values), *at)):
        assert np.all(np.isfinite(leaf))


@pytest.mark.parametrize("q", [1.0, 0.6])
def test_enclosed_convergence_is_the_integral_of_kappa(q: float) -> None:
    """By quadrature over the disc, for masses whose center is not the disc's: no deflection takes part."""
    masses = [halo(q), Sheet(center_x=0.0, center_y=0.0, convergence_0=0.07), Shear(gamma_1=0.1, gamma_2=0.0)]

    def ring(r: float) -> float:
        angle = np.arange(200) * 2 * np.pi / 200
        return 2 * np.pi * r * np.mean(total_convergence(masses, 0.4 + r * np.cos(angle), 0.5 + r * np.sin(angle)))

    # the cusp of the halo lies 0.76 from the disc's center
    radius = 0.5
    expected = integrate.quad(ring, 0, radius, epsrel=1e-11)[0]
    assert enclosed_convergence(masses, radius, center=(0.4, 0.5)) == pytest.approx(expected, rel=1e-9)


def test_enclosed_convergence_of_power_laws() -> None:
    """Round: pi theta_E^t r^(2 - t), any number of radii at once; elliptical and isothermal: the mean of 1 / R over a disc."""
    radius = np.array([0.2, 1.0, 2.5])
    for slope in (1.5, 2.0, 2.6):
        lens = power_law(1.0, slope=slope)
        expected = np.pi * 1.3 ** (slope - 1) * radius ** (3 - slope)
        assert enclosed_convergence([lens], radius, center=(0.1, -0.2)) == pytest.approx(expected, rel=1e-12)
    angle = np.arange(2000) * 2 * np.pi / 2000
    lens = power_law(0.5, slope=2.0)
    mean = np.mean(lens.convergence(0.1 + np.cos(angle), -0.2 + np.sin(angle)))
    assert enclosed_convergence([lens], radius, center=(0.1, -0.2)) == pytest.approx(2 * np.pi * mean * radius, rel=1e-9)
    traced = jax.jit(lambda r: enclosed_convergence([lens], r, center=(0.1, -0.2)))(radius)
    assert np.asarray(traced) == pytest.approx(enclosed_convergence([lens], radius, center=(0.1, -0.2)), rel=1e-9)


def test_arrival_time_is_stationary_where_a_ray_comes_from() -> None:
    alpha = np.sum([mass.deflection(X, Y) for mass in BOTH], axis=0)
    source = (X - alpha[0], Y - alpha[1])
    h = 1e-5
    along_x = (arrival_time(BOTH, X + h, Y, source) - arrival_time(BOTH, X - h, Y, source)) / (2 * h)
    along_y = (arrival_time(BOTH, X, Y + h, source) - arrival_time(BOTH, X, Y - h, source)) / (2 * h)
    assert along_x == pytest.approx(np.zeros(6), abs=1e-8)
    assert along_y == pytest.approx(np.zeros(6), abs=1e-8)
