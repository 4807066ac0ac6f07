"""Where searches that climb, walk or nest begin: draws from the prior at which the likelihood is not zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fitcore.errors import NotConvergedError
from fitcore.search.base import Array
from fitcore.search.journal import Journal

ROUNDS = 100


@dataclass(frozen=True, kw_only=True, eq=False)
class Starts:
    """Places (n, n_dim) in probit space, their log-likelihoods (n,), all finite, and how many draws were made up to the last of them."""

    z: Array
    log_likelihood: Array
    n_drawn: int


def finite_starts(journal: Journal, draw: Callable[[int], Array], n: int, *, n_least: int) -> Starts:
    """The first ``n`` draws with a finite log-likelihood, of at most a hundred rounds of ``n``.

    Parameters
    ----------
    draw : gives so many points of probit space, shape (n, n_dim).
    n_least : fewer than these are an error.

    Raises
    ------
    NotConvergedError
        with how many were found.
    """
    z, values, n_drawn, n_round = np.zeros((0, journal.problem.n_dim)), np.zeros(0), 0, journal.rounded(n)
    for _ in range(ROUNDS):
        drawn = draw(n_round)
        value = journal.log_likelihood(drawn)
        rows = np.flatnonzero(np.isfinite(value))[: n - len(z)]
        z, values = np.concatenate([z, drawn[rows]]), np.concatenate([values, value[rows]])
        if len(z) == n:
            return Starts(z=z, log_likelihood=values, n_drawn=n_drawn + int(rows[-1]) + 1)
        n_drawn += n_round
    if len(z) < n_least:
        raise NotConvergedError(
            f"{len(z)} of {n_drawn} draws from the prior have a finite log-likelihood, and the search needs at least {n_least} to start "
            "from. Narrow the priors or loosen the constraints."
        )
    return Starts(z=z, log_likelihood=values, n_drawn=n_drawn)
