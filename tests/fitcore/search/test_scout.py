from __future__ import annotations

import numpy as np
import pytest

from fitcore.search.adaptation import anchored
from fitcore.search.base import NoCheckpoint, silent
from fitcore.search.journal import Journal, Ledger
from fitcore.search.mixture import Mixture
from fitcore.search.problems import KnownProblem, gaussian, two_modes
from fitcore.search.scout import scout


def journal(known: KnownProblem) -> Journal:
    ledger = Ledger(checkpoint=NoCheckpoint(), progress=silent, n_like_max=10**6, limit_name="n_like_max")
    return ledger.journal("scout", known.problem)


@pytest.mark.parametrize("n_dim", [3, 8, 15])
def test_the_unknown_mode_is_found_with_its_place_and_width(n_dim: int) -> None:
    known, first = two_modes(n_dim), gaussian(n_dim)
    start = first.with_proposal().proposal
    log = journal(known)
    found = scout(log, start, np.random.default_rng(1), n_starts=16)
    assert found.n_new == 1
    assert log.n_gradients < 16 * 60
    z = known.draw(2000, np.random.default_rng(2))
    gain = anchored(start, found.anchors).log_prob(z) - start.log_prob(z)
    assert 0.2 < np.mean(gain > 3.0) < 0.4, "the second mode holds 30 % of the draws"


def test_nothing_new_where_the_proposal_knows_all() -> None:
    known = two_modes(5)
    start = known.with_proposal().proposal
    found = scout(journal(known), start, np.random.default_rng(1), n_starts=16)
    assert found.n_new == 0
    assert anchored(start, found.anchors) is start
    assert found.anchors is not None
    assert found.anchors.weight == pytest.approx([0.7, 0.3], abs=0.01)


def test_a_likelihood_of_nothing_but_minus_infinity() -> None:
    known = gaussian(3)

    def nothing(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.full(len(z), -np.inf), np.full(z.shape, np.nan)

    log = journal(known)
    object.__setattr__(log.problem, "value_and_gradient", nothing)
    start = known.with_proposal().proposal
    assert isinstance(start, Mixture)
    assert scout(log, start, np.random.default_rng(1), n_starts=4).n_new == 0
