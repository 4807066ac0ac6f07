from __future__ import annotations

import numpy as np
import pytest

from fitcore.errors import NotConvergedError
from fitcore.search.base import NoCheckpoint, Problem, silent
from fitcore.search.journal import Journal, Ledger
from fitcore.search.starts import finite_starts


def journal(share: float) -> Journal:
    """Finite in the lower ``share`` of its one parameter."""
    problem = Problem(n_dim=1, paths=("a",), log_likelihood=lambda u: np.where(u[:, 0] < share, -u[:, 0], -np.inf), n_batch=8)
    return Ledger(checkpoint=NoCheckpoint(), progress=silent, n_like_max=10**6, limit_name="n_like_max").journal("starts", problem)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_the_first_finite_draws_and_their_share(share: float) -> None:
    rng = np.random.default_rng(1)
    found = finite_starts(journal(share), lambda n: rng.standard_normal((n, 1)), 400, n_least=400)
    assert found.z.shape == (400, 1)
    assert np.all(np.isfinite(found.log_likelihood))
    assert 400 / found.n_drawn == pytest.approx(share, abs=0.08)
    again = np.random.default_rng(1).standard_normal((found.n_drawn, 1))
    assert np.array_equal(found.z[-1], again[-1])


def test_too_few_are_an_error() -> None:
    rng = np.random.default_rng(1)
    with pytest.raises(
        NotConvergedError, match="0 of 800 draws from the prior have a finite log-likelihood, and the search needs at least 1"
    ):
        finite_starts(journal(0.0), lambda n: rng.standard_normal((n, 1)), 8, n_least=1)
    few = finite_starts(journal(0.002), lambda n: rng.standard_normal((n, 1)), 80, n_least=1)
    assert 0 < len(few.z) < 80
