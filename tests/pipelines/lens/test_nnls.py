"""Non-negative least squares against SciPy, on Gram matrices as ill-conditioned as those of Gaussians, and at their edges."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import nnls as scipy_nnls

from fitcore.evaluation import compiled
from pipelines.lens.nnls import RIDGE, nnls

solve = compiled(nnls)


def gaussian_rows(n: int, *, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Whitened rows of ``n`` concentric Gaussians whose widths go down by sqrt 2, and data made of some of them."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(-3, 3, 61), np.linspace(-3, 3, 61))
    square = (x * x + y * y).ravel()
    rows = np.exp(-0.5 * square / (3.6 / np.sqrt(2.0) ** np.arange(n))[:, None] ** 2) / noise
    truth = np.where(rng.uniform(size=n) < 0.4, rng.uniform(0.1, 3.0, size=n), 0.0)
    return rows, truth @ rows + rng.standard_normal(len(square))


def chi2(rows: np.ndarray, data: np.ndarray, amplitudes: np.ndarray) -> float:
    return float(((data - amplitudes @ rows) ** 2).sum())


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("n", [8, 17])
def test_as_good_as_scipy_on_overlapping_gaussians(n: int, seed: int) -> None:
    rows, data = gaussian_rows(n, noise=0.02, seed=seed)
    gram = rows @ rows.T
    amplitudes, active = (np.asarray(part) for part in solve(gram, rows @ data))
    norm = np.linalg.norm(rows, axis=1)
    expected, _ = scipy_nnls((rows / norm[:, None]).T, data)
    assert (amplitudes >= 0).all()
    assert ((amplitudes > 0) == active).all()
    assert chi2(rows, data, amplitudes) - chi2(rows, data, expected / norm) < 1e-3
    gradient = rows @ (data - amplitudes @ rows) / norm
    assert gradient[~active].max(initial=-np.inf) <= 2e-9 * np.abs(rows @ data / norm).max()
    assert np.abs(gradient[active]).max() < 1e-6 * np.abs(rows @ data / norm).max()


def test_two_columns_by_hand() -> None:
    """G = [[1, .5], [.5, 1]], d = (1, -1): the second is held at zero, so the first is 1, up to the ridge."""
    amplitudes, active = solve(np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([1.0, -1.0]))
    assert np.asarray(amplitudes) == pytest.approx([1.0, 0.0], abs=2 * RIDGE)
    assert np.asarray(active).tolist() == [True, False]


def test_a_column_enters_and_leaves_again() -> None:
    """Data negative along the column that looks best alone: the method must drop it after others have entered."""
    rows = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 0.02], [0.0, 1.0, 0.02]])
    data = np.array([1.0, 1.2, 1.0])
    amplitudes, _ = solve(rows @ rows.T, rows @ data)
    expected, _ = scipy_nnls(rows.T, data)
    assert np.asarray(amplitudes) == pytest.approx(expected, abs=1e-6)


def test_scale_of_a_column_does_not_matter() -> None:
    rows, data = gaussian_rows(8, noise=0.02, seed=1)
    size = 10.0 ** np.linspace(-2.0, 2.0, 8)
    plain, _ = solve(rows @ rows.T, rows @ data)
    other, _ = solve((rows * size[:, None]) @ (rows * size[:, None]).T, (rows * size[:, None]) @ data)
    assert np.asarray(other) * size == pytest.approx(np.asarray(plain), rel=1e-6, abs=1e-9)


def test_a_column_of_zeros_gets_no_amplitude() -> None:
    rows, data = gaussian_rows(6, noise=0.02, seed=2)
    expected, _ = solve(rows @ rows.T, rows @ data)
    rows = np.insert(rows, 3, 0.0, axis=0)
    amplitudes, active = (np.asarray(part) for part in solve(rows @ rows.T, rows @ data))
    assert amplitudes[3] == 0.0
    assert not active[3]
    assert np.delete(amplitudes, 3) == pytest.approx(np.asarray(expected), rel=1e-9)


def test_copies_of_a_column_share_the_light() -> None:
    rows, data = gaussian_rows(6, noise=0.02, seed=3)
    twice = np.concatenate([rows, rows])
    amplitudes = np.asarray(solve(twice @ twice.T, twice @ data)[0])
    single = np.asarray(solve(rows @ rows.T, rows @ data)[0])
    assert np.isfinite(amplitudes).all()
    assert (amplitudes >= 0).all()
    assert chi2(twice, data, amplitudes) == pytest.approx(chi2(rows, data, single), abs=1e-3)


def test_nothing_to_fit_gives_zeros() -> None:
    rows, data = gaussian_rows(5, noise=0.02, seed=4)
    amplitudes, active = solve(rows @ rows.T, -np.abs(rows @ data))
    assert not np.asarray(amplitudes).any()
    assert not np.asarray(active).any()
    amplitudes, _ = solve(np.zeros((5, 5)), np.zeros(5))
    assert not np.asarray(amplitudes).any()
