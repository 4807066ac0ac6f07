from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kurtosis, skew

from fitcore.search.bending import Bending, fit_bending
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
