"""Images of a point source, against lenses whose images are known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from pipelines.lens.critical import critical_curves
from pipelines.lens.images import CENTRAL, CLOSED, MOST_IMAGES, point_images
from pipelines.lens.magnification import arrival_time, inverse_magnification
from pipelines.lens.mass import NFW, Isothermal, PowerLaw, Shear, Sheet
from pipelines.lens.tracing import ray_trace


def isothermal(e_1: float = 0.0, e_2: float = 0.0) -> Isothermal:
    return Isothermal(center_x=0.1, center_y=-0.05, ellipticity_1=e_1, ellipticity_2=e_2, einstein_radius=1.2)


CENTER = (0.1, -0.05)


@pytest.mark.parametrize("angle", [0.0, 0.5, np.pi / 2, 2.0])
def test_two_images_of_the_singular_isothermal_sphere(angle: float) -> None:
    beta = 0.3
    direction = np.array([np.cos(angle), np.sin(angle)])
    seen = point_images([isothermal()], tuple(np.array(CENTER) + beta * direction), center=CENTER)
    expected = np.array(CENTER) + np.outer([beta + 1.2, beta - 1.2], direction)
    assert np.stack([seen.x, seen.y], axis=1) == pytest.approx(expected, abs=1e-8)
    assert seen.magnification == pytest.approx([1 + 1.2 / beta, 1 - 1.2 / beta], rel=1e-6)
    assert not seen.is_central.any()


def test_one_image_outside_the_cut_and_none_of_the_singular_center() -> None:
    seen = point_images([isothermal()], (0.1 + 1.5, -0.05), center=CENTER)
    assert (seen.x, seen.y) == (pytest.approx([2.8], abs=1e-8), pytest.approx([-0.05], abs=1e-8))
    assert seen.magnification == pytest.approx([1.0 + 1.2 / 1.5], rel=1e-6)


@pytest.mark.parametrize("source", [(0.12, -0.04), (0.1, -0.05), (0.085, -0.06)])
def test_four_images_behind_a_sheared_sphere(source: tuple[float, float]) -> None:
    """Their signed magnifications add up to 2 / (1 - gamma^2) (Dalal 1998, ApJ 509, L13)."""
    gamma = (0.09, -0.04)
    masses = [isothermal(), Shear(gamma_1=gamma[0], gamma_2=gamma[1])]
    # the shear is about the origin, the sphere is not: the source that the lens's center is traced to
    shift = gamma[0] * CENTER[0] + gamma[1] * CENTER[1], gamma[1] * CENTER[0] - gamma[0] * CENTER[1]
    seen = point_images(masses, (source[0] - shift[0], source[1] - shift[1]), center=CENTER)
    assert len(seen.x) == 4
    assert sorted(np.sign(seen.magnification)) == [-1, -1, 1, 1]
    assert seen.magnification.sum() == pytest.approx(2.0 / (1.0 - gamma[0] ** 2 - gamma[1] ** 2), rel=1e-6)
    assert np.all(np.diff(np.abs(seen.magnification)) <= 0)


def test_images_trace_back_to_the_source() -> None:
    masses: list[Any] = [
        PowerLaw(center_x=0.1, center_y=-0.05, ellipticity_1=0.1, ellipticity_2=-0.15, einstein_radius=1.2, slope=1.8),
        Shear(gamma_1=0.03, gamma_2=0.05),
    ]
    for source in ((0.15, 0.0), (0.4, 0.2), (1.9, 0.3)):
        seen = point_images(masses, source, center=CENTER, half_width=4.0)
        b_x, b_y = ray_trace(masses, seen.x, seen.y)
        assert len(seen.x) % 2 == 1  # no singular center: the number of images is odd (Burke 1981)
        assert np.max(np.hypot(b_x - source[0], b_y - source[1])) < 2 * CLOSED


def test_central_image_is_told_apart() -> None:
    lens = PowerLaw(center_x=0.1, center_y=-0.05, ellipticity_1=0.0, ellipticity_2=0.0, einstein_radius=1.2, slope=1.7)
    seen = point_images([lens], (0.2, -0.05), center=CENTER)
    assert list(seen.is_central) == [False, False, True]
    assert abs(seen.magnification[2]) < 0.05
    assert seen.magnification[2] > 0  # a maximum of the arrival time


@pytest.mark.parametrize("off_axis", [1e-6, 3e-4, 0.0014, 0.0063, 0.008])
def test_a_central_image_however_close_to_the_center(off_axis: float) -> None:
    """alpha = b (r / b)^0.25 brings the third image of a source at beta to r = b (beta / b)^4, 1e-9 for 0.0064."""
    lens = PowerLaw(center_x=0.1, center_y=-0.05, ellipticity_1=0.0, ellipticity_2=0.0, einstein_radius=1.2, slope=1.75)
    seen = point_images([lens], (0.1 + 0.6 * off_axis, -0.05 - 0.8 * off_axis), center=CENTER)
    middle = np.hypot(seen.x - 0.1, seen.y + 0.05) < CENTRAL
    assert middle.sum() == 1
    assert seen.is_central[middle].all()
    assert (seen.parity[middle] == 1).all()
    assert np.hypot(seen.x - 0.1, seen.y + 0.05)[middle] == pytest.approx(1.2 * (off_axis / 1.2) ** 4, abs=1e-9)


def test_a_source_far_outside_the_square_has_no_image_there() -> None:
    seen = point_images([isothermal()], (9.0, 9.0), center=CENTER, half_width=3.2)
    assert seen.x.shape == seen.y.shape == seen.magnification.shape == seen.is_central.shape == (0,)


def power_law(slope: float, center: tuple[float, float] = CENTER, e: tuple[float, float] = (0.1, -0.15), radius: float = 1.2) -> PowerLaw:
    return PowerLaw(center_x=center[0], center_y=center[1], ellipticity_1=e[0], ellipticity_2=e[1], einstein_radius=radius, slope=slope)


NONE = (0.0, 0.0)
pairs = st.tuples(st.floats(-1.0, 1.0), st.floats(-1.0, 1.0))


@settings(max_examples=30, deadline=None, derandomize=True)
@given(
    slope=st.floats(1.2, 1.85),
    e=pairs,
    gamma=pairs,
    source=pairs,
    center=pairs,
    second=st.one_of(st.none(), st.tuples(st.floats(0.5, 2.0), st.floats(0.0, 6.3), st.floats(0.05, 0.6))),
    kappa_s=st.one_of(st.none(), st.floats(0.01, 0.2)),
)
@example(slope=1.75, e=NONE, gamma=NONE, source=NONE, center=(0.0, 0.015625), second=None, kappa_s=None)  # 1e-11 from the center
@example(slope=1.5, e=NONE, gamma=NONE, source=NONE, center=(0.0, 0.001953125), second=None, kappa_s=None)  # almost a ring
def test_there_is_an_odd_number_of_images(
    slope: float, e: Any, gamma: Any, source: Any, center: Any, second: Any, kappa_s: float | None
) -> None:
    """Burke 1981, for lenses without a singular center: n_minima - n_saddles + n_maxima = 1. All trace back, all parities are det A's."""
    center = (0.3 * center[0], 0.3 * center[1])
    masses: list[Any] = [power_law(slope, center, (0.3 * e[0], 0.3 * e[1])), Shear(gamma_1=0.12 * gamma[0], gamma_2=0.12 * gamma[1])]
    if second is not None:
        distance, angle, radius = second
        away = (center[0] + distance * np.cos(angle), center[1] + distance * np.sin(angle))
        masses.append(power_law(1.7, away, (0.0, 0.1), radius))
    if kappa_s is not None:
        masses.append(NFW(center_x=0.0, center_y=0.1, ellipticity_1=0.1, ellipticity_2=0.0, kappa_s=kappa_s, scale_radius=5.0))
    place = (1.5 * source[0], 1.5 * source[1])
    seen = point_images(masses, place, center=center)
    b_x, b_y = ray_trace(masses, seen.x, seen.y)
    at_center = np.any([(seen.x == mass.center_x) & (seen.y == mass.center_y) for mass in masses if hasattr(mass, "center_x")], axis=0)
    assert np.all((np.hypot(b_x - place[0], b_y - place[1]) < 2 * CLOSED) | at_center)  # which stands for an image within FINEST
    assume(np.abs(seen.magnification).max() < 1e7)  # on a caustic two images are one
    assert seen.parity.sum() == 1
    assert len(seen.x) % 2 == 1


def crosses(ends: Any, line: Any) -> bool:
    """Whether the segment between two points, shape (2, 2), crosses a line through points, shape (n, 2)."""

    def side(a: Any, b: Any, point: Any) -> Any:
        return np.sign((b - a)[..., 0] * (point - a)[..., 1] - (b - a)[..., 1] * (point - a)[..., 0])

    a, b = line[:-1], line[1:]
    return bool(np.any((side(a, b, ends[0]) != side(a, b, ends[1])) & (side(ends[0], ends[1], a) != side(ends[0], ends[1], b))))


@settings(max_examples=25, deadline=None, derandomize=True)
@given(position=st.floats(0.0, 1.0), depth=st.floats(-8.0, -3.0), slope=st.floats(1.6, 2.3))
@example(position=0.8954766724913747, depth=-6.957713343990518, slope=1.8065577018027663)
@example(position=0.25397426014445423, depth=-3.0, slope=1.815885186479418)
@example(position=0.904420493108179, depth=-7.815634666083202, slope=2.0242717948090028)
def test_the_two_images_at_a_caustic_are_found_however_near(position: float, depth: float, slope: float) -> None:
    """A source inside the tangential caustic by 1e-8 to 1e-3 arcsec has two images more than one outside by as much."""
    masses = [power_law(slope), Shear(gamma_1=0.06, gamma_2=0.03)]
    curve = critical_curves(masses, center=CENTER)[0].caustic[:-1]
    at = int(position * (len(curve) - 1))
    along = curve[(at + 1) % len(curve)] - curve[at - 1]
    assume(np.hypot(*along) > 3e-3)  # away from a cusp, where inside is another direction
    normal = np.array([-along[1], along[0]]) / np.hypot(*along)
    sources = curve[at] + np.outer([1.0, -1.0], 10.0**depth * normal)
    assume(
        not crosses(curve[at] + 2.0 * (sources - curve[at]), np.roll(curve, -at - 1, axis=0)[:-1])
    )  # nor at its other side, where it is narrow
    counts = sorted(len(point_images(masses, tuple(source), center=CENTER).x) for source in sources)
    assert counts[1] - counts[0] == 2


def test_images_near_a_fold_are_bright_opposite_and_symmetric() -> None:
    masses = [power_law(2.0), Shear(gamma_1=0.06, gamma_2=0.03)]
    tangential = critical_curves(masses, center=CENTER)[0]
    middle = tangential.caustic[:-1].mean(axis=0)
    point = tangential.caustic[20]
    seen = point_images(masses, tuple(point + 1e-6 * (middle - point) / np.hypot(*(middle - point))), center=CENTER)
    first, second = seen.magnification[:2]
    assert first * second < 0
    assert abs(first / second + 1) < 0.05
    assert abs(first) > 100
    assert np.hypot(seen.x[0] - seen.x[1], seen.y[0] - seen.y[1]) < 0.02
    away = np.linalg.norm(tangential.curve[:, None] - np.stack([seen.x, seen.y], axis=1)[:2], axis=2)
    assert away.min(axis=0).max() < 0.05


def test_fold_images_are_the_root_of_the_distance() -> None:
    """Of the halves of a source's way to the caustic: their distance goes down by sqrt 2 each."""
    masses = [power_law(2.0), Shear(gamma_1=0.06, gamma_2=0.03)]
    tangential = critical_curves(masses, center=CENTER)[0]
    middle = tangential.caustic[:-1].mean(axis=0)
    way = middle - tangential.caustic[20]
    apart = []
    for share in (4e-6, 2e-6, 1e-6):
        seen = point_images(masses, tuple(tangential.caustic[20] + share * way), center=CENTER)
        apart.append(np.hypot(seen.x[0] - seen.x[1], seen.y[0] - seen.y[1]))
    assert np.array(apart[:-1]) / apart[1:] == pytest.approx(np.sqrt([2.0, 2.0]), rel=1e-2)


def test_order_of_arrival() -> None:
    """Minima come before saddles before the maximum; the first image is the global minimum."""
    masses: list[Any] = [power_law(1.6), Shear(gamma_1=0.05, gamma_2=0.0)]
    seen = point_images(masses, (0.15, -0.02), center=CENTER)
    time = arrival_time(masses, seen.x, seen.y, (0.15, -0.02))
    order = np.argsort(time)
    assert seen.parity[order[0]] == 1
    assert seen.is_central[order[-1]]
    assert seen.parity[order[-1]] == 1
    assert 1.0 / seen.magnification == pytest.approx(inverse_magnification(masses, seen.x, seen.y), rel=1e-6)


@pytest.mark.parametrize("radius", [0.3, 20.0])
def test_small_and_large_lenses_far_from_the_origin(radius: float) -> None:
    """The square grows until no image is outside: the outer one of a group's lens is at 27 arcsec."""
    center = (3.0, -2.0)
    seen = point_images([power_law(2.0, center, (0.0, 0.0), radius)], (center[0] + 0.3 * radius, center[1]), center=center)
    assert np.sort(seen.x - center[0]) == pytest.approx([-0.7 * radius, 1.3 * radius], rel=1e-9)
    assert seen.y == pytest.approx([center[1]] * 2, abs=1e-9)


def test_a_halo_has_a_central_image_that_is_not_near_the_center() -> None:
    halo = NFW(center_x=0.0, center_y=0.0, ellipticity_1=0.1, ellipticity_2=0.0, kappa_s=0.6, scale_radius=6.0)
    seen = point_images([halo], (0.3, 0.2), center=(0.0, 0.0))
    assert sum(seen.is_central) == 1
    assert np.hypot(seen.x, seen.y)[seen.is_central][0] > CENTRAL
    assert len(seen.x) == 3


def test_the_very_center_is_an_image_of_a_smooth_lens_only() -> None:
    for slope, n in ((1.7, 5), (2.0, 4)):
        seen = point_images([power_law(slope)], CENTER, center=CENTER)
        assert len(seen.x) == n
        at_center = np.hypot(seen.x - CENTER[0], seen.y - CENTER[1]) < 1e-9
        assert at_center.sum() == n - 4
        assert np.all(np.abs(seen.magnification[at_center]) < 1e-12)


def test_the_ring_of_a_round_lens() -> None:
    seen = point_images([isothermal()], CENTER, center=CENTER)
    assert 0 < len(seen.x) <= MOST_IMAGES
    assert np.hypot(seen.x - CENTER[0], seen.y - CENTER[1]) == pytest.approx(np.full(len(seen.x), 1.2), abs=1e-6)
    assert np.abs(seen.magnification).min() > 1e5


def test_no_lens_has_one_image() -> None:
    seen = point_images(
        [Sheet(center_x=0.0, center_y=0.0, convergence_0=0.2), Shear(gamma_1=0.1, gamma_2=0.0)], (0.4, 0.2), center=(0.0, 0.0)
    )
    assert (seen.x, seen.y) == (pytest.approx([0.4 / 0.7]), pytest.approx([0.2 / 0.9]))
    assert seen.magnification == pytest.approx([1 / 0.63])
