"""Critical curves and the effective Einstein radius, against closed forms and against contours of det A on a grid."""

from __future__ import annotations

from typing import Any

import contourpy
import numpy as np
import pytest

from fitcore.evaluation import compiled
from pipelines.lens.caustics import INNERMOST, critical_curves, effective_einstein_radius, inverse_magnification, jacobian
from pipelines.lens.mass import PowerLaw, Shear, Sheet

CENTER = (0.1, -0.05)
Masses = tuple[PowerLaw, Shear, Sheet]
AXIS = np.arange(-3.0, 3.0, 0.01) + 0.0037
X, Y = np.meshgrid(AXIS, AXIS)


@compiled
def radius_of(masses: Masses, center: tuple[float, float], outermost: float) -> Any:
    return effective_einstein_radius(masses, center=center, outermost=outermost)


@compiled
def on_the_grid(masses: Masses) -> tuple[Any, ...]:
    return (*jacobian(masses, X, Y), inverse_magnification(masses, X, Y))


def lens(slope: float = 2.0, e: tuple[float, float] = (0.0, 0.0), gamma: tuple[float, float] = (0.0, 0.0), **changes: float) -> Masses:
    """Always the same three masses, so that everything here is compiled once."""
    fields = {"center_x": 0.1, "center_y": -0.05, "ellipticity_1": e[0], "ellipticity_2": e[1], "einstein_radius": 1.2, "slope": slope}
    sheet = {"center_x": 0.3, "center_y": 0.0, "convergence_0": changes.pop("convergence_0", 0.0)}
    return PowerLaw(**{**fields, **changes}), Shear(gamma_1=gamma[0], gamma_2=gamma[1]), Sheet(**sheet)


def radius(masses: Masses, center: tuple[float, float] = CENTER, outermost: float = 10.0) -> float:
    return float(radius_of(masses, center, outermost))


def area(curve: np.ndarray) -> float:
    """By the shoelace formula."""
    x, y = curve[:, 0], curve[:, 1]
    return 0.5 * abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1])))


@pytest.mark.parametrize(
    ("slope", "e", "tolerance"),
    [(2.0, (0.0, 0.0), 1e-8), (1.7, (0.0, 0.0), 1e-8), (2.3, (0.0, 0.0), 1e-8), (2.0, (0.1, -0.15), 1e-8), (2.0, (0.0, 0.4), 1e-6)],
)
def test_radius_of_round_and_of_isothermal_lenses_is_their_own(slope: float, e: tuple[float, float], tolerance: float) -> None:
    """The critical curve of an isothermal ellipse is its line of kappa = 1/2: the Einstein radius on the intermediate axis."""
    assert radius(lens(slope, e)) == pytest.approx(1.2, rel=tolerance)


@pytest.mark.parametrize("gamma", [(0.05, 0.0), (-0.06, 0.08), (0.0, -0.2)])
def test_radius_of_the_sheared_sphere(gamma: tuple[float, float]) -> None:
    """The curve is r = theta_E (1 - gamma cos 2(phi - phi_gamma)) / (1 - gamma^2)."""
    square = gamma[0] ** 2 + gamma[1] ** 2
    assert radius(lens(gamma=gamma)) == pytest.approx(1.2 * np.sqrt(1.0 + 0.5 * square) / (1.0 - square), rel=1e-8)
    angle = np.arange(360) * np.pi / 180
    curve = critical_curves(lens(gamma=gamma), center=CENTER)["tangential"][0]
    expected = 1.2 * (1.0 - gamma[0] * np.cos(2 * angle) - gamma[1] * np.sin(2 * angle)) / (1.0 - square)
    assert np.hypot(*(curve[:-1] - CENTER).T) == pytest.approx(expected, rel=1e-8)


def test_a_sheet_widens_the_curve() -> None:
    """1 - kappa_0 - theta_E / r = 0."""
    assert radius(lens(convergence_0=0.2)) == pytest.approx(1.2 / 0.8, rel=1e-8)


@pytest.mark.parametrize(
    ("slope", "e", "gamma"), [(2.0, (0.2, 0.1), (0.05, -0.03)), (1.75, (0.1, -0.2), (0.02, 0.07)), (2.3, (-0.25, 0.0), (0.1, 0.0))]
)
def test_radius_agrees_with_the_contour_of_det_a(slope: float, e: tuple[float, float], gamma: tuple[float, float]) -> None:
    """Two ways that share nothing but det A; the contour's area is that of a polygon through points interpolated on a grid of 0.01."""
    masses = lens(slope, e, gamma)
    outside = np.hypot(X - CENTER[0], Y - CENTER[1]) > 0.5  # the radial curve is inside
    det = np.where(outside, np.asarray(on_the_grid(masses)[3]), -1.0)
    (contour,) = contourpy.contour_generator(x=AXIS, y=AXIS, z=det).lines(0.0)
    by_contour = np.sqrt(area(np.asarray(contour)) / np.pi)
    assert radius(masses) == pytest.approx(by_contour, rel=3e-5)
    curve = critical_curves(masses, center=CENTER)["tangential"][0]
    assert np.sqrt(area(curve) / np.pi) == pytest.approx(by_contour, rel=1e-4)
    # 360 rays instead of 32, and another point inside
    by_rays = np.sqrt(np.mean(np.sum((curve[:-1] - CENTER) ** 2, axis=1)))
    assert radius(masses) == pytest.approx(by_rays, rel=1e-6)
    assert radius(masses, (0.12, -0.03)) == pytest.approx(by_rays, rel=1e-6)


def test_a_lens_without_a_curve_has_no_radius() -> None:
    assert np.isnan(radius(lens(gamma=(1.1, 0.0))))
    assert np.isnan(radius(lens(einstein_radius=0.0)))
    assert np.isnan(radius(lens(), outermost=1.0))


def test_radial_curve_of_a_shallow_profile() -> None:
    """d alpha / dr = (2 - slope) (theta_E / r)^t = 1 with t = slope - 1, so r = theta_E (2 - slope)^(1 / t)."""
    curves = critical_curves(lens(1.6), center=CENTER)
    assert set(curves) == {"tangential", "radial"}
    curve, caustic = curves["radial"]
    expected = 1.2 * 0.4 ** (1.0 / 0.6)
    assert np.hypot(*(curve - CENTER).T) == pytest.approx(np.full(361, expected), rel=1e-8)
    beta = abs(expected - 1.2 * (1.2 / expected) ** (1.6 - 2.0))
    assert np.hypot(*(caustic - CENTER).T) == pytest.approx(np.full(361, beta), rel=1e-7)


def test_cut_of_an_isothermal_lens() -> None:
    """The cut of the singular isothermal sphere is a circle of the Einstein radius, less the small circle around the center."""
    curves = critical_curves(lens(), center=CENTER)
    assert set(curves) == {"tangential", "cut"}
    assert np.hypot(*(curves["cut"][1] - CENTER).T) == pytest.approx(np.full(361, 1.2 - INNERMOST), rel=1e-9)
    assert np.abs(curves["tangential"][1] - CENTER).max() < 1e-8  # the caustic is a point


def test_cusps_of_the_sheared_sphere() -> None:
    """On the x axis r = theta_E / (1 + gamma), traced to (1 - gamma) r - theta_E; on the y axis with gamma reversed."""
    gamma = 0.1
    curve, caustic = critical_curves(lens(gamma=(gamma, 0.0), center_x=0.0, center_y=0.0), center=(0.0, 0.0))["tangential"]
    assert np.array_equal(curve[0], curve[-1])
    assert np.array_equal(caustic[0], caustic[-1])
    assert caustic[0] == pytest.approx([(1 - gamma) * 1.2 / (1 + gamma) - 1.2, 0.0], abs=1e-8)
    assert caustic[90] == pytest.approx([0.0, (1 + gamma) * 1.2 / (1 - gamma) - 1.2], abs=1e-8)


def test_jacobian_is_convergence_and_shear() -> None:
    power_law, shear, _ = masses = lens(1.9, (0.1, 0.2), (0.04, -0.03), convergence_0=0.1)
    kappa, gamma_1, gamma_2, det = (np.asarray(part)[::37, ::41] for part in on_the_grid(masses))
    x, y = X[::37, ::41], Y[::37, ::41]
    assert kappa == pytest.approx(power_law.convergence(x, y) + 0.1, rel=1e-7)
    h = 1e-5
    (right_x, right_y), (left_x, left_y) = (power_law.deflection(x + d, y) for d in (h, -h))
    (up_x, up_y), (down_x, down_y) = (power_law.deflection(x, y + d) for d in (h, -h))
    assert gamma_1 == pytest.approx(0.25 * (right_x - left_x - up_y + down_y) / h + shear.gamma_1, rel=1e-5, abs=1e-7)
    assert gamma_2 == pytest.approx(0.25 * (right_y - left_y + up_x - down_x) / h + shear.gamma_2, rel=1e-5, abs=1e-7)
    assert det == pytest.approx((1 - kappa) ** 2 - gamma_1**2 - gamma_2**2, rel=1e-9, abs=1e-12)
