"""Everything that knows blackjax: steps of NUTS chains with their warm-up, in compiled blocks. `nuts.py` beside it is the search.

A step depends on the state, the seed and its own number alone, so it does not matter where blocks begin and end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import blackjax
import jax
import jax.numpy as jnp
import numpy as np
from blackjax.adaptation.mass_matrix import mass_matrix_adaptation
from blackjax.adaptation.step_size import dual_averaging_adaptation
from blackjax.adaptation.window_adaptation import build_schedule

from fitcore.evaluation import compiled
from fitcore.search.base import Array

FIRST_STEP_SIZE = 0.1  # in the prior's standard deviations
CARRY = "carry_"


class _Carry(NamedTuple):
    """A chain between two steps: its place, and what the warm-up has learned about step size and covariance."""

    chain: Any
    step_size: Any
    metric: Any


class Block(NamedTuple):
    """What a block of steps brought, arrays of shape (n_steps, n_chains, ...): places in probit space, gradients, divergences."""

    z: Any
    n_gradients: Any
    is_divergent: Any


def _chosen(condition: Any, new: Any, old: Any) -> Any:
    return jax.tree.map(lambda a, b: jnp.where(condition, a, b), new, old)


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """One step of one chain: the No-U-Turn sampler with a dense mass matrix, and what the warm-up learns from it.

    Parameters
    ----------
    log_likelihood : of one point of probit space, traceable; the prior there is a standard normal.
    target_accept : acceptance rate that the step size is tuned to.

    References
    ----------
    Hoffman & Gelman 2014, JMLR 15, 1593 (NUTS, dual averaging); Carpenter et al. 2017, J. Stat. Softw. 76, 1 (windows of the warm-up).
    """

    log_likelihood: Callable[[Any], Any]
    target_accept: float

    def log_posterior(self, z: Any) -> Any:
        """Log posterior density at ``z``, without constants."""
        return self.log_likelihood(z) - 0.5 * jnp.sum(z * z)

    def begun(self, z: Any) -> _Carry:
        """A chain at its start; one gradient."""
        metric_start, _, _ = mass_matrix_adaptation(is_diagonal_matrix=False)
        step_start, _, _ = dual_averaging_adaptation(self.target_accept)
        return _Carry(blackjax.nuts.init(z, self.log_posterior), step_start(FIRST_STEP_SIZE), metric_start(len(z)))

    def stepped(self, carry: _Carry, key: Any, is_warmup: Any, is_slow: Any, is_window_end: Any) -> tuple[_Carry, Block]:
        """A chain one step further."""
        _, metric_update, metric_final = mass_matrix_adaptation(is_diagonal_matrix=False)
        step_start, step_update, step_final = dual_averaging_adaptation(self.target_accept)
        chain, step, metric = carry
        size = jnp.exp(jnp.where(is_warmup, step.log_step_size, step.log_step_size_avg))
        chain, info = blackjax.nuts.build_kernel()(key, chain, self.log_posterior, size, metric.inverse_mass_matrix)
        learned = _chosen(is_slow, metric_update(metric, chain.position), metric)
        tuned = step_update(step, info.acceptance_rate)
        learned = _chosen(is_window_end, metric_final(learned), learned)
        tuned = _chosen(is_window_end, step_start(step_final(tuned)), tuned)
        after = _Carry(chain, _chosen(is_warmup, tuned, step), _chosen(is_warmup, learned, metric))
        return after, Block(chain.position, info.num_integration_steps, info.is_divergent)


@functools.lru_cache(maxsize=1)  # compiling takes seconds, and one likelihood at a time may stay in memory for it
def _scan(kernel: Kernel) -> Callable[..., Any]:
    """Many steps of all chains, compiled."""

    def one(carry: _Carry, seed: Any, step: Any) -> tuple[_Carry, Block]:
        number, is_warmup, is_slow, is_window_end = step
        key = jax.random.fold_in(seed, number)
        keys = jax.vmap(lambda chain: jax.random.fold_in(key, chain))(jnp.arange(carry.chain.position.shape[0]))
        return jax.vmap(kernel.stepped, in_axes=(0, 0, None, None, None))(carry, keys, is_warmup, is_slow, is_window_end)

    return compiled(lambda carry, seed, steps: jax.lax.scan(lambda within, step: one(within, seed, step), carry, steps))


@dataclass(frozen=True, kw_only=True)
class Chains:
    """Several chains of one kernel, adapted in windows during the first ``n_warmup`` steps; ``seed`` is that of all of them."""

    kernel: Kernel
    n_warmup: int
    seed: int

    def begin(self, z: Array) -> _Carry:
        """The chains at their starts, shape (n_chains, n_dim); one gradient each."""
        carry = compiled(jax.vmap(self.kernel.begun))(jnp.asarray(z))
        # By way of numpy: a weakly typed leaf would have the steps compiled twice, once for the first block and once for all others.
        return jax.tree.map(lambda leaf: jnp.asarray(np.asarray(leaf)), carry)

    def block(self, carry: _Carry, first: int, n: int) -> tuple[_Carry, Block]:
        """The steps ``first`` to ``first + n``; compiled once for each ``n``."""
        schedule = np.asarray(build_schedule(self.n_warmup)).astype(bool).reshape(-1, 2)

        seed = jax.random.PRNGKey(self.seed)
        numbers = np.arange(first, first + n)
        is_warmup = numbers < self.n_warmup
        slow, end = np.zeros(n, dtype=bool), np.zeros(n, dtype=bool)
        slow[is_warmup], end[is_warmup] = schedule[numbers[is_warmup]].T
        after, found = _scan(self.kernel)(carry, seed, (numbers, is_warmup, slow, end))
        return after, Block(*(np.asarray(part) for part in found))

    def step_sizes(self, carry: _Carry) -> Array:
        """The step sizes after the warm-up, shape (n_chains,)."""
        return np.exp(np.asarray(carry.step_size.log_step_size_avg, dtype=np.float64))

    def arrays(self, carry: _Carry) -> dict[str, Any]:
        """The chains as plain arrays by name."""
        return {f"{CARRY}{i}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(carry))}

    def restored(self, arrays: Mapping[str, Any], starts: Array) -> _Carry:
        """The chains that `arrays` took apart."""
        tree = jax.tree.structure(jax.eval_shape(jax.vmap(self.kernel.begun), jnp.asarray(starts)))
        return jax.tree.unflatten(tree, [jnp.asarray(arrays[f"{CARRY}{i}"]) for i in range(tree.num_leaves)])
