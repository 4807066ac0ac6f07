"""Counting images where their number is known, telling solutions apart, and ranking them."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.lens.marquardt import Minimum
from pipelines.lens.modes import (
    by_objective,
    count_images,
    count_images_at,
    count_images_of,
    distinct,
    ranked,
    same_position,
    same_radius,
    source_plane_of,
)
from pipelines.lens.stages import isothermal_model


def vector(
    radius: float = 1.2,
    *,
    source: tuple[float, float] = (0.0, 0.0),
    ellipticity: tuple[float, float] = (0.0, 0.0),
    shear: tuple[float, float] = (0.0, 0.0),
    center: tuple[float, float] = (0.0, 0.0),
) -> np.ndarray:
    return np.array([0, 0, 0, 0, 0, 0, *center, *ellipticity, radius, *shear, *source, 0.0, 0.0], dtype=float)


def minimum(p: np.ndarray, objective: float) -> Minimum:
    return Minimum(p=p, objective=objective, chi2=objective, curvature=np.eye(17), parameters=np.arange(17), n_evaluations=1)


ONE_IMAGE, TWO_IMAGES = vector(source=(1.5, 0.0)), vector(source=(0.4, 0.1))


@pytest.mark.parametrize(
    ("p", "count"),
    [
        (TWO_IMAGES, 2),
        (ONE_IMAGE, 1),  # a source farther out than the Einstein radius of a round lens
        (vector(source=(0.03, 0.02), ellipticity=(0.2, 0.0)), 4),
        (vector(source=(0.02, 0.01), shear=(0.1, 0.0)), 4),
        (vector(source=(0.5, 0.0), ellipticity=(0.05, 0.0)), 2),
        (vector(source=(0.7, 0.4), center=(0.3, 0.3)), 2),
    ],
)
def test_number_of_images(p: np.ndarray, count: int) -> None:
    assert count_images(p) == count
    model = isothermal_model()
    assert count_images_of(model.instance_from_vector(np.append(p, np.zeros(4)))) == count
    instance = model.instance_from_vector(np.append(p, np.zeros(4)))
    assert count_images_at([instance["mass"], instance["shear"]], (p[13], p[14]), (p[6], p[7])) == count


def test_positions_in_the_source_plane_by_hand() -> None:
    """A round lens of 1.2 deflects by 1.2 outward; the shear by (g1 x + g2 y, g2 x - g1 y)."""
    beta_x, beta_y = source_plane_of(vector(shear=(0.1, 0.02), source=(0.3, -0.1)), np.array([2.0]), np.array([0.0]))
    assert (beta_x[0], beta_y[0]) == pytest.approx((2.0 - 1.2 - 0.2 - 0.3, 0.0 - 0.04 + 0.1))


def test_two_images_rank_before_one_however_good_it_is() -> None:
    order = ranked([minimum(ONE_IMAGE, 1.0), minimum(TWO_IMAGES, 50.0), minimum(TWO_IMAGES, 20.0)])
    assert [m.objective for m in order] == [20.0, 50.0, 1.0]


def test_merging_keeps_the_preferred_one() -> None:
    """A solution with one image is no reason to lose one of the same radius with two."""
    kept = distinct(
        ranked([minimum(ONE_IMAGE, 1.0), minimum(TWO_IMAGES, 50.0), minimum(vector(2.0, source=(0.5, 0.0)), 60.0)]), same_radius(0.05)
    )
    assert [m.objective for m in kept] == [50.0, 60.0]
    assert [m.objective for m in distinct(by_objective([minimum(TWO_IMAGES, 50.0), minimum(ONE_IMAGE, 1.0)]), same_radius(0.05))] == [1.0]


def test_same_solution_by_radius_and_by_position() -> None:
    near, far = vector(1.22, source=(0.05, 0.0)), vector(1.22, source=(0.1, 0.0))
    assert same_position(0.04, 0.08)(vector(), near)
    assert not same_position(0.04, 0.08)(vector(), far)
    assert not same_position(0.01, 0.08)(vector(), near)
    assert same_radius(0.05)(vector(), far)
    assert not same_radius(0.05)(vector(1.0), vector(1.2))
