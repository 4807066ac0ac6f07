"""Simulation-based calibration (Talts et al. 2018, arXiv:1804.06788): truths drawn from the prior, data from the truths, a fit of each.

Where posteriors are right, the share of each posterior below its truth is uniform.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtr, ndtri
from scipy.stats import chi2, kstest

import fitcore as fc

N_EFF = 300
SEARCH = fc.Nautilus(n_live=60, n_eff=N_EFF)
DESIGN = np.array([[1.0, 0.2, -0.5], [0.3, 1.0, 0.4], [0.0, -0.6, 1.0], [0.8, 0.8, 0.8], [-0.5, 0.3, 0.9]])
NOISE = 0.5


class Linear(fc.Analysis):
    """y = DESIGN theta + noise, with normal priors: the posterior is a Gaussian that is known."""

    model = fc.Model({"theta": [fc.Normal(0.0, 1.0), fc.Normal(1.0, 2.0), fc.Normal(-1.0, 0.5)]})

    def __init__(self, y: np.ndarray) -> None:
        super().__init__()
        self.y = y

    @staticmethod
    def simulated(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return DESIGN @ theta + NOISE * rng.standard_normal(len(DESIGN))

    def log_likelihood_function(self, instance: Any) -> float:
        residual = self.y - DESIGN @ np.array(instance["theta"])
        return -0.5 * float(residual @ residual) / NOISE**2


class Funnel(fc.Analysis):
    """Two numbers whose spread exp(v / 2) is itself a parameter (Neal 2003, Ann. Stat. 31, 705), seen through noise."""

    model = fc.Model({"v": fc.Normal(0.0, 1.5), "x": [fc.Normal(0.0, 1.0) for _ in range(2)]})

    def __init__(self, y: np.ndarray) -> None:
        super().__init__()
        self.y = y

    @staticmethod
    def simulated(theta: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return theta[1:] * np.exp(0.5 * theta[0]) + NOISE * rng.standard_normal(2)

    def log_likelihood_function(self, instance: Any) -> float:
        residual = self.y - np.array(instance["x"]) * np.exp(0.5 * instance["v"])
        return -0.5 * float(residual @ residual) / NOISE**2


def shares_below_truth(kind: Any, n: int, look: Callable[[fc.Result, np.ndarray], None] = lambda result, y: None) -> np.ndarray:
    """Weights of each posterior below the truth, shape (n, n_dim)."""
    rng = np.random.default_rng(11)
    shares = []
    for seed in range(n):
        truth = np.asarray(kind.model.prior_transform(rng.random(kind.model.n_dim)))
        y = kind.simulated(truth, rng)
        result = fc.fit(kind.model, kind(y), SEARCH, seed=seed, progress=False)
        samples = result.samples
        shares.append(samples.weight @ (samples.parameters < truth))
        look(result, y)
    return np.array(shares)


def assert_uniform(shares: np.ndarray) -> None:
    """Each parameter's shares against the uniform distribution: Kolmogorov-Smirnov, and the spread of their normal scores.

    At 0.1 % for the smallest of all parameters together.
    """
    n, d = shares.shape
    scores = ndtri(np.clip(shares, 1e-4, 1.0 - 1e-4))
    spread = np.sum(scores**2, axis=0)
    assert np.min([kstest(column, "uniform").pvalue for column in shares.T]) > 1e-3 / d
    assert chi2.cdf(spread, n).min() > 5e-4 / d
    assert chi2.sf(spread, n).min() > 5e-4 / d


def exact_posterior(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, sigma = np.array([0.0, 1.0, -1.0]), np.array([1.0, 2.0, 0.5])
    precision = DESIGN.T @ DESIGN / NOISE**2 + np.diag(1.0 / sigma**2)
    covariance = np.linalg.inv(precision)
    return covariance @ (DESIGN.T @ y / NOISE**2 + mean / sigma**2), covariance


def calibrated_linear(n: int) -> None:
    pulls, widths = [], []

    def look(result: fc.Result, y: np.ndarray) -> None:
        center, covariance = exact_posterior(y)
        sigma, samples = np.sqrt(np.diag(covariance)), result.samples
        pulls.append((samples.mean() - center) / sigma * np.sqrt(samples.effective_sample_size))
        widths.append(np.sqrt(np.diag(samples.covariance())) / sigma)

    assert_uniform(shares_below_truth(Linear, n, look))
    # Weights grow with the distance, so that moments scatter by a little more than as many equal weights would.
    assert np.sqrt(np.mean(np.square(pulls))) < 1.3
    assert np.mean(widths) == pytest.approx(1.0, abs=4.0 * 1.3 / np.sqrt(2.0 * N_EFF * 3 * n))


def test_linear_gaussian_in_thirty_simulations() -> None:
    calibrated_linear(30)


def test_funnel_in_thirty_simulations() -> None:
    assert_uniform(shares_below_truth(Funnel, 30))


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_linear_gaussian_in_two_hundred_simulations() -> None:
    calibrated_linear(200)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_funnel_in_two_hundred_simulations() -> None:
    assert_uniform(shares_below_truth(Funnel, 200))


def test_a_posterior_too_narrow_or_moved_is_noticed() -> None:
    rng = np.random.default_rng(1)
    right = rng.random((30, 3))
    assert_uniform(right)
    for wrong in (ndtr(1.8 * ndtri(right)), ndtr(ndtri(right) + 0.9), ndtr(0.5 * ndtri(right))):
        with pytest.raises(AssertionError):
            assert_uniform(wrong)
