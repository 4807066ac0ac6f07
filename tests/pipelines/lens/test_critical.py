"""Critical curves of any lens: closed forms, rays, several masses, areas."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.lens.caustics import INNERMOST, effective_einstein_radius
from pipelines.lens.critical import critical_curves
from pipelines.lens.images import point_images
from pipelines.lens.magnification import inverse_magnification
from pipelines.lens.mass import NFW, PowerLaw, Shear

CENTER = (0.1, -0.05)


def power_law(
    slope: float = 2.0, e: tuple[float, float] = (0.0, 0.0), center: tuple[float, float] = CENTER, radius: float = 1.2
) -> PowerLaw:
    return PowerLaw(center_x=center[0], center_y=center[1], ellipticity_1=e[0], ellipticity_2=e[1], einstein_radius=radius, slope=slope)


def kinds(masses: list, center: tuple[float, float] = CENTER) -> list[str]:
    return [curve.kind for curve in critical_curves(masses, center=center)]


@pytest.mark.parametrize("slope", [1.6, 1.9])
def test_round_shallow_profile(slope: float) -> None:
    """Tangential at theta_E; radial where d alpha / dr = 1: theta_E (2 - slope)^(1 / t), t = slope - 1."""
    tangential, radial = critical_curves([power_law(slope)], center=CENTER)
    assert (tangential.kind, radial.kind) == ("tangential", "radial")
    inner = 1.2 * (2.0 - slope) ** (1.0 / (slope - 1.0))
    for curve, expected in ((tangential, 1.2), (radial, inner)):
        assert np.hypot(*(curve.curve - CENTER).T) == pytest.approx(np.full(len(curve.curve), expected), rel=1e-10)
        assert curve.effective_radius == pytest.approx(expected, rel=1e-8)
    beta = abs(inner - 1.2 * (1.2 / inner) ** (slope - 2.0))
    assert np.hypot(*(radial.caustic - CENTER).T) == pytest.approx(np.full(len(radial.curve), beta), rel=1e-9)
    assert radial.caustic_area == pytest.approx(np.pi * beta**2, rel=1e-7)
    assert tangential.caustic_area < 1e-15  # a point


def test_isothermal_ellipse() -> None:
    """The tangential curve is the line of kappa = 1/2, of area pi theta_E^2; there is no radial curve but a cut."""
    lens = power_law(2.0, (0.2, -0.3))
    tangential, cut = critical_curves([lens], center=CENTER)
    assert (tangential.kind, cut.kind) == ("tangential", "cut")
    assert np.asarray(lens.convergence(*tangential.curve.T)) == pytest.approx(np.full(len(tangential.curve), 0.5), rel=1e-12)
    assert tangential.area == pytest.approx(np.pi * 1.2**2, rel=1e-7)
    assert tangential.effective_radius == pytest.approx(1.2, rel=1e-7)
    assert np.hypot(*(cut.curve - CENTER).T) == pytest.approx(np.full(len(cut.curve), INNERMOST))


def test_sheared_sphere() -> None:
    """r = theta_E (1 - gamma cos 2 phi) / (1 - gamma^2), and its astroid: area 3 pi / 8 half-widths squared, to first order."""
    gamma = 0.02
    tangential, _ = critical_curves([power_law(center=(0.0, 0.0)), Shear(gamma_1=gamma, gamma_2=0.0)], center=(0.0, 0.0))
    angle = np.arctan2(tangential.curve[:, 1], tangential.curve[:, 0])
    expected = 1.2 * (1.0 - gamma * np.cos(2 * angle)) / (1.0 - gamma**2)
    assert np.hypot(*tangential.curve.T) == pytest.approx(expected, rel=1e-11)
    assert tangential.area == pytest.approx(np.pi * 1.2**2 * (1 + 0.5 * gamma**2) / (1 - gamma**2) ** 2, rel=1e-8)
    across = [(1 + s * gamma) * 1.2 / (1 - s * gamma) - 1.2 for s in (1, -1)]
    assert tangential.caustic_area == pytest.approx(3 * np.pi / 8 * abs(across[0] * across[1]), rel=2e-3)


@pytest.mark.parametrize(("slope", "e", "gamma"), [(1.75, (0.1, -0.2), (0.02, 0.07)), (2.3, (-0.25, 0.0), (0.1, 0.0))])
def test_points_lie_on_the_curve_and_areas_agree_with_rays(slope: float, e: tuple[float, float], gamma: tuple[float, float]) -> None:
    masses = [power_law(slope, e), Shear(gamma_1=gamma[0], gamma_2=gamma[1])]
    curves = critical_curves(masses, center=CENTER)
    assert [curve.kind for curve in curves] == ["tangential", "radial" if slope < 2 else "cut"]
    for curve in curves:
        assert np.array_equal(curve.curve[0], curve.curve[-1])
        assert np.allclose(curve.caustic[0], curve.caustic[-1], atol=1e-12)
        if curve.kind != "cut":
            assert np.abs(inverse_magnification(masses, *curve.curve.T)).max() < 1e-12
    assert curves[0].effective_radius == pytest.approx(float(effective_einstein_radius(masses, center=CENTER)), rel=1e-6)


def test_the_seam_and_the_finer_mesh_change_nothing() -> None:
    masses = [power_law(1.8, (0.2, 0.1)), Shear(gamma_1=0.05, gamma_2=0.05)]
    coarse, fine = (critical_curves(masses, center=CENTER, n_angles=n, n_radii=m) for n, m in ((90, 80), (333, 241)))
    for a, b in zip(coarse, fine, strict=True):
        assert (a.area, a.caustic_area) == (pytest.approx(b.area, rel=1e-6), pytest.approx(b.caustic_area, rel=1e-4))


def test_several_masses_have_all_their_curves() -> None:
    """Far apart, each has its own; near, one tangential curve goes around both, and each keeps its radial one."""
    near, far = power_law(1.9, center=(1.3, 0.4), radius=0.5), power_law(1.9, center=(5.0, 2.0), radius=0.5)
    main = power_law(1.9, center=(0.0, 0.0))
    assert kinds([main, near], (0.0, 0.0)) == ["tangential", "radial", "radial"]
    assert sorted(kinds([main, far], (0.0, 0.0))) == ["radial", "radial", "tangential", "tangential"]
    small = critical_curves([main, power_law(1.9, center=(3.0, 0.0), radius=0.02)], center=(0.0, 0.0))
    assert len(small) == 4  # its own two curves are far smaller than a cell of the main mesh
    assert min(curve.area for curve in small) < 1e-4


def test_a_halo_and_a_lens_without_curves() -> None:
    halo = {"center_x": 0.0, "center_y": 0.0, "ellipticity_1": 0.1, "ellipticity_2": 0.0, "scale_radius": 6.0}
    assert kinds([NFW(**halo, kappa_s=0.6)], (0.0, 0.0)) == ["tangential", "radial"]
    assert kinds([NFW(**halo, kappa_s=0.02)], (0.0, 0.0)) == []
    assert kinds([Shear(gamma_1=0.1, gamma_2=0.0)]) == []


def test_two_more_images_inside_the_tangential_caustic() -> None:
    """The curve's caustic separates sources of two and of four images, told by a solver that knows no caustic."""
    masses = [power_law(2.0, (0.15, 0.0)), Shear(gamma_1=0.05, gamma_2=0.02)]
    tangential, _ = critical_curves(masses, center=CENTER)
    middle = tangential.caustic[:-1].mean(axis=0)
    for point in tangential.caustic[:-1:37]:
        inside, outside = (tuple(middle + share * (point - middle)) for share in (0.98, 1.02))
        assert [len(point_images(masses, source, center=CENTER).x) for source in (inside, outside)] == [4, 2]
