"""`NUTS`: Hamiltonian chains for likelihoods that JAX can differentiate, run until they agree. They give no evidence.

What is specific to the library is in `chains`, the measures of agreement in `convergence`.
"""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import Any

import numpy as np

from fitcore.errors import LikelihoodError, NotConvergedError, SpecError
from fitcore.search.base import Array, Checkpoint, Problem, Progress, Search, SearchOutcome
from fitcore.search.convergence import bulk_effective_sample_size, r_hat
from fitcore.search.journal import Journal, Ledger, unit_cube
from fitcore.search.mixture import Mixture
from fitcore.search.settings import check_integer, check_number
from fitcore.search.starts import finite_starts
from fitcore.search.streams import single_threaded, stream, sub_seed

STEPS = 50  # of every chain, between two looks at the checkpoint
LEAST_DRAWS = 100  # of every chain, before agreement means anything
R_HAT_ALLOWED = 1.01
CHAINS = "chains"
UNLIMITED = 10**15  # the limit of this search is in draws


@functools.cache
def _adapter() -> Any:
    """blackjax and what it brings, loaded when such a search runs."""
    return importlib.import_module("fitcore.search.chains")


@dataclass(frozen=True, kw_only=True)
class NUTS(Search):
    """The No-U-Turn sampler of blackjax, several chains in probit space, from the priors or from a proposal.

    The chains start at draws of the prior, or of the proposal where there is one, and warm up on their own: step size and a dense mass
    matrix, in windows. They end once rank-normalized split R-hat is below 1.01 and the bulk effective sample size is ``n_eff`` for every
    parameter. Chains cannot cross between modes far apart: they then disagree, and the search fails rather than publish one of them.

    Parameters
    ----------
    n_chains : chains, side by side.
    n_warmup : steps of each chain that adapt and are thrown away.
    n_eff : bulk effective sample size asked for, of all chains together.
    n_draws_max : most draws of all chains together after the warm-up; reaching it is an error, never a poorer result.
    target_accept : acceptance rate of the step-size adaptation; nearer to one where there are divergences.

    Raises
    ------
    ConfigError
        for a value outside its range.
    """

    n_chains: int = 4
    n_warmup: int = 500
    n_eff: int = 1000
    n_draws_max: int = 20_000
    target_accept: float = 0.8

    def __post_init__(self) -> None:
        check_integer(self, "n_chains", 2, 1000)
        check_integer(self, "n_warmup", 20, 1_000_000)
        check_integer(self, "n_eff", 10, 10_000_000)
        check_integer(self, "n_draws_max", 1)
        check_number(self, "target_accept", 0.0, 1.0)

    def run(self, problem: Problem, *, seed: int, checkpoint: Checkpoint, progress: Progress) -> SearchOutcome:
        """See `Search.run`. Every leapfrog step counts as one call, and so does the likelihood of every draw that is kept.

        Raises
        ------
        SpecError
            when the likelihood cannot be traced by JAX, or the problem has no parameters.
        NotConvergedError
            when ``n_draws_max`` is reached first, or too few prior draws have a finite likelihood.
        SearchInterruptedError
            when asked to stop; the work is saved.
        """
        if problem.traceable is None:
            raise SpecError(
                "NUTS needs a log-likelihood that JAX can trace, and the problem has none. Write log_likelihood_function in jax.numpy and "
                "set use_jax=True in the analysis, or use fitcore.Nautilus, which needs no gradients."
            )
        if problem.n_dim < 1:
            raise SpecError(f"The problem has {problem.n_dim} parameters; a search needs at least one. Free a parameter of the model.")
        ledger = Ledger(checkpoint=checkpoint, progress=progress, n_like_max=UNLIMITED, limit_name="NUTS.n_draws_max")
        with single_threaded(problem) as inner:
            return _Run(self, ledger.journal("nuts", inner), seed=seed).outcome()


class _Run:
    """One search: the chains so far, and the journal that gives the plain log-likelihoods of their draws."""

    def __init__(self, settings: NUTS, journal: Journal, *, seed: int) -> None:
        self.settings, self.journal, self.ledger = settings, journal, journal.ledger
        self.saved = dict(self.ledger.states.get(CHAINS, {}))
        self.starts = self._starts(stream(seed, "nuts.starts"))
        self.chains: Any = _adapter().Chains(
            kernel=_adapter().Kernel(log_likelihood=journal.problem.traceable, target_accept=settings.target_accept),
            n_warmup=settings.n_warmup,
            seed=sub_seed(seed, "nuts"),
        )
        self.n_gradients = self.n_divergent = 0
        self.blocks: list[Any] = []
        self.values: list[Array] = []
        self._count(settings.n_chains)

    def _starts(self, rng: np.random.Generator) -> Array:
        n_dim, proposal = self.journal.problem.n_dim, self.journal.problem.proposal
        self.journal.phase = "starts"

        def draw(n: int) -> Array:
            return proposal.draw(n, rng) if isinstance(proposal, Mixture) else rng.standard_normal((n, n_dim))

        return finite_starts(self.journal, draw, self.settings.n_chains, n_least=self.settings.n_chains).z

    def _count(self, n_gradients: int) -> None:
        self.n_gradients += n_gradients
        self.ledger.spend(n_gradients)

    def outcome(self) -> SearchOutcome:
        """Blocks of steps until the chains agree."""
        settings, fields = self.settings, _adapter().Block._fields
        n_saved = len(self.saved["z"]) if self.saved else 0
        carry = self.chains.restored(self.saved, self.starts) if n_saved else self.chains.begin(self.starts)
        agreement = Agreement(r_hat=np.inf, n_eff=0.0, worst=0)
        n_steps = settings.n_warmup + settings.n_draws_max // settings.n_chains
        for first in range(0, n_steps - STEPS + 1, STEPS):
            if first < n_saved:
                self._take(_adapter().Block(*(self.saved[name][first : first + STEPS] for name in fields)), first)
            else:
                carry, found = self.chains.block(carry, first, STEPS)
                self._take(found, first, carry)
            if first + STEPS - settings.n_warmup >= LEAST_DRAWS:
                agreement = agreement_of(self._draws())
                self.ledger.tell("sampling", f"R-hat {agreement.r_hat:.3f}, effective sample size {agreement.n_eff:.0f}")
                if agreement.r_hat < R_HAT_ALLOWED and agreement.n_eff >= settings.n_eff:
                    return self._finished(carry, agreement)
        raise NotConvergedError(self._refusal(agreement))

    def _take(self, block: Any, first: int, carry: Any = None) -> None:
        """Count a block, keep it, and evaluate its draws; ``carry`` where it is new."""
        n_warmup, n_dim = self.settings.n_warmup, self.journal.problem.n_dim
        self.journal.phase = "warm-up" if first + STEPS <= n_warmup else "sampling"
        self.blocks.append(block)
        self.n_divergent += int(np.sum(block.is_divergent[max(0, n_warmup - first) :]))
        self._count(int(np.sum(block.n_gradients)))
        if carry is not None:
            kept = {name: np.concatenate(parts) for name, parts in zip(block._fields, zip(*self.blocks, strict=True), strict=True)}
            self.ledger.states[CHAINS] = {**kept, **self.chains.arrays(carry)}
            self.journal.pause()
        z = block.z[max(0, n_warmup - first) :].reshape(-1, n_dim)
        values = self.journal.log_likelihood(z)
        if not np.all(np.isfinite(values)):
            raise LikelihoodError(
                f"{int(np.sum(~np.isfinite(values)))} of {len(z)} draws of the chains have a log-likelihood of -inf, though its traced "
                "form is finite there. The two must be the same function."
            )
        self.values.append(values)

    def _draws(self) -> Array:
        """Draws after the warm-up, shape (n_draws, n_chains, n_dim)."""
        return np.concatenate([block.z for block in self.blocks])[self.settings.n_warmup :]

    def _refusal(self, agreement: Agreement) -> str:
        n = max(0, STEPS * len(self.blocks) - self.settings.n_warmup) * self.settings.n_chains
        return (
            f"NUTS has made {n} draws and the chains do not agree: R-hat is {agreement.r_hat:.3f} (below {R_HAT_ALLOWED} is wanted) and "
            f"the effective sample size {agreement.n_eff:.0f} (n_eff is {self.settings.n_eff}), worst for "
            f"{self.journal.problem.paths[agreement.worst]}; {self.n_divergent} divergences. NUTS.n_draws_max is "
            f"{self.settings.n_draws_max}: raise it, or n_warmup; or use fitcore.Nautilus where there may be several modes."
        )

    def _finished(self, carry: Any, agreement: Agreement) -> SearchOutcome:
        draws = self._draws()
        n, sizes = draws.shape[0] * draws.shape[1], self.chains.step_sizes(carry)
        return SearchOutcome(
            u=unit_cube(draws.reshape(n, -1)),
            log_likelihood=np.concatenate(self.values),
            log_weight=np.full(n, -np.log(n)),
            log_evidence=float("nan"),
            log_evidence_error=float("nan"),
            n_calls=self.ledger.n_calls,
            diagnostics={
                "r_hat_max": agreement.r_hat,
                "ess_min": agreement.n_eff,
                "n_divergent": self.n_divergent,
                "n_draws": n,
                "n_gradients": self.n_gradients,
                "step_size_min": float(sizes.min()),
                "step_size_max": float(sizes.max()),
            },
        )


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The worst R-hat and the smallest effective sample size of all parameters, and the number of the parameter with the former."""

    r_hat: float
    n_eff: float
    worst: int


def agreement_of(draws: Array) -> Agreement:
    """Of draws (n_draws, n_chains, n_dim)."""
    every = [np.ascontiguousarray(draws[:, :, i].T) for i in range(draws.shape[2])]
    ratios = [r_hat(chains) for chains in every]
    n_eff = min(bulk_effective_sample_size(chains) for chains in every)
    return Agreement(r_hat=float(max(ratios)), n_eff=n_eff, worst=int(np.argmax(ratios)))
