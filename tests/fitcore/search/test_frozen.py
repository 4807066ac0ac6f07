"""The frozen sample: its weights and its evidence by hand, nothing of the adaptation in it, and what a grade does to the error."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from fitcore.search import frozen as module
from fitcore.search.adaptation import Adapted, Rounds, log_prior
from fitcore.search.base import NoCheckpoint, silent
from fitcore.search.frozen import ATTEMPTS, HOPELESS_EFFICIENCY, LEAST_DRAWS, WIDER, adapt_and_freeze, sample_frozen
from fitcore.search.journal import Journal, Ledger, unit_cube
from fitcore.search.mixture import Mixture
from fitcore.search.problems import gaussian

KNOWN = gaussian(3)


def journal() -> Journal:
    ledger = Ledger(checkpoint=NoCheckpoint(), progress=silent, n_like_max=10**6, limit_name="n_like_max")
    return ledger.journal("frozen", KNOWN.problem)


def adapted(mixture: Mixture, rounds: Rounds | None = None) -> Adapted:
    return Adapted(
        mixture=mixture,
        rounds=rounds or Rounds(),
        efficiency=0.5,
        k=0.1,
        is_converged=True,
        n_rounds=3,
        first_efficiency=0.5,
        first_k=0.1,
        shift=0.0,
        narrowest=1.0,
        widest=1.0,
    )


def test_weights_evidence_and_error_by_hand() -> None:
    q = KNOWN.with_proposal().proposal
    found = sample_frozen(journal(), adapted(q), np.random.default_rng(1), n_eff=1500)
    values = KNOWN.problem.log_likelihood(unit_cube(found.z))
    np.testing.assert_allclose(found.log_likelihood, values, rtol=1e-12)
    np.testing.assert_allclose(found.log_weight, values + log_prior(found.z) - q.log_prob(found.z), rtol=1e-9, atol=1e-9)
    weight = np.exp(found.log_weight)
    assert found.log_evidence == pytest.approx(float(np.log(weight.mean())), abs=1e-12)
    assert found.log_evidence_error == pytest.approx(float(weight.std() / weight.mean() / np.sqrt(len(weight))), rel=1e-9)
    assert found.n_eff == pytest.approx(float(weight.sum() ** 2 / np.sum(weight**2)), rel=1e-9)
    assert found.n_eff >= 1500
    assert found.grade == "A"
    assert abs(found.log_evidence - KNOWN.log_evidence) < 4 * found.log_evidence_error


def test_nothing_of_the_adaptation_is_in_it() -> None:
    q = KNOWN.with_proposal().proposal
    z = q.draw(500, np.random.default_rng(2))
    steered = Rounds()
    steered.add(q, z, np.full(500, 50.0))  # would raise the evidence by fifty
    plain, with_rounds = (sample_frozen(journal(), adapted(q, r), np.random.default_rng(1), n_eff=500) for r in (None, steered))
    assert with_rounds.log_evidence == plain.log_evidence
    np.testing.assert_array_equal(with_rounds.z, plain.z)


def test_grade_b_doubles_the_error_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    for letter in ("A", "B"):
        monkeypatch.setattr(module, "grade", lambda letter=letter, **_: letter)
        made.append(sample_frozen(journal(), adapted(KNOWN.with_proposal().proposal), np.random.default_rng(1), n_eff=500))
    assert made[1].log_evidence_error == 2 * made[0].log_evidence_error
    assert made[1].log_evidence == made[0].log_evidence
    assert [frozen.grade for frozen in made] == ["A", "B"]


def test_a_sample_without_prospect_is_given_up_after_the_first_draws() -> None:
    log = journal()
    found = sample_frozen(log, adapted(KNOWN.with_proposal(shift=6.0, width=0.5).proposal), np.random.default_rng(1), n_eff=10_000)
    assert found.grade == "F"
    assert found.efficiency < HOPELESS_EFFICIENCY
    assert LEAST_DRAWS <= len(found.z) < LEAST_DRAWS + 2 * KNOWN.problem.n_batch


def test_an_adaptation_that_did_not_converge_is_graded_f() -> None:
    q = KNOWN.with_proposal().proposal
    assert sample_frozen(journal(), replace(adapted(q), is_converged=False), np.random.default_rng(1), n_eff=200).grade == "F"


@pytest.mark.parametrize(("k", "factors"), [(0.6, [1.0, WIDER, WIDER**2]), (0.4, [1.0, 1.0, 1.0])])
def test_a_heavy_tail_makes_the_next_mixture_wider(k: float, factors: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt is graded F; the mixture that the adaptation offers is the same each time."""
    q, scales = KNOWN.with_proposal().proposal, []

    def graded_f(journal: Journal, given: Adapted, rng: np.random.Generator, *, n_eff: int) -> module.Frozen:
        scales.append(given.mixture.core_scale)
        return replace(sample_frozen(journal, given, rng, n_eff=n_eff), grade="F", k=k)

    monkeypatch.setattr(module, "sample_frozen", graded_f)
    monkeypatch.setattr(module, "adapt", lambda *args, **options: adapted(q))
    _, found, _ = adapt_and_freeze(journal(), q, seed=0, name="test", n_eff=500)
    assert found.n_attempts == ATTEMPTS == len(scales)
    assert scales == pytest.approx([q.core_scale * factor for factor in factors])


@pytest.mark.parametrize(("heavy", "n_attempts"), [(1, ATTEMPTS), (40, 1)])
def test_few_heavy_draws_are_adapted_to_and_many_are_not(heavy: int, n_attempts: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 1,000 even draws some outweigh all others, each by far more than the next: one may be the first of a part that was not known."""
    q = KNOWN.with_proposal().proposal

    def surprised(journal: Journal, given: Adapted, rng: np.random.Generator, *, n_eff: int) -> module.Frozen:
        found = sample_frozen(journal, given, rng, n_eff=n_eff)
        log_weight = np.zeros(1000)
        log_weight[:heavy] = 20.0 * (1.0 + np.arange(heavy))
        return replace(found, log_weight=log_weight, efficiency=0.001, grade="F", k=1.0)

    monkeypatch.setattr(module, "sample_frozen", surprised)
    monkeypatch.setattr(module, "adapt", lambda *args, **options: adapted(q))
    _, found, _ = adapt_and_freeze(journal(), q, seed=0, name="test", n_eff=500)
    assert found.n_attempts == n_attempts
