"""Residual statistics against noise of known width and correlation, and a planted patch."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from pipelines.lens.residuals import EDGES, measure

EXTENT = (-3.0, 3.0, -3.0, 3.0)


def noise(n: int = 120, *, width: float = 1.0, blur: float = 0.0, seed: int = 3) -> np.ndarray:
    plane = np.random.default_rng(seed).standard_normal((n, n))
    if blur:
        plane = ndimage.gaussian_filter(plane, blur)
        plane /= plane.std()
    axis = (np.arange(n) + 0.5) * 6.0 / n - 3.0
    plane[np.hypot(*np.meshgrid(axis, axis)) > 2.8] = np.nan
    return width * plane


def test_unit_noise_has_unit_statistics() -> None:
    found = measure(noise(), EXTENT, (0.0, 0.0))
    assert found.deviation == pytest.approx(1.0, abs=0.02)
    assert (found.density * np.diff(EDGES)).sum() == pytest.approx(1.0)
    normal = np.exp(-0.5 * (0.5 * (EDGES[1:] + EDGES[:-1])) ** 2) / np.sqrt(2 * np.pi)
    assert np.abs(found.density - normal).max() < 0.03
    assert np.abs((found.chi_squared - 1.0) / found.error).max() < 4.0
    assert found.radius.max() < 2.8
    assert found.along_x[0] == found.along_y[0] == pytest.approx(1.0)
    assert np.abs(found.along_x[1:]).max() < 0.05


def test_narrow_noise_is_narrow() -> None:
    found = measure(noise(width=0.7), EXTENT, (0.0, 0.0))
    assert found.deviation == pytest.approx(0.7, abs=0.02)
    assert found.chi_squared.mean() == pytest.approx(0.49, abs=0.03)


def test_correlated_noise_is_correlated_along_its_axis() -> None:
    plane = noise(blur=0.0)
    filled = np.where(np.isfinite(plane), plane, 0.0)
    shared = (filled + np.roll(filled, 1, axis=1)) / np.sqrt(2.0)  # neighbors in x share half
    found = measure(np.where(np.isfinite(plane), shared, np.nan), EXTENT, (0.0, 0.0))
    assert found.along_x[1] == pytest.approx(0.5, abs=0.04)
    assert abs(found.along_y[1]) < 0.04


def test_the_worst_patch_is_found_where_it_was_planted() -> None:
    plane = noise()
    plane[85:90, 40:45] += 3.0  # x from -1.0 to -0.75, y from 1.25 to 1.5
    patch = measure(plane, EXTENT, (0.0, 0.0)).patch
    assert patch is not None
    assert (patch.x, patch.y) == pytest.approx((-0.875, 1.375), abs=0.051)
    assert patch.side == pytest.approx(0.25)
    assert patch.total == pytest.approx(15.0, abs=2.5)  # 25 pixels of 3 over the root of 25
    assert patch.sigma == pytest.approx(patch.total, rel=0.15)  # independent noise
    assert patch.peak > 3.0


def test_correlated_noise_makes_no_patch() -> None:
    found = measure(noise(blur=1.5), EXTENT, (0.0, 0.0)).patch
    assert found is not None
    assert abs(found.total) > 8.0
    assert abs(found.sigma) < 5.0


def test_rings_are_around_the_given_center() -> None:
    plane = noise(width=0.1)
    axis = (np.arange(120) + 0.5) * 0.05 - 3.0
    x, y = np.meshgrid(axis, axis)
    ring = np.abs(np.hypot(x - 0.5, y + 0.2) - 1.0) < 0.08
    plane[ring] = 2.0
    found = measure(plane, EXTENT, (0.5, -0.2))
    assert found.radius[np.argmax(found.chi_squared)] == pytest.approx(1.0, abs=0.1)


def test_nothing_is_told_of_nothing() -> None:
    found = measure(np.full((9, 9), np.nan), EXTENT, (0.0, 0.0))
    assert found.n == 0
    assert found.patch is None
    assert found.radius.size == found.lag.size == 0
    flat = measure(np.zeros((9, 9)), EXTENT, (0.0, 0.0))
    assert flat.lag.size == 0
