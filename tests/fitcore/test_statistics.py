"""Weighted statistics against corner, NumPy and scipy."""

from __future__ import annotations

import corner
import numpy as np
import pytest
import scipy.special
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcore.errors import SpecError
from fitcore.statistics import (
    central_interval,
    known_quantile,
    systematic_resampling,
    weighted_covariance,
    weighted_mean,
    weighted_quantile,
)


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(1e-3, 1)), min_size=2, max_size=30), st.floats(0, 1))
@settings(max_examples=300, deadline=None)
def test_quantiles_follow_corner(pairs: list[tuple[float, float]], q: float) -> None:
    x, weight = map(np.array, zip(*pairs, strict=True))
    order = np.argsort(x, kind="stable")  # corner's own sort is not stable, which matters for equal values of unequal weight
    assert weighted_quantile(x, [q], weight)[0] == pytest.approx(corner.quantile(x[order], [q], weight[order])[0], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("n_values", [2, 7, 1000, 10**9])
def test_quantiles_are_those_of_a_stable_sort_to_the_last_bit(n_values: int) -> None:
    """Equal values keep the order in which they came, and so do their weights."""
    rng = np.random.default_rng(n_values)
    q = rng.random(50)
    for n in (1, 2, 17, 1000):
        x, weight = np.round(rng.integers(0, n_values, n) - 0.5 * n_values, 3), rng.random(n)
        x[x == x.max()] = np.inf
        order = np.argsort(x, kind="stable")
        below = np.concatenate([[0.0], np.cumsum(weight[order])[:-1]])
        with np.errstate(invalid="ignore"):
            expected = np.interp(q, below / below[-1], x[order]) if n > 1 else np.full(50, x[0])
            found = weighted_quantile(x, q, weight)
        assert found.tobytes() == expected.tobytes()


def test_systematic_resampling_takes_each_as_often_as_it_weighs() -> None:
    rng = np.random.default_rng(3)
    for n in (1, 3, 500, 20_000):
        weight = rng.random(200) ** 4
        weight[[0, 7, 8, 199]] = 0.0
        weight /= weight.sum()
        index = systematic_resampling(weight, n, seed=n)
        taken = np.bincount(index, minlength=200)
        assert index.shape == (n,)
        assert np.all(np.abs(taken - n * weight) < 1.0 + 1e-9)
        assert np.all(taken[weight == 0.0] == 0)
        np.testing.assert_array_equal(index, systematic_resampling(weight, n, seed=n))
    assert not np.array_equal(index, systematic_resampling(weight, n, seed=1))
    # shuffled: a draw says nothing of the next
    assert abs(np.corrcoef(index[:-1], index[1:])[0, 1]) < 4.0 / np.sqrt(n)
    with pytest.raises(SpecError, match="n is 0; it must be at least 1"):
        systematic_resampling(weight, 0, seed=1)


def test_systematic_resampling_is_without_bias() -> None:
    weight = np.array([0.05, 0.15, 0.3, 0.5])
    taken = np.mean([np.bincount(systematic_resampling(weight, 2, seed), minlength=4) for seed in range(4000)], axis=0)
    np.testing.assert_allclose(taken, 2 * weight, atol=4 * 0.5 / np.sqrt(4000))


def test_equal_weights_are_numpys_percentiles() -> None:
    x = np.random.default_rng(0).normal(size=101)
    np.testing.assert_allclose(weighted_quantile(x, [0.1, 0.5, 0.9]), np.percentile(x, [10, 50, 90]), rtol=1e-13)


def test_one_value_or_one_weight_is_its_own_quantile() -> None:
    np.testing.assert_array_equal(weighted_quantile([3.0], [0.0, 0.5, 1.0]), [3.0, 3.0, 3.0])
    np.testing.assert_array_equal(weighted_quantile([3.0, 5.0], [0.0, 1.0], [0.0, 1.0]), [5.0, 5.0])


def test_wrong_input_is_refused() -> None:
    with pytest.raises(SpecError, match=r"q is .*; it must lie in \[0, 1\]"):
        weighted_quantile([1.0, 2.0], 1.5)
    with pytest.raises(SpecError, match=r"both must be \(n,\), n > 0"):
        weighted_quantile([1.0, 2.0], 0.5, [1.0])


def test_central_interval_is_the_normals() -> None:
    for sigma in (1.0, 2.0, 3.0):
        np.testing.assert_allclose(central_interval(sigma), scipy.special.ndtr([-sigma, sigma]), rtol=1e-13)


def test_mean_and_covariance_are_numpys() -> None:
    rng = np.random.default_rng(1)
    x, weight = rng.normal(size=(50, 3)), rng.random(50)
    weight /= weight.sum()
    np.testing.assert_allclose(weighted_mean(x, weight), np.average(x, axis=0, weights=weight), rtol=1e-12)
    np.testing.assert_allclose(weighted_covariance(x, weight), np.cov(x, rowvar=False, aweights=weight), rtol=1e-12)


def test_unknown_values_are_left_out_of_their_column_only() -> None:
    rng = np.random.default_rng(2)
    x, weight = rng.normal(size=(50, 3)), rng.random(50)
    weight /= weight.sum()
    x[:10, 1] = np.nan
    x[:, 2] = np.nan
    mean, covariance = weighted_mean(x, weight), weighted_covariance(x, weight)
    assert mean[0] == pytest.approx(np.average(x[:, 0], weights=weight), rel=1e-13)
    assert mean[1] == pytest.approx(np.average(x[10:, 1], weights=weight[10:]), rel=1e-13)
    assert np.isnan(mean[2])
    np.testing.assert_allclose(covariance[1, 1], np.cov(x[10:, 1], aweights=weight[10:]), rtol=1e-12)
    assert np.isnan(covariance[2]).all()
    assert known_quantile(x[:, 1], [0.5], weight)[0] == pytest.approx(weighted_quantile(x[10:, 1], [0.5], weight[10:])[0])
    assert np.isnan(known_quantile(x[:, 2], [0.5], weight)).all()
