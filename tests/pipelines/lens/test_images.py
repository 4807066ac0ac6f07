"""Images of a point source, against lenses whose images are known in closed form."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.lens.images import CLOSED, point_images
from pipelines.lens.mass import Isothermal, PowerLaw, Shear
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


def test_a_source_far_outside_the_square_has_no_image_there() -> None:
    seen = point_images([isothermal()], (9.0, 9.0), center=CENTER)
    assert seen.x.shape == seen.y.shape == seen.magnification.shape == seen.is_central.shape == (0,)
