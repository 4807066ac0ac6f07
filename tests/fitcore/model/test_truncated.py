"""The truncated normal against long arithmetic and scipy, and its projection as a true moment solve."""

from __future__ import annotations

import math

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from fitcore.model import TruncatedNormal

# x at z = -8, -1, 0.5, 4 by 400-digit bisection on the exact distribution function (mpmath), rounded to 17 digits
TAIL = [
    ((0, 1, 12, 20), [12.0, 12.014289794731196, 12.09693954181153, 12.829195326574212]),
    ((0, 1, -20, -12), [-14.616320030956789, -12.15143182302496, -12.03049808921697, -12.000002621352303]),
    ((0, 1, 12, 12.5), [12.0, 12.014257046711828, 12.096553797825429, 12.498813048056912]),
    ((1, 0.5, 0, 3), [5.629863908188133e-15, 0.5380917531180874, 1.2599879755171806, 2.917815908735982]),
    ((-1e4, 1, 0, 0.1), [6.220960512062182e-20, 1.727537771466928e-05, 0.00011759117429206593, 0.0010360100846267843]),
    ((0, 1, 5, math.inf), [5.0, 5.033205495928957, 5.222120770122186, 6.720122198035292]),
]
Z = np.array([-8.0, -1.0, 0.5, 4.0])


@pytest.mark.parametrize(("numbers", "expected"), TAIL)
@pytest.mark.parametrize("xp", [np, jnp])
def test_quantiles_against_long_arithmetic(numbers, expected: list[float], xp) -> None:
    prior = TruncatedNormal(*numbers)
    np.testing.assert_allclose(np.asarray(prior.from_probit(xp.asarray(Z))), expected, rtol=1e-12)
    if prior.lower == 0.0:
        np.testing.assert_allclose(np.asarray(prior.probit(xp.asarray(expected)))[:3], Z[:3], atol=1e-9)


@pytest.mark.parametrize("sign", [1, -1])
def test_probit_resolves_both_tails_twelve_sigma_out(sign: int) -> None:
    prior = TruncatedNormal(-12 * sign, 1, *sorted((0.0, 3.0 * sign)))
    z = np.linspace(-8, 6, 57) * sign  # towards 0, where doubles are dense
    np.testing.assert_allclose(prior.probit(prior.from_probit(z)), z, atol=1e-9)


def test_agrees_with_scipy_where_scipy_is_accurate() -> None:
    prior, truth = TruncatedNormal(1, 0.5, 0, 3), scipy.stats.truncnorm(-2, 4, loc=1, scale=0.5)
    u, x = np.linspace(0.01, 0.99, 21), np.linspace(0, 3, 13)
    np.testing.assert_allclose(prior.transform(u), truth.ppf(u), rtol=1e-12)
    np.testing.assert_allclose(prior.log_prob(x), truth.logpdf(x), rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(prior.inverse(x[1:-1]), truth.cdf(x[1:-1]), rtol=1e-12)


def test_wide_limits_are_a_plain_normal() -> None:
    prior = TruncatedNormal(3, 2, -1e9, math.inf)
    z = np.linspace(-30, 30, 61)
    np.testing.assert_allclose(prior.from_probit(z), 3 + 2 * z, rtol=1e-13, atol=1e-12)
    np.testing.assert_allclose(prior.probit(3 + 2 * z), z, rtol=1e-12, atol=1e-12)


def test_a_very_wide_parent_is_uniform() -> None:
    prior = TruncatedNormal(0.5, 1e8, 0, 1)
    u = np.linspace(0, 1, 21)
    np.testing.assert_allclose(prior.transform(u), u, atol=1e-12)
    np.testing.assert_allclose(prior.log_prob(u), 0.0, atol=1e-12)


@pytest.mark.parametrize(
    "truth",
    [TruncatedNormal(3, 1, 0, 10), TruncatedNormal(0.5, 1, 0, 3), TruncatedNormal(-1, 1, 0, 5), TruncatedNormal(0, 1, -1, math.inf)],
    ids=str,
)
def test_projection_solves_for_the_parent(truth: TruncatedNormal) -> None:
    n = 200_000
    x = np.asarray(truth.transform((np.arange(n) + 0.5) / n))
    projected = truth.project(x, np.zeros(n))
    assert (projected.lower, projected.upper) == truth.support
    assert projected.mean == pytest.approx(truth.mean, abs=2e-3)
    assert projected.sigma == pytest.approx(truth.sigma, rel=1e-3)
    low, high = (np.array(truth.support) - projected.mean) / projected.sigma
    mean, variance = scipy.stats.truncnorm.stats(low, high, loc=projected.mean, scale=projected.sigma)
    assert float(mean) == pytest.approx(x.mean(), rel=1e-8)
    assert float(variance) == pytest.approx(x.var(), rel=1e-7)


def test_projection_keeps_weighted_moments_where_truncation_is_negligible() -> None:
    x, w = np.array([2, 3, 4, 3.5, 2.5]), np.array([0.1, 0.35, 0.25, 0.2, 0.1])
    assert TruncatedNormal(3, 1, 0, 10).project(x, np.log(w)) == TruncatedNormal(3.2, 0.6204836823, 0, 10)


def test_a_width_that_values_cannot_resolve_keeps_its_density() -> None:
    prior = TruncatedNormal(3, 1e-30, 0, 10)
    assert float(prior.log_prob(3.0)) == pytest.approx(-0.5 * math.log(2 * math.pi) - math.log(1e-30), rel=1e-14)


def test_samples_heaped_on_both_limits_give_the_widest_prior() -> None:
    projected = TruncatedNormal(0, 1, -1, 1).project([-1, -1, 1], np.zeros(3))
    assert projected.sigma == pytest.approx(20.0, rel=1e-6)
    x = np.asarray(projected.transform((np.arange(10_000) + 0.5) / 10_000))
    assert x.mean() == pytest.approx(-1 / 3, abs=1e-6)


def test_samples_of_a_power_law_on_half_a_line_give_a_sane_prior() -> None:
    x = np.random.default_rng(0).pareto(1.5, 10_000)
    projected = TruncatedNormal(1, 1, 0, math.inf).project(x, np.zeros(x.size))
    assert projected.sigma > 0
    assert np.all(np.isfinite(projected.transform(np.array([0, 0.5, 1]))))
    u = (np.arange(200_000) + 0.5) / 200_000
    assert np.asarray(projected.transform(u)).mean() == pytest.approx(x.mean(), rel=1e-3)
