from __future__ import annotations

import numpy as np
import pytest
from scipy.special import ndtri

from fitcore.search.adaptation import Rounds, expected_efficiency, ideal_efficiency, log_prior
from fitcore.search.journal import unit_cube
from fitcore.search.mixture import Mixture
from fitcore.search.pareto import effective_sample_size
from fitcore.search.problems import KnownProblem, gaussian


def log_target(known: KnownProblem, z: np.ndarray) -> np.ndarray:
    return known.problem.log_likelihood(unit_cube(z)) + log_prior(z)


def test_deterministic_mixture_weights_are_unbiased() -> None:
    """Draws of two proposals, one far off, weighted against the mixture of both: their mean is the evidence."""
    known, rng = gaussian(4), np.random.default_rng(1)
    rounds = Rounds()
    for shift, n in ((0.0, 3000), (3.0, 5000), (0.0, 500)):
        q = known.with_proposal(shift=shift).proposal
        z = q.draw(n, rng)
        rounds.add(q, z, log_target(known, z))
    z, target, log_weight = rounds.weighted()
    assert z.shape == (8500, 4)
    np.testing.assert_allclose(target, log_target(known, z))
    weight = np.exp(log_weight)
    error = weight.std() / weight.mean() / np.sqrt(len(weight))
    assert abs(np.log(weight.mean()) - known.log_evidence) < 4 * error
    assert error < 0.03


def test_expected_efficiency_is_what_draws_show() -> None:
    known, rng = gaussian(5), np.random.default_rng(1)
    first = known.with_proposal(width=1.5).proposal
    z = first.draw(20_000, rng)
    target = log_target(known, z)
    for width in (0.9, 1.0, 1.5):
        other = known.with_proposal(width=width, seed=1).proposal
        drawn = other.draw(20_000, rng)
        seen = effective_sample_size(log_target(known, drawn) - other.log_prob(drawn)) / 20_000
        assert expected_efficiency(other, z, target, target - first.log_prob(z)) == pytest.approx(seen, rel=0.06)


@pytest.mark.parametrize("n_dim", [2, 10, 17])
def test_ideal_efficiency(n_dim: int) -> None:
    q = Mixture(weight=np.ones(1), mean=np.zeros((1, n_dim)), covariance=1e-4 * np.eye(n_dim)[None], core_scale=1.1)
    z = q.draw(50_000, np.random.default_rng(1))
    log_weight = -0.5 * np.sum((z / 0.01) ** 2, axis=1) - q.log_prob(z)
    assert ideal_efficiency(n_dim) == pytest.approx(effective_sample_size(log_weight) / 50_000, abs=0.01)


def test_prior() -> None:
    z = ndtri(np.random.default_rng(1).random((10, 3)))
    np.testing.assert_allclose(log_prior(z), np.log(np.exp(-0.5 * np.sum(z**2, axis=1)) / (2 * np.pi) ** 1.5))


def test_an_efficiency_that_later_draws_refute_is_not_believed() -> None:
    """A mixture at a mode of a thousandth of the posterior has even weights, until draws of another find the rest."""
    rng = np.random.default_rng(1)
    minor, major = (Mixture(weight=np.ones(1), mean=np.full((1, 3), at), covariance=1e-2 * np.eye(3)[None]) for at in (-1.0, 1.0))

    def target(z: np.ndarray) -> np.ndarray:
        heights = [np.log(share) - 50.0 * np.sum((z - at) ** 2, axis=1) for share, at in ((1e-3, -1.0), (1.0, 1.0))]
        return np.logaddexp(*heights)

    rounds, own = Rounds(), []
    for q in (minor, major):
        z = q.draw(500, rng)
        z = z[np.linalg.norm(z - q.mean, axis=1) < 1.5]  # none of the prior's draws happens to lie at the other mode
        rounds.add(q, z, target(z))
        own.append(effective_sample_size(target(z) - q.log_prob(z)) / len(z))
        if q is minor:
            assert rounds.in_hindsight(own) == pytest.approx(own)
    assert min(own) > 0.5
    assert rounds.in_hindsight(own) == pytest.approx([0.0, own[1]], abs=0.02)
