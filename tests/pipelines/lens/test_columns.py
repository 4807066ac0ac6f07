"""Gaussian bases: the squaring chain against plain exponentials, the slope against differences, and the component."""

from __future__ import annotations

import numpy as np
import pytest

from fitcore.model import Model, Normal, TruncatedNormal
from pipelines.lens.columns import GaussianBasis, images, radius_squared, slope_image, sub_pixel_mean
from pipelines.lens.light import Gaussian

BASIS = GaussianBasis(center_x=0.1, center_y=-0.2, ellipticity_1=0.2, ellipticity_2=-0.1, sigma_max=3.6, n=18)


def sub_pixels(n: int = 21) -> tuple[np.ndarray, np.ndarray]:
    """Positions on a 2 x 2 sub-grid of 0.1 arcsec pixels, shape (4, n, n)."""
    axis = (np.arange(n) - n // 2) * 0.1
    x, y = np.meshgrid(axis, axis)
    shifts = [(-0.025, -0.025), (0.025, -0.025), (-0.025, 0.025), (0.025, 0.025)]
    return np.stack([x + dx for dx, _ in shifts]), np.stack([y + dy for _, dy in shifts])


def test_members_are_gaussians_with_widths_down_by_sqrt_2() -> None:
    x, y = sub_pixels()
    square = np.asarray(BASIS.radius_squared(x, y))
    columns = np.asarray(images(square, BASIS.sigma_max, BASIS.n))
    assert columns.shape == (18, 21, 21)
    assert BASIS.sigmas[[0, 1, 2, 17]] == pytest.approx([3.6, 3.6 / np.sqrt(2), 1.8, 3.6 / 2**8.5], rel=1e-14)
    for column, sigma in zip(columns, BASIS.sigmas, strict=True):
        member = Gaussian(center_x=0.1, center_y=-0.2, ellipticity_1=0.2, ellipticity_2=-0.1, intensity=1.0, sigma=float(sigma))
        assert column == pytest.approx(np.asarray(member.surface_brightness(x, y)).mean(axis=0), rel=1e-9, abs=1e-12)


def test_radius_squared_is_on_the_intermediate_axis() -> None:
    """q = 0.5 along x: e_1 = 1/3; q x^2 at (2, 0) and y^2 / q at (0, 2)."""
    assert radius_squared(np.array([2.0, 0.0]), np.array([0.0, 2.0]), 1 / 3, 0.0) == pytest.approx([2.0, 8.0], rel=1e-14)


def test_slope_is_the_derivative_of_the_summed_light() -> None:
    x, y = sub_pixels()
    square = np.asarray(BASIS.radius_squared(x, y))
    amplitudes = np.random.default_rng(0).uniform(0.0, 2.0, 8)
    step = 1e-6

    def summed(value: np.ndarray) -> np.ndarray:
        widths = 0.7 / np.sqrt(2.0) ** np.arange(8)
        return (amplitudes[:, None, None, None] * np.exp(-0.5 * value / widths[:, None, None, None] ** 2)).sum(axis=0)

    expected = (summed(square + step) - summed(square - step)) / (2 * step)
    assert np.asarray(slope_image(square, amplitudes, 0.7)) == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_mean_over_sub_pixels() -> None:
    values = np.random.default_rng(1).standard_normal((9, 4, 5))
    assert sub_pixel_mean(values) == pytest.approx(values.mean(axis=0), rel=1e-14)


def test_in_a_model_sizes_are_not_parameters() -> None:
    basis = GaussianBasis(
        center_x=Normal(0.0, 0.1),
        center_y=Normal(0.0, 0.1),
        ellipticity_1=TruncatedNormal(0.0, 0.1, -0.5, 0.5),
        ellipticity_2=0.0,
        sigma_max=0.35,
        n=10,
    )
    model = Model({"main": basis})
    assert model.paths == ("main.center_x", "main.center_y", "main.ellipticity_1")
    instance = model.instance_from_vector(np.array([0.1, 0.2, 0.3]))["main"]
    assert (instance.n, instance.sigma_max) == (10, 0.35)
    assert Model.from_dict(model.to_dict()) == model
