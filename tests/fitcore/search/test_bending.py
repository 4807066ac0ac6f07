from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from fitcore.search.bending import Bending, fit_bending, fit_triangle
from fitcore.search.problems import banana, gaussian


@pytest.fixture
def bending() -> Bending:
    found = fit_bending(banana(6).draw(4000, np.random.default_rng(1)), np.full(4000, 1 / 4000))
    assert len(found) > 0
    return found


def test_the_inverse(bending: Bending) -> None:
    z = 3.0 * np.random.default_rng(1).standard_normal((200, 6))
    np.testing.assert_allclose(bending.bent(bending.straighten(z)), z, rtol=1e-9, atol=1e-9)


def test_the_jacobian_is_constant(bending: Bending) -> None:
    for z in np.random.default_rng(1).standard_normal((5, 6)):
        assert np.linalg.slogdet(bending.jacobian(z))[1] == pytest.approx(-bending.log_volume, abs=1e-6)


def test_it_straightens_a_banana(bending: Bending) -> None:
    """Fresh draws: no direction among many is left with much skewness or kurtosis."""
    z = banana(6).draw(20_000, np.random.default_rng(2))
    x = bending.straighten(z)
    directions = np.random.default_rng(3).standard_normal((6, 300))

    def whitened(points: np.ndarray) -> np.ndarray:
        centered = points - points.mean(axis=0)
        return np.linalg.solve(np.linalg.cholesky(np.cov(points.T)), centered.T).T

    before, after = whitened(z) @ directions, whitened(x) @ directions
    assert np.max(np.abs(skew(after))) < 0.3 * np.max(np.abs(skew(before)))
    assert np.max(kurtosis(after)) < 0.3 * np.max(kurtosis(before))


def test_a_gaussian_is_left_alone() -> None:
    for seed in range(5):
        assert len(fit_bending(gaussian(8).draw(2000, np.random.default_rng(seed)), np.full(2000, 1 / 2000))) == 0


def test_few_points_bend_nothing() -> None:
    assert len(fit_bending(banana(6).draw(20, np.random.default_rng(1)), np.full(20, 1 / 20))) == 0
    assert len(fit_bending(np.random.default_rng(1).standard_normal((100, 1)), np.full(100, 0.01))) == 0


def test_the_identity() -> None:
    z = np.random.default_rng(1).standard_normal((5, 3))
    none = Bending.none(3)
    np.testing.assert_array_equal(none.straighten(z), z)
    np.testing.assert_array_equal(none.bent(z), z)
    assert none.log_volume == 0.0


def sheet(n: int, rng: np.random.Generator) -> np.ndarray:
    """Eight dimensions: four broad ones, and four narrow ones that are quadratic functions of those."""
    y = rng.standard_normal((n, 8))
    for k in range(4, 8):
        y[:, k] += 0.8 * y[:, k - 4] * y[:, k - 3] + 0.5 * y[:, k - 4] ** 2
    y[:, 4:] *= 0.02
    return y @ np.linalg.qr(np.random.default_rng(1).standard_normal((8, 8)))[0] + 0.3


@pytest.fixture
def triangle() -> Bending:
    found = fit_triangle(sheet(3000, np.random.default_rng(1)), np.full(3000, 1 / 3000))
    assert len(found) == 1
    return found


def test_the_inverse_of_a_triangle(triangle: Bending) -> None:
    z = sheet(500, np.random.default_rng(2))
    np.testing.assert_allclose(triangle.bent(triangle.straighten(z)), z, rtol=1e-10, atol=1e-10)
    there = triangle.embed([9, 3, 0, 4, 8, 5, 6, 1], 10)
    wide = np.random.default_rng(3).standard_normal((500, 10))
    wide[:, [9, 3, 0, 4, 8, 5, 6, 1]] = z
    np.testing.assert_allclose(there.bent(there.straighten(wide)), wide, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(there.straighten(wide)[:, [9, 3, 0, 4, 8, 5, 6, 1]], triangle.straighten(z), atol=1e-10)


def test_the_jacobian_of_a_triangle_is_constant(triangle: Bending) -> None:
    for z in sheet(5, np.random.default_rng(4)):
        assert np.linalg.slogdet(triangle.jacobian(z))[1] == pytest.approx(-triangle.log_volume, abs=1e-6)


def test_a_triangle_straightens_a_sheet_that_is_bent_in_many_directions(triangle: Bending) -> None:
    """Squared distances of fresh draws have about the variance of those of a Gaussian, which is 16; it was three times as much and more."""
    z = sheet(20_000, np.random.default_rng(5))

    def variance(points: np.ndarray) -> float:
        centered = points - points.mean(axis=0)
        return float(np.var(np.einsum("ni,ij,nj->n", centered, np.linalg.inv(np.cov(points.T)), centered)))

    assert variance(z) > 3.0 * 16.0
    assert 12.0 < variance(triangle.straighten(z)) < 16.0 + 0.2 * (variance(z) - 16.0)


def test_no_triangle_for_a_gaussian_few_points_or_one_dimension() -> None:
    gaussians = [fit_triangle(gaussian(8).draw(2000, np.random.default_rng(s)), np.full(2000, 1 / 2000)) for s in range(5)]
    z = gaussian(8).draw(20_000, np.random.default_rng(9))
    for found in gaussians:  # what noise has bent is small
        if len(found):
            x = found.straighten(z)
            straight = np.linalg.solve(found.factor[0], (z - found.center[0]).T).T
            assert np.std(x - straight) < 0.08
    assert len(fit_triangle(sheet(30, np.random.default_rng(1)), np.full(30, 1 / 30))) == 0
    assert len(fit_triangle(np.random.default_rng(1).standard_normal((100, 1)), np.full(100, 0.01))) == 0
    same = np.full((100, 3), 0.5)
    assert len(fit_triangle(same, np.full(100, 0.01))) == 0
