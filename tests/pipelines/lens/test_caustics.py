"""The effective Einstein radius and the number of images along rays, against closed forms, contours of det A, and a solver of images."""

from __future__ import annotations

from typing import Any

import contourpy
import numpy as np
import pytest

from fitcore.evaluation import compiled
from pipelines.lens.caustics import along_rays, effective_einstein_radius, effective_radius_of, n_images_of
from pipelines.lens.images import CENTRAL, point_images
from pipelines.lens.magnification import inverse_magnification
from pipelines.lens.mass import PowerLaw, Shear, Sheet

CENTER = (0.1, -0.05)
Masses = tuple[PowerLaw, Shear, Sheet]
AXIS = np.arange(-3.0, 3.0, 0.01) + 0.0037
X, Y = np.meshgrid(AXIS, AXIS)


@compiled
def radius_of(masses: Masses, center: tuple[float, float], outermost: float) -> Any:
    return effective_einstein_radius(masses, center=center, outermost=outermost)


@compiled
def rays_of(masses: Masses, source: tuple[float, float]) -> tuple[Any, Any, Any]:
    rays = along_rays(masses, center=(masses[0].center_x, masses[0].center_y))
    return rays, effective_radius_of(rays), n_images_of(rays, source)


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
    rays = rays_of(lens(gamma=gamma), CENTER)[0]
    angle = np.arange(rays.radius.shape[1]) * 2 * np.pi / rays.radius.shape[1]
    expected = 1.2 * (1.0 - gamma[0] * np.cos(2 * angle) - gamma[1] * np.sin(2 * angle)) / (1.0 - square)
    assert np.asarray(rays.radius[0]) == pytest.approx(expected, rel=1e-8)


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
    det = np.where(outside, inverse_magnification(masses, X, Y), -1.0)
    (contour,) = contourpy.contour_generator(x=AXIS, y=AXIS, z=det).lines(0.0)
    by_contour = np.sqrt(area(np.asarray(contour)) / np.pi)
    assert radius(masses) == pytest.approx(by_contour, rel=3e-5)
    # another number of rays, and another point inside
    assert radius(masses) == pytest.approx(float(rays_of(masses, CENTER)[1]), rel=1e-6)
    assert radius(masses, (0.12, -0.03)) == pytest.approx(radius(masses), rel=1e-6)


def test_a_lens_without_a_curve_has_no_radius() -> None:
    assert np.isnan(radius(lens(gamma=(1.1, 0.0))))
    assert np.isnan(radius(lens(einstein_radius=0.0)))
    assert np.isnan(radius(lens(), outermost=1.0))


def test_radial_curve_of_a_shallow_profile() -> None:
    """d alpha / dr = (2 - slope) (theta_E / r)^t = 1 with t = slope - 1, so r = theta_E (2 - slope)^(1 / t)."""
    rays = rays_of(lens(1.6), CENTER)[0]
    expected = 1.2 * 0.4 ** (1.0 / 0.6)
    assert np.asarray(rays.radius[1]) == pytest.approx(np.full(rays.radius.shape[1], expected), rel=1e-8)
    beta = abs(expected - 1.2 * (1.2 / expected) ** (1.6 - 2.0))
    assert np.hypot(rays.beta_x[1] - CENTER[0], rays.beta_y[1] - CENTER[1]) == pytest.approx(np.full(rays.radius.shape[1], beta), rel=1e-7)
    # none outside the central image's circle: the circle itself
    steep = rays_of(lens(2.0), CENTER)[0]
    assert np.asarray(steep.radius[1]) == pytest.approx(np.full(rays.radius.shape[1], CENTRAL), rel=1e-9)
    assert not np.any(steep.exists[1])


def test_the_number_of_images_is_that_of_a_solver() -> None:
    """Random lenses and sources: the winding numbers of caustics against images that were looked for one by one."""
    rng = np.random.default_rng(3)
    seen = []
    for _ in range(60):
        e, gamma, source = 0.15 * rng.standard_normal(2), 0.05 * rng.standard_normal(2), 0.35 * rng.standard_normal(2)
        masses = lens(rng.uniform(1.5, 2.5), tuple(e), tuple(gamma), convergence_0=rng.uniform(0.0, 0.1))
        images = point_images(masses, tuple(source), center=CENTER)
        seen.append(int((~images.is_central).sum()))
        assert float(rays_of(masses, tuple(source))[2]) == seen[-1]
    assert set(seen) >= {1, 2, 4}


def test_a_lens_without_a_curve_has_no_number_of_images() -> None:
    assert np.isnan(rays_of(lens(einstein_radius=0.0), CENTER)[2])
    assert np.isnan(rays_of(lens(einstein_radius=0.5 * CENTRAL), CENTER)[2])  # all of it would be central
    assert float(rays_of(lens(), (9.0, 9.0))[2]) == 1.0
