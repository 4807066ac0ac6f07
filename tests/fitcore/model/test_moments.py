"""Weighted moments and the truncated normal that has given ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from fitcore.errors import LinkError
from fitcore.model.moments import linked_mean, mean_and_sigma, truncated_moments, truncated_parents, usable_samples


def test_two_passes_lose_nothing_to_a_large_mean() -> None:
    x = 1e8 + np.array([0, 0.1, 0.2, 0.3])
    mean, sigma = mean_and_sigma(x, np.full(4, 0.25))
    assert sigma == pytest.approx(np.std(x), rel=1e-14)
    assert mean == pytest.approx(1e8 + 0.15, rel=1e-15)


def test_the_mean_of_many_samples_far_from_zero_is_exact() -> None:
    rng = np.random.default_rng(1)
    x, weight = 1e8 + 0.1 + 1e-3 * rng.standard_normal(200_001), rng.random(200_001)
    weight /= weight.sum()
    exact = 1e8 + math.fsum(weight * (x - 1e8)) / math.fsum(weight)
    assert mean_and_sigma(x, weight)[0] == pytest.approx(exact, abs=float(np.spacing(1e8)))


@pytest.mark.parametrize(("a", "b"), [(-1.0, 2.0), (-3.0, 0.5), (0.0, math.inf), (-math.inf, -1.0), (2.0, 3.0), (-8.0, 8.0)])
def test_moments_of_a_truncated_normal_are_scipys(a: float, b: float) -> None:
    mean, variance = scipy.stats.truncnorm.stats(a, b)
    assert truncated_moments(a, b)[0] == pytest.approx(float(mean), rel=1e-10, abs=1e-12)
    assert truncated_moments(a, b)[1] == pytest.approx(float(variance), rel=1e-8)


def test_moments_far_out_are_those_of_an_exponential() -> None:
    mean, variance = truncated_moments(1e4, math.inf)
    assert mean - 1e4 == pytest.approx(1e-4, rel=1e-7)
    assert math.sqrt(variance) == pytest.approx(1e-4, rel=1e-7)


@given(st.floats(-3, 4), st.floats(0.1, 3))
@settings(max_examples=150, deadline=None)
def test_the_parent_is_found_from_the_moments(mean: float, sigma: float) -> None:
    center, variance = truncated_moments((0.0 - mean) / sigma, (1.0 - mean) / sigma)
    parent = truncated_parents(mean + sigma * center, sigma * math.sqrt(variance), 0.0, 1.0)
    low, high = ((limit - parent[0]) / parent[1] for limit in (0.0, 1.0))
    again = truncated_moments(low, high)
    assert parent[0] + parent[1] * again[0] == pytest.approx(mean + sigma * center, abs=1e-9)
    assert parent[1] * math.sqrt(again[1]) == pytest.approx(sigma * math.sqrt(variance), rel=1e-7)


def test_a_sample_beyond_a_limit_by_rounding_is_put_on_it() -> None:
    support = 1e8, 1e8 + 1
    values, _ = usable_samples([np.nextafter(1e8, 0), 1e8 + 0.5], np.zeros(2), support, "p")
    assert values.tolist() == [1e8, 1e8 + 0.5]
    with pytest.raises(LinkError, match="outside the support"):
        usable_samples([1e8 - 1e-6, 1e8 + 0.5], np.zeros(2), support, "p")


def test_negligible_truncation_changes_nothing() -> None:
    assert truncated_parents(3.2, 0.62, 0.0, 10.0) == (3.2, 0.62)
    assert truncated_parents(3.2, 0.9, 0.0, 10.0) != (3.2, 0.9)


def test_means_are_rounded_to_twelve_digits_unless_that_would_move_a_narrow_prior() -> None:
    assert linked_mean(1 / 3, 0.1) == 0.333333333333
    assert abs(linked_mean(1e8 + 1e-5, 1e-6) - (1e8 + 1e-5)) < 2e-8


def test_a_mean_that_is_zero_but_for_rounding_carries_no_noise() -> None:
    assert linked_mean(-2.359e-16, 2.3) == 0.0
    assert linked_mean(0.0123456789012345, 1.0) == 0.01234567890
    assert linked_mean(-0.475552123456789, 0.179) == -0.475552123457
    assert linked_mean(1e-20, 1e-18) == 1e-20
