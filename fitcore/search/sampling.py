"""nautilus's sampling phase, ours: fresh points in the shells that the exploration left, and as many draws of a mixture, pooled.

`pooled` has the weights and says why there are draws; here it is decided where the next points go. Loaded when a search gets here, because
`adapter` loads nautilus.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import ndtri

from fitcore.search.adaptation import evaluated, log_prior
from fitcore.search.adapter import shell_of
from fitcore.search.base import Array
from fitcore.search.journal import Journal, unit_cube
from fitcore.search.mixture import Mixture
from fitcore.search.pooled import Draws, Pool, Shell


class Sampling:
    """The sampling phase of a sampler that has explored.

    The number of draws is a function of the sampler's state, and so is what comes next: a resumed run goes the same way.

    Parameters
    ----------
    sampler : nautilus's, explored.
    journal : evaluates, counts, saves the draws.
    mixture : what is drawn from.
    rng : stream of the draws.
    n_explore : calls of the exploration. n_batch : points added to a shell at a time.
    """

    def __init__(self, sampler: Any, journal: Journal, mixture: Mixture, rng: np.random.Generator, *, n_explore: int, n_batch: int) -> None:
        self.sampler, self.journal, self.mixture, self.rng = sampler, journal, mixture, rng
        self.n_explore, self.n_batch = n_explore, n_batch
        sampler.discard_exploration = True

    def run(self, *, n_shell: int, n_eff: int, pause: Callable[[str], None]) -> tuple[Pool, list[Shell]]:
        """Points in every shell, then where the weights scatter most, until the effective sample size is reached.

        Parameters
        ----------
        n_shell : fewest points in a shell. n_eff : effective sample size.
        pause : called after each batch with the news; may raise to stop.
        """
        sampler, journal = self.sampler, self.journal
        pool = Pool(len(sampler.bounds))
        pool.add(self._drawn(journal.rounded(n_eff)))
        for _ in range((int(sampler.n_like) - self.n_explore) // self.n_batch):
            pool.add(self._drawn(journal.rounded(self.n_batch)))
        ratios = [self._log_ratio(self._shell(i).u) for i in range(len(sampler.bounds))]
        while True:
            for i, ratio in enumerate(ratios):
                pool.update(i, self._shell(i), ratio)
            thin = np.flatnonzero(sampler.shell_n < n_shell)
            if not len(thin) and pool.n_eff >= n_eff:
                break
            i = int(thin[0]) if len(thin) else pool.most_scattered
            journal.ledger.spend(self.n_batch)
            sampler.add_samples(i)
            pool.add(self._drawn(journal.rounded(self.n_batch)))
            ratios[i] = np.concatenate([ratios[i], self._log_ratio(self._shell(i).u[len(ratios[i]) :])])
            pause(f"effective sample size {pool.n_eff:.0f}")
        shells = [self._shell(i) for i in range(len(ratios))]
        for i, shell in enumerate(shells):
            # Once more, whole: the same to the last bit whatever batches the points came in.
            pool.update(i, shell, self._log_ratio(shell.u))
        return pool, shells

    def _shell(self, i: int) -> Shell:
        return shell_of(self.sampler, i, self.mixture.n_dim)

    def _log_ratio(self, u: Array) -> Array:
        z = ndtri(u)
        return self.mixture.log_prob(z) - log_prior(z)

    def _drawn(self, n: int) -> Draws:
        self.journal.phase = "draws"
        z, log_likelihood, _, _ = evaluated(self.journal, self.mixture, n, self.rng)
        u = unit_cube(z)
        # A problem with one parameter has a second one in nautilus, which does nothing.
        padded = np.concatenate([u, self.rng.random((n, self.sampler.n_dim - u.shape[1]))], axis=1)
        shell = np.asarray(self.sampler.shell_association(padded), dtype=np.intp)
        return Draws(u=u, log_likelihood=log_likelihood, log_ratio=self._log_ratio(u), shell=shell)
