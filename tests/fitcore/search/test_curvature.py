from __future__ import annotations

import numpy as np
import pytest

from fitcore.search.curvature import measured


@pytest.mark.parametrize("scale", [1e-4, 1e-2, 0.3])
def test_the_gaussian_is_found_from_values_close_by(scale: float) -> None:
    """A narrow correlated Gaussian, begun 0.5 standard deviations from its peak."""
    rng = np.random.default_rng(1)
    factor = scale * np.linalg.cholesky(np.array([[1.0, 0.9, 0.0], [0.9, 1.0, 0.3], [0.0, 0.3, 1.0]]))
    center = rng.standard_normal(3)

    def values(z: np.ndarray) -> np.ndarray:
        return 0.5 * np.sum(np.linalg.solve(factor, (z - center).T) ** 2, axis=0) - 3.0

    start = center + factor @ np.full(3, 0.3)
    mode = measured(values, start, float(values(start[None])[0]))
    np.testing.assert_allclose(np.linalg.solve(factor, mode.z - center), 0.0, atol=0.02)
    np.testing.assert_allclose(mode.covariance, factor @ factor.T, rtol=1e-3, atol=1e-3 * scale**2)
    assert mode.value == pytest.approx(-3.0, abs=1e-3)
    assert mode.log_mass == pytest.approx(3.0 + np.log(np.diag(factor)).sum(), abs=2e-3)


def test_a_wall_on_one_side_is_left_out() -> None:
    """An exponential against a wall: its width is of the order of its scale, and the other direction is untouched."""

    def values(z: np.ndarray) -> np.ndarray:
        return np.where(z[:, 0] >= 0.0, z[:, 0] / 0.05 + 0.5 * (z[:, 1] / 0.2) ** 2, np.inf)

    mode = measured(values, np.array([0.0, 0.01]), float(values(np.array([[0.0, 0.01]]))[0]))
    sigma = np.sqrt(np.diag(mode.covariance))
    assert 0.01 < sigma[0] < 0.2
    assert sigma[1] == pytest.approx(0.2, rel=0.01)


def test_what_does_not_matter_is_as_wide_as_the_prior() -> None:
    mode = measured(lambda z: 0.5 * (z[:, 0] / 0.1) ** 2, np.array([0.02, 0.5]), 0.02)
    np.testing.assert_allclose(mode.covariance, np.diag([0.01, 1.0]), atol=1e-6)
