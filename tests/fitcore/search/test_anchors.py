"""Modes that a scout has found stay in the mixture, however the first weights fall."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fitcore.search import Importance, NoCheckpoint, silent
from fitcore.search.adaptation import anchored
from fitcore.search.bending import fit_bending
from fitcore.search.gaussians import Components
from fitcore.search.mixture import Mixture
from fitcore.search.problems import banana, two_modes


def mixture(mean: float, width: float = 0.1, d: int = 3) -> Mixture:
    return Mixture(weight=np.ones(1), mean=np.full((1, d), mean), covariance=width**2 * np.eye(d)[None])


def anchors(*means: float, width: float = 0.1, share: float = 0.5, d: int = 3) -> Components:
    k = len(means)
    return Components(
        weight=np.full(k, share), mean=np.array([np.full(d, m) for m in means]), covariance=np.tile(width**2 * np.eye(d), (k, 1, 1))
    )


def test_a_known_mode_that_is_missing_is_added() -> None:
    found = anchored(mixture(-1.0), anchors(-1.0, 1.0))
    assert len(found.weight) == 2
    assert found.mean[1] == pytest.approx(np.ones(3))
    assert found.weight[1] == pytest.approx(0.5)
    before, after = (float(q.log_prob(np.ones((1, 3)))[0]) for q in (mixture(-1.0), found))
    assert after > before + 10


def test_a_mode_that_is_covered_changes_nothing() -> None:
    q = mixture(1.0)
    assert anchored(q, anchors(1.0)) is q
    assert anchored(q, None) is q


def test_a_mode_of_small_share_gets_the_least_weight() -> None:
    found = anchored(mixture(-1.0), anchors(1.0, share=1e-3))
    assert found.weight[1] == pytest.approx(0.02)


def test_a_wide_proposal_over_a_narrow_mode_is_sharpened() -> None:
    assert len(anchored(mixture(0.0, width=1.0, d=10), anchors(0.1, d=10)).weight) == 2


def test_the_anchor_lies_where_the_bending_says() -> None:
    known = two_modes(4, seed=1)
    q = Mixture.fit(known.draw(2000, np.random.default_rng(1)), np.zeros(2000))
    bent = replace(q, bending=q.bending)
    place = np.full(4, 3.0)
    found = anchored(bent, Components(weight=np.array([0.5]), mean=place[None], covariance=0.01 * np.eye(4)[None]))
    assert float(found.log_prob(place[None])[0]) > float(q.log_prob(place[None])[0]) + 3


def test_the_anchor_has_the_given_covariance_in_probit_space_through_a_bending_too() -> None:
    bending = fit_bending(banana(3).draw(3000, np.random.default_rng(1)), np.full(3000, 1 / 3000))
    assert len(bending) > 0
    q = replace(mixture(-1.0), bending=bending)
    place, factor = np.full(3, 3.0), np.array([[0.3, 0.0, 0.0], [0.1, 0.05, 0.0], [0.0, 0.2, 0.1]])
    found = anchored(q, Components(weight=np.array([0.5]), mean=place[None], covariance=(factor @ factor.T)[None]))
    assert len(found.weight) == len(q.weight) + 1
    step = 1e-4
    moved = found.bending.straighten(place + step * factor.T) - found.bending.straighten(place[None])  # one whitened direction a row
    whitened = np.linalg.solve(np.linalg.cholesky(found.covariance[-1]), moved.T) / step
    np.testing.assert_allclose(whitened.T @ whitened, np.eye(3), atol=2e-3)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_no_mode_is_lost_from_a_proposal_twice_as_wide(seed: int) -> None:
    """Without anchors two of these four lose a mode in the adaptation, and the weights do not tell."""
    known = two_modes(5, seed=seed)
    outcome = Importance(n_eff=1000).run(known.with_proposal(width=2.0, seed=seed), seed=seed, checkpoint=NoCheckpoint(), progress=silent)
    assert abs(outcome.log_evidence - known.log_evidence) < 3.5 * outcome.log_evidence_error
