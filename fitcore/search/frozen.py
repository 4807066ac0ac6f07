"""Sampling from a frozen mixture, and grading the sample: evidence and posterior are made of these draws alone.

How the mixture came about is in `adaptation`; what follows a grade F is decided in `importance` and `nautilus`.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

import numpy as np

from fitcore.search.adaptation import ROUNDS, Adapted, adapt, evaluated, log_prior
from fitcore.search.base import Array
from fitcore.search.gaussians import Components
from fitcore.search.journal import Journal
from fitcore.search.mixture import Mixture
from fitcore.search.pareto import K_USABLE, effective_sample_size, grade, pareto_k
from fitcore.search.streams import stream

LEAST_DRAWS = 1000
HOPELESS_EFFICIENCY = 0.04  # the least that grade B allows, and a margin for the noise of the first draws
ATTEMPTS = 3
PROMISING_EFFICIENCY = 0.1
FEW = 0.002  # of the draws: so many may have come upon something that the adaptation did not know
ROUNDS_AGAIN = 4
WIDER = 1.12


@dataclass(frozen=True, kw_only=True, eq=False)
class Frozen:
    """Draws of the frozen mixture: everything published is made of these."""

    z: Array
    log_likelihood: Array
    log_weight: Array
    log_evidence: float
    log_evidence_error: float
    efficiency: float
    k: float
    grade: str
    n_eff: float
    n_attempts: int = 1


def sample_frozen(journal: Journal, adapted: Adapted, rng: np.random.Generator, *, n_eff: int) -> Frozen:
    """Draw from the frozen mixture until the effective sample size is ``n_eff``, and grade the result.

    A sample that has no prospect of a usable grade is given up after the first draws, graded F.
    """
    mixture = adapted.mixture
    parts: list[tuple[Array, Array, Array]] = []
    size, n, efficiency = 0.0, 0, max(adapted.efficiency, 0.1)
    while size < n_eff:
        wanted = 1.03 * n_eff / max(efficiency, 0.02) - n
        step = journal.rounded(min(max(wanted, 200.0), LEAST_DRAWS if n == 0 else 4000.0))
        z, log_likelihood, _, log_weight = evaluated(journal, mixture, step, rng)
        parts.append((z, log_likelihood, log_weight))
        n += step
        everything = np.concatenate([part[2] for part in parts])
        size = effective_sample_size(everything)
        efficiency = size / n
        if n >= LEAST_DRAWS and efficiency < HOPELESS_EFFICIENCY:
            break
    z, log_likelihood, log_weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    return _summary(z, log_likelihood, log_weight, adapted)


def _summary(z: Array, log_likelihood: Array, log_weight: Array, adapted: Adapted) -> Frozen:
    size, k = effective_sample_size(log_weight), pareto_k(log_weight)
    efficiency = size / len(z)
    letter = grade(k=k, efficiency=efficiency, has_adapted=adapted.is_converged)
    if size == 0.0:
        log_evidence, error = -np.inf, np.inf
    else:
        largest = float(np.max(log_weight))
        weight = np.exp(log_weight - largest)
        log_evidence = float(np.log(weight.mean()) + largest)
        error = float(weight.std() / weight.mean() / np.sqrt(len(weight)))
    return Frozen(
        z=z,
        log_likelihood=log_likelihood,
        log_weight=log_weight,
        log_evidence=log_evidence,
        log_evidence_error=error * (2.0 if letter == "B" else 1.0),
        efficiency=efficiency,
        k=k,
        grade=letter,
        n_eff=size,
    )


def adapt_and_freeze(
    journal: Journal,
    start: Mixture,
    *,
    seed: int,
    name: str,
    n_eff: int,
    n_rounds: int = ROUNDS,
    anchors: Components | None = None,
    origin: Mixture | None = None,
) -> tuple[Adapted, Frozen, int]:
    """Adapt, freeze, sample, grade: the adaptation, the frozen sample, and how many calls steered only.

    A frozen sample that misses its grade narrowly, or by a few draws that outweigh all others, is used to adapt further, and another is
    drawn, anew and from scratch; three in all. Not more often: each attempt is another chance of a good grade by luck. Where the weights
    had a heavy tail, the next mixture is wider by `WIDER` than the most efficient one: efficiency, by which mixtures are chosen, hardly
    feels tails that are too thin.

    Parameters
    ----------
    seed, name : name the random streams.
    anchors, origin : see `adaptation.adapt`.
    """
    phase, first_call = journal.phase, journal.n_values
    attempt = functools.partial(_attempt, journal, start, seed=seed, n_eff=n_eff, anchors=anchors, origin=origin)
    adapted, frozen, n_adapt = attempt(name=f"{name}.0", n_rounds=n_rounds)
    n_attempts = 1
    while frozen.grade == "F" and _is_promising(frozen) and n_attempts < ATTEMPTS:
        adapted.rounds.add(adapted.mixture, frozen.z, frozen.log_likelihood + log_prior(frozen.z))
        wider = 1.0 if frozen.k < K_USABLE else WIDER**n_attempts
        adapted, frozen, n_adapt = attempt(name=f"{name}.{n_attempts}", n_rounds=ROUNDS_AGAIN, earlier=adapted, wider=wider)
        n_attempts += 1
    journal.phase = phase
    return adapted, replace(frozen, n_attempts=n_attempts), n_adapt - first_call


def _is_promising(frozen: Frozen) -> bool:
    """Whether all draws but a `FEW`, the heaviest, would have an efficiency worth going on with."""
    n = len(frozen.log_weight)
    rest = np.sort(frozen.log_weight)[: n - max(1, round(FEW * n))]
    return effective_sample_size(rest) >= PROMISING_EFFICIENCY * n


def _attempt(
    journal: Journal,
    start: Mixture,
    *,
    seed: int,
    name: str,
    n_eff: int,
    n_rounds: int,
    earlier: Adapted | None = None,
    wider: float = 1.0,
    anchors: Components | None,
    origin: Mixture | None,
) -> tuple[Adapted, Frozen, int]:
    journal.phase = "adaptation"
    rng = stream(seed, f"{name}.adaptation")
    adapted = adapt(journal, start, rng, n_eff=n_eff, n_rounds=n_rounds, earlier=earlier, anchors=anchors, origin=origin)
    adapted = replace(adapted, mixture=replace(adapted.mixture, core_scale=wider * adapted.mixture.core_scale))
    n_before = journal.n_values
    journal.phase = "frozen draws"
    return adapted, sample_frozen(journal, adapted, stream(seed, f"{name}.frozen"), n_eff=n_eff), n_before
