from __future__ import annotations

import numpy as np
import pytest
from blackjax.diagnostics import effective_sample_size, potential_scale_reduction
from scipy.special import ndtri

from fitcore.search.convergence import _rank_normalized, _split, bulk_effective_sample_size, r_hat


def autoregressive(rho: float, n: int = 4000, seed: int = 1) -> np.ndarray:
    """Four chains of unit variance, correlation ``rho`` from draw to draw."""
    rng = np.random.default_rng(seed)
    chains = rng.standard_normal((4, n))
    for i in range(1, n):
        chains[:, i] = rho * chains[:, i - 1] + np.sqrt(1 - rho**2) * chains[:, i]
    return chains


@pytest.mark.parametrize("rho", [-0.5, 0.0, 0.5, 0.9])
def test_the_effective_sample_size_of_autoregressive_chains(rho: float) -> None:
    chains = autoregressive(rho)
    assert bulk_effective_sample_size(chains) == pytest.approx(chains.size * (1 - rho) / (1 + rho), rel=0.15)
    assert r_hat(chains) < 1.01


@pytest.mark.parametrize("rho", [0.0, 0.7])
def test_blackjax_finds_the_same(rho: float) -> None:
    """Its functions do not split or rank; given chains that are, they are the same quantities."""
    chains = autoregressive(rho, n=1000)
    parts = _rank_normalized(_split(chains))
    assert bulk_effective_sample_size(chains) == pytest.approx(float(effective_sample_size(parts)), rel=0.01)
    folded = _rank_normalized(_split(np.abs(chains - np.median(chains))))
    expected = max(float(potential_scale_reduction(part)) for part in (parts, folded))
    assert r_hat(chains) == pytest.approx(expected, abs=1e-6)


def test_ties_share_their_rank() -> None:
    scores = _rank_normalized(np.array([[3.0, 1.0, 3.0], [2.0, 3.0, 5.0]]))
    expected = ndtri((np.array([[4.0, 1.0, 4.0], [2.0, 4.0, 6.0]]) - 0.375) / 6.25)
    np.testing.assert_allclose(scores, expected)


def test_a_chain_elsewhere_and_a_chain_that_is_wider_are_seen() -> None:
    chains = autoregressive(0.0, n=500)
    elsewhere, wider, drifting = chains.copy(), chains.copy(), chains.copy()
    elsewhere[0] += 1.0
    wider[0] *= 3.0
    drifting += np.linspace(-1.0, 1.0, 500)
    assert r_hat(chains) < 1.01
    assert min(r_hat(part) for part in (elsewhere, wider, drifting)) > 1.04
    assert bulk_effective_sample_size(elsewhere) < 100


def test_chains_that_never_moved() -> None:
    still = np.repeat([[0.0], [1.0]], 50, axis=1)
    assert r_hat(still) > 5.0
    assert bulk_effective_sample_size(still) < 10
    assert r_hat(np.zeros((2, 50))) == 1.0
    assert bulk_effective_sample_size(np.zeros((2, 50))) == 1.0
