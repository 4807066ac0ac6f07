"""Critical curves and the effective Einstein radius, against closed forms and against contours of det A on a grid."""

from __future__ import annotations

from typing import Any

import contourpy
import numpy as np
import pytest

from fitcore.evaluation import compiled
from pipelines.lens.caustics import INNERMOST, critical_curves, effective_einstein_radius, inverse_magnification, jacobian
from pipelines.lens.mass import Isothermal, PowerLaw, Shear, Sheet

CENTER = (0.1, -0.05)
_radius = compiled(lambda masses, center: effective_einstein_radius(masses, center=center))


def lens(slope: float = 2.0, e_1: float = 0.0, e_2: float = 0.0) -> PowerLaw:
    return PowerLaw(center_x=0.1, center_y=-0.05, ellipticity_1=e_1, ellipticity_2=e_2, einstein_radius=1.2, slope=slope)


def shear(gamma_1: float = 0.0, gamma_2: float = 0.0) -> Shear:
    return Shear(gamma_1=gamma_1, gamma_2=gamma_2)


def area(curve: np.ndarray) -> float:
    """By the shoelace formula."""
    x, y = curve[:, 0], curve[:, 1]
    return 0.5 * abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])))


@pytest.mark.parametrize(("slope", "e"), [(2.0, (0.0, 0.0)), (1.7, (0.0, 0.0)), (2.3, (0.0, 0.0)), (2.0, (0.1, -0.15)), (2.0, (0.0, 0.4))])
def test_radius_of_round_and_of_isothermal_lenses_is_their_own(slope: float, e: tuple[float, float]) -> None:
    """The critical curve of an isothermal ellipse is its line of kappa = 1/2: the Einstein radius on the intermediate axis."""
    assert float(_radius((lens(slope, *e), shear()), CENTER)) == pytest.approx(1.2, rel=1e-8)


@pytest.mark.parametrize("gamma", [(0.05, 0.0), (-0.06, 0.08), (0.0, -0.2)])
def test_radius_of_the_sheared_sphere(gamma: tuple[float, float]) -> None:
    """The curve is r = theta_E (1 - gamma cos 2(phi - phi_gamma)) / (1 - gamma^2)."""
    square = gamma[0] ** 2 + gamma[1] ** 2
    expected = 1.2 * np.sqrt(1.0 + 0.5 * square) / (1.0 - square)
    assert float(_radius((lens(), shear(*gamma)), CENTER)) == pytest.approx(expected, rel=1e-8)
    angle = np.arange(360) * np.pi / 180
    curve = critical_curves((lens(), shear(*gamma)), center=CENTER)["tangential"][0]
    radius = 1.2 * (1.0 - gamma[0] * np.cos(2 * angle) - gamma[1] * np.sin(2 * angle)) / (1.0 - square)
    assert np.hypot(*(curve[:-1] - CENTER).T) == pytest.approx(radius, rel=1e-8)


def test_a_sheet_widens_the_curve() -> None:
    """1 - kappa_0 - theta_E / r = 0."""
    sheet = Sheet(center_x=0.3, center_y=0.0, convergence_0=0.2)
    assert float(effective_einstein_radius((lens(), sheet), center=CENTER)) == pytest.approx(1.2 / 0.8, rel=1e-8)


@pytest.mark.parametrize(
    ("slope", "e", "gamma"), [(2.0, (0.2, 0.1), (0.05, -0.03)), (1.75, (0.1, -0.2), (0.02, 0.07)), (2.3, (-0.25, 0.0), (0.1, 0.0))]
)
def test_radius_agrees_with_the_contour_of_det_a(slope: float, e: tuple[float, float], gamma: tuple[float, float]) -> None:
    """Two ways that share nothing but det A; the contour's area is that of a polygon through points interpolated on a grid of 0.01."""
    masses = (lens(slope, *e), shear(*gamma))
    axis = np.arange(-3.0, 3.0, 0.01) + 0.0037
    x, y = np.meshgrid(axis, axis)
    outside = np.hypot(x - CENTER[0], y - CENTER[1]) > 0.5  # the radial curve is inside
    det = np.where(outside, np.asarray(compiled(inverse_magnification)(masses, x, y)), -1.0)
    (contour,) = contourpy.contour_generator(x=axis, y=axis, z=det).lines(0.0)
    by_contour = np.sqrt(area(np.asarray(contour)) / np.pi)
    assert float(_radius(masses, CENTER)) == pytest.approx(by_contour, rel=3e-5)
    assert np.sqrt(area(critical_curves(masses, center=CENTER)["tangential"][0]) / np.pi) == pytest.approx(by_contour, rel=1e-4)


def test_few_rays_are_enough() -> None:
    masses = (lens(2.1, 0.15, -0.2), shear(0.05, 0.06))
    fine = float(effective_einstein_radius(masses, center=CENTER, n_angles=256))
    assert float(effective_einstein_radius(masses, center=CENTER)) == pytest.approx(fine, rel=1e-7)
    assert float(effective_einstein_radius(masses, center=(0.13, -0.02), n_angles=64)) == pytest.approx(fine, rel=1e-7)


def test_a_lens_without_a_curve_has_no_radius() -> None:
    assert np.isnan(float(_radius((lens(2.0), shear(1.1, 0.0)), CENTER)))
    small = PowerLaw(center_x=0.1, center_y=-0.05, ellipticity_1=0.0, ellipticity_2=0.0, einstein_radius=0.0, slope=2.0)
    assert np.isnan(float(_radius((small, shear()), CENTER)))
    assert np.isnan(float(effective_einstein_radius((lens(), shear()), center=CENTER, outermost=1.0)))


def test_radial_curve_of_a_shallow_profile() -> None:
    """d alpha / dr = (2 - slope) (theta_E / r)^t = 1 with t = slope - 1, so r = theta_E (2 - slope)^(1 / t)."""
    curves = critical_curves((lens(1.6),), center=CENTER, n_angles=24)
    assert set(curves) == {"tangential", "radial"}
    curve, caustic = curves["radial"]
    radius = 1.2 * 0.4 ** (1.0 / 0.6)
    assert np.hypot(*(curve - CENTER).T) == pytest.approx(np.full(25, radius), rel=1e-8)
    beta = abs(radius - 1.2 * (1.2 / radius) ** (1.6 - 2.0))
    assert np.hypot(*(caustic - CENTER).T) == pytest.approx(np.full(25, beta), rel=1e-8)


def test_cut_of_an_isothermal_lens() -> None:
    """The cut of the singular isothermal sphere is a circle of the Einstein radius, less the small circle around the center."""
    curves = critical_curves((Isothermal(**_fields(lens())),), center=CENTER, n_angles=24)
    assert set(curves) == {"tangential", "cut"}
    assert np.hypot(*(curves["cut"][1] - CENTER).T) == pytest.approx(np.full(25, 1.2 - INNERMOST), rel=1e-9)
    assert np.abs(curves["tangential"][1] - CENTER).max() < 1e-8  # the caustic is a point


def _fields(profile: Any) -> dict[str, float]:
    names = ("center_x", "center_y", "ellipticity_1", "ellipticity_2", "einstein_radius")
    return {name: getattr(profile, name) for name in names}


def test_astroid_of_the_sheared_sphere() -> None:
    """Cusps at +-2 theta_E gamma / (1 +- gamma) from the center's own image (Chang & Refsdal's geometry for the isothermal sphere)."""
    gamma = 0.1
    centered = PowerLaw(center_x=0.0, center_y=0.0, ellipticity_1=0.0, ellipticity_2=0.0, einstein_radius=1.2, slope=2.0)
    curve, caustic = critical_curves((centered, shear(gamma)), center=(0.0, 0.0))["tangential"]
    assert np.array_equal(curve[0], curve[-1])
    assert np.array_equal(caustic[0], caustic[-1])
    # on the x axis: r = theta_E / (1 + gamma), beta = (1 - gamma) r - theta_E
    assert caustic[0] == pytest.approx([(1 - gamma) * 1.2 / (1 + gamma) - 1.2, 0.0], abs=1e-8)
    assert caustic[90] == pytest.approx([0.0, (1 + gamma) * 1.2 / (1 - gamma) - 1.2], abs=1e-8)


def test_jacobian_is_convergence_and_shear() -> None:
    masses = (lens(1.9, 0.1, 0.2), shear(0.04, -0.03))
    x, y = np.array([0.9, -1.0, 0.2]), np.array([0.4, 0.8, -1.7])
    kappa, gamma_1, gamma_2 = (np.asarray(part) for part in compiled(jacobian)(masses, x, y))
    assert kappa == pytest.approx(masses[0].convergence(x, y), rel=1e-7)
    h = 1e-5
    (rx, ry), (lx, ly) = (masses[0].deflection(x + d, y) for d in (h, -h))
    (ux, uy), (dx, dy) = (masses[0].deflection(x, y + d) for d in (h, -h))
    assert gamma_1 == pytest.approx(0.25 * (rx - lx - uy + dy) / h + 0.04, abs=1e-7)
    assert gamma_2 == pytest.approx(0.25 * (ry - ly + ux - dx) / h - 0.03, abs=1e-7)
    det = np.asarray(compiled(inverse_magnification)(masses, x, y))
    assert det == pytest.approx((1 - kappa) ** 2 - gamma_1**2 - gamma_2**2, rel=1e-12)
