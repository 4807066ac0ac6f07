"""What may differ between a stage and the next: new parameters that lean on the old ones, some left out, edges, a circle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import i0e, ndtri

from fitcore.search import Importance, Nautilus, NoCheckpoint, Problem, Search, SearchOutcome, silent
from fitcore.search.mixture import Mixture
from fitcore.search.problems import KnownProblem, edge, gaussian, standardized_errors

KAPPA = 40.0


def run(problem: Problem, search: Search | None = None) -> SearchOutcome:
    return (search or Importance(n_eff=1000)).run(problem, seed=1, checkpoint=NoCheckpoint(), progress=silent)


def assert_right(outcome: SearchOutcome, log_evidence: float) -> None:
    assert outcome.diagnostics["grade"] in ("A", "B")
    assert abs(outcome.log_evidence - log_evidence) < 3.5 * outcome.log_evidence_error
    assert outcome.log_evidence_error < 0.1


def remembered(known: KnownProblem, columns: list[int], *, widen: float = 1.0) -> Mixture:
    """What an earlier stage knew of some of the parameters."""
    z = known.draw(2000, np.random.default_rng(1))[:, columns]
    mean = z.mean(axis=0)
    return Mixture.fit(mean + widen * (z - mean), np.zeros(len(z)))


@pytest.mark.parametrize("has_gradient", [True, False])
def test_new_parameters_that_are_correlated_with_each_other_and_with_the_old(has_gradient: bool) -> None:
    """Two of eight are new; the others were twice as wide without them."""
    known = gaussian(8, seed=3)
    proposal = remembered(known, list(range(6)), widen=2.0).embed(range(6), 8)
    problem = replace(known.problem, proposal=proposal)
    outcome = run(problem if has_gradient else replace(problem, value_and_gradient=None))
    assert_right(outcome, known.log_evidence)
    assert not outcome.diagnostics["is_fallback"]
    mean, sigma = standardized_errors(known, outcome.u, outcome.log_weight)
    assert np.max(np.abs(mean)) < 4.5
    assert np.max(np.abs(sigma)) < 4.5


def test_a_proposal_that_knows_half_of_the_parameters_in_another_order() -> None:
    known = gaussian(6, seed=4)
    columns = [4, 0, 2]
    outcome = run(replace(known.problem, proposal=remembered(known, columns).embed(columns, 6)))
    assert_right(outcome, known.log_evidence)
    assert not outcome.diagnostics["is_fallback"]


def test_a_posterior_on_the_edges_of_its_priors_seen_from_a_stage_that_was_off() -> None:
    known = edge(5)
    assert_right(run(known.with_proposal(shift=1.0)), known.log_evidence)


def circle(center: float, has_gradient: bool) -> tuple[Problem, float]:
    """An angle with a prior over the whole circle, cut at zero, beside three Gaussian parameters. The evidence is one."""
    rest = gaussian(3, seed=5, log_evidence=0.0)
    log_norm = np.log(i0e(KAPPA)) + KAPPA

    def angle(u: np.ndarray) -> np.ndarray:
        return KAPPA * np.cos(2 * np.pi * (u - center)) - log_norm

    def value_and_gradient(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from scipy.special import ndtr

        u, bell = ndtr(z[:, 0]), np.exp(-0.5 * z[:, 0] ** 2) / np.sqrt(2 * np.pi)
        assert rest.problem.value_and_gradient is not None
        value, gradient = rest.problem.value_and_gradient(z[:, 1:])
        slope = -2 * np.pi * KAPPA * np.sin(2 * np.pi * (u - center)) * bell
        return value + angle(u), np.column_stack([slope, gradient])

    problem = Problem(
        n_dim=4,
        paths=("angle", "p0", "p1", "p2"),
        log_likelihood=lambda u: angle(u[:, 0]) + rest.problem.log_likelihood(u[:, 1:]),
        value_and_gradient=value_and_gradient if has_gradient else None,
        n_batch=32,
    )
    return problem, 0.0


def drawn_on_the_circle(center: float, n: int = 2000) -> np.ndarray:
    rng = np.random.default_rng(2)
    turn = (center + rng.vonmises(0.0, KAPPA, n) / (2 * np.pi)) % 1.0
    return np.column_stack([ndtri(np.clip(turn, 1e-9, 1 - 1e-9)), gaussian(3, seed=5).draw(n, rng)])


@pytest.mark.parametrize("has_gradient", [True, False])
@pytest.mark.parametrize("before", [0.004, 0.03])
def test_an_angle_whose_posterior_lies_across_the_cut_of_the_circle(before: float, has_gradient: bool) -> None:
    """Both ends of its prior hold a part: two modes at the edges. The stage before saw it here, or one standard deviation further on."""
    problem, log_evidence = circle(0.004, has_gradient)
    z = drawn_on_the_circle(before)
    outcome = run(replace(problem, proposal=Mixture.fit(z, np.zeros(len(z)))))
    assert_right(outcome, log_evidence)
    share = float(np.sum(np.exp(outcome.log_weight)[outcome.u[:, 0] > 0.5]))
    truth = float(np.mean(drawn_on_the_circle(0.004, 200_000)[:, 0] > 0))
    assert share == pytest.approx(truth, abs=4 * np.sqrt(truth * (1 - truth) / 1000) * (2 if outcome.diagnostics["grade"] == "B" else 1))


@pytest.mark.parametrize("has_gradient", [True, False])
def test_a_cold_search_of_such_an_angle(has_gradient: bool) -> None:
    problem, log_evidence = circle(0.004, has_gradient)
    assert_right(run(problem, Nautilus(n_eff=1000, n_live=100)), log_evidence)


def test_batches_have_one_size(counted_sizes: Callable[[Problem], tuple[Problem, list[int]]]) -> None:
    """One size is compiled once: whatever a stage does, a batch is a multiple of the problem's, so that padding never enters."""
    known = gaussian(5)
    problem, sizes = counted_sizes(known.with_proposal(shift=1.0))
    run(problem)
    assert sizes
    assert all(size % problem.n_batch == 0 for size in sizes)


@pytest.fixture
def counted_sizes() -> Callable[[Problem], tuple[Problem, list[int]]]:
    def wrapped(problem: Problem) -> tuple[Problem, list[int]]:
        sizes: list[int] = []

        def log_likelihood(u: Any) -> Any:
            sizes.append(len(u))
            return problem.log_likelihood(u)

        return replace(problem, log_likelihood=log_likelihood), sizes

    return wrapped
