"""Every search solves every known problem: evidence, moments, counts, determinism."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import ndtri

from fitcore.search import (
    NUTS,
    Dynesty,
    Importance,
    MultiStart,
    Nautilus,
    NoCheckpoint,
    Problem,
    ProgressEvent,
    Search,
    SearchOutcome,
    silent,
)
from fitcore.search.convergence import bulk_effective_sample_size
from fitcore.search.problems import (
    KnownProblem,
    banana,
    constrained,
    counting,
    edge,
    gaussian,
    known_problems,
    standardized_errors,
    two_modes,
)

SEARCHES: dict[str, Search] = {
    "importance": Importance(n_eff=1000),
    "nautilus-importance": Nautilus(n_live=100, n_eff=1000),
    "nautilus-nautilus": Nautilus(n_live=150, n_eff=1000, finish="nautilus"),
}
SPECIALISTS: dict[str, Search] = {
    "multistart": MultiStart(n_starts=24),
    "multistart-simplex": MultiStart(n_starts=12, method="simplex"),
    "dynesty": Dynesty(n_live=100, d_log_z=0.1),
    "nuts": NUTS(n_eff=400, n_warmup=300),
}
EVERY = {**SEARCHES, **SPECIALISTS}
PROBLEMS = {known.name: known for known in known_problems()}
# What each can honestly solve: peaks that are Gaussian; one connected mode; anything of a few dimensions, with patience.
CAN_SOLVE = {
    "multistart": ("gaussian-2", "gaussian-5", "gaussian-10", "two-modes-4"),
    "multistart-simplex": ("gaussian-2", "gaussian-5", "two-modes-4"),
    "dynesty": ("gaussian-2", "banana-5", "edge-4", "two-modes-4", "constrained-4"),
    "nuts": ("gaussian-5", "banana-5", "edge-4"),
}
# Graded B or F, the standard deviations a tenth too small: a known gap, see the README.
TOO_NARROW = [("nautilus-importance", "banana-5"), ("nautilus-nautilus", "banana-5")]
SMALL = gaussian(3)  # one object, so that what is compiled for it is compiled once


def posed(search: Search, known: KnownProblem, seed: int = 1) -> Problem:
    return known.with_proposal(seed=seed) if isinstance(search, Importance) else known.problem


def solved(search: Search, known: KnownProblem, seed: int = 1) -> SearchOutcome:
    return search.run(posed(search, known, seed), seed=seed, checkpoint=NoCheckpoint(), progress=silent)


def same(a: SearchOutcome, b: SearchOutcome) -> bool:
    return (
        np.array_equal(a.u, b.u)
        and np.array_equal(a.log_likelihood, b.log_likelihood)
        and np.array_equal(a.log_weight, b.log_weight)
        and np.array_equal([a.log_evidence, a.log_evidence_error], [b.log_evidence, b.log_evidence_error], equal_nan=True)
        and a.n_calls == b.n_calls
        and dict(a.diagnostics) == dict(b.diagnostics)
    )


@pytest.mark.parametrize("problem", PROBLEMS)
@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_solves_every_problem(search: str, problem: str) -> None:
    known = PROBLEMS[problem]
    counted, counts = counting(known.with_proposal(seed=1) if search == "importance" else known.problem)
    outcome = SEARCHES[search].run(counted, seed=1, checkpoint=NoCheckpoint(), progress=silent)

    assert outcome.n_calls == counts["values"] + counts["gradients"]
    assert all(size % known.problem.n_batch == 0 for size in counts["sizes"]), "batches are whole"
    assert outcome.u.shape == (len(outcome.log_weight), known.problem.n_dim)
    assert np.all((outcome.u > 0) & (outcome.u < 1))
    assert np.array_equal(outcome.log_likelihood, known.problem.log_likelihood(outcome.u)), "the plain log-likelihoods are stored"
    assert np.exp(outcome.log_weight).sum() == pytest.approx(1.0, abs=1e-12)
    n_eff = 1.0 / np.sum(np.exp(2.0 * outcome.log_weight))
    assert n_eff >= 0.999 * 1000

    # At these fixed seeds 3.5 claimed standard deviations.
    assert abs(outcome.log_evidence - known.log_evidence) < 3.5 * outcome.log_evidence_error
    assert 0.005 < outcome.log_evidence_error < 0.1
    # Weights that grow with the distance make the moments noisier than so many equal ones: 4.5 where 4 would do for those.
    is_right = max(np.max(np.abs(errors)) for errors in standardized_errors(known, outcome.u, outcome.log_weight)) < 4.5
    assert is_right != ((search, problem) in TOO_NARROW), "a gap of the README has come or gone"


@pytest.mark.parametrize(
    ("search", "problem"),
    [
        pytest.param(search, problem, marks=[pytest.mark.slow] if (search, problem) == ("nuts", "edge-4") else [])
        for search, problems in CAN_SOLVE.items()
        for problem in problems
    ],
)
def test_the_specialists_solve_what_they_can(search: str, problem: str) -> None:
    known = PROBLEMS[problem]
    counted, counts = counting(known.problem)
    outcome = SPECIALISTS[search].run(counted, seed=1, checkpoint=NoCheckpoint(), progress=silent)

    # The chains' gradients are made inside compiled steps, where nothing can be counted from outside.
    hidden = int(outcome.diagnostics["n_gradients"]) if search == "nuts" else 0
    assert outcome.n_calls == counts["values"] + counts["gradients"] + hidden
    assert outcome.u.shape == (len(outcome.log_weight), known.problem.n_dim)
    assert np.all((outcome.u > 0) & (outcome.u < 1))
    np.testing.assert_allclose(outcome.log_likelihood, known.problem.log_likelihood(outcome.u), rtol=1e-9)
    assert np.exp(outcome.log_weight).sum() == pytest.approx(1.0, abs=1e-12)

    if search == "dynesty":
        assert abs(outcome.log_evidence - known.log_evidence) < 3.5 * outcome.log_evidence_error
        assert 0.05 < outcome.log_evidence_error < 0.4
    else:
        assert np.isnan(outcome.log_evidence)
        assert np.isnan(outcome.log_evidence_error)
    # With dynesty the shares of modes are as uncertain as the evidence, and random walks within a strong banana are so correlated that the
    # weights' effective number is several times too large, with one walker as with many: the evidence is tested, the moments are not.
    if (search, problem) not in (("dynesty", "two-modes-4"), ("dynesty", "banana-5")):
        mean, sigma = standardized_errors(known, outcome.u, outcome.log_weight)
        mean_worth, sigma_worth = independence(outcome) if search == "nuts" else (1.0, 1.0)
        assert np.max(np.abs(mean) * mean_worth) < 4.5
        assert np.max(np.abs(sigma) * sigma_worth) < 4.5


def independence(outcome: SearchOutcome, n_chains: int = 4) -> tuple[np.ndarray, np.ndarray]:
    """By how much the errors of means and of standard deviations count less than those of as many independent draws, by parameter."""
    chains = ndtri(outcome.u).reshape(-1, n_chains, outcome.u.shape[1]).transpose(2, 1, 0)
    worth = [[bulk_effective_sample_size(part) for part in (one, (one - one.mean()) ** 2)] for one in chains]
    return tuple(np.sqrt(np.array(worth).T / len(outcome.u)))


@pytest.mark.parametrize("search", EVERY)
def test_same_seed_same_bits_other_seed_other_bits(search: str) -> None:
    first, again = solved(EVERY[search], SMALL, seed=2), solved(EVERY[search], SMALL, seed=2)
    assert same(first, again)
    other = EVERY[search].run(posed(EVERY[search], SMALL, seed=2), seed=3, checkpoint=NoCheckpoint(), progress=silent)
    assert not np.array_equal(other.u[:10], first.u[:10])


@pytest.mark.parametrize("search", EVERY)
def test_the_global_generator_and_the_warnings_of_numpy_are_left_alone(search: str) -> None:
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr]  # noqa: NPY002
    errors = np.geterr()
    solved(EVERY[search], SMALL)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[arg-type]  # noqa: NPY002
    assert np.geterr() == errors


@pytest.mark.parametrize("search", EVERY)
def test_progress_tells_phase_calls_and_best_point(search: str) -> None:
    events = []
    outcome = EVERY[search].run(posed(EVERY[search], SMALL), seed=1, checkpoint=NoCheckpoint(), progress=events.append)
    assert all(isinstance(event, ProgressEvent) for event in events)
    calls = [event.n_calls for event in events]
    assert calls == sorted(calls)
    assert calls[-1] == outcome.n_calls
    best = events[-1].log_likelihood_best
    assert best is not None
    assert best >= outcome.log_likelihood.max()
    # To rounding: a matrix product may round differently for one point than for many.
    assert SMALL.problem.log_likelihood(events[-1].u_best[None])[0] == pytest.approx(best, rel=1e-12)


@pytest.mark.parametrize("search", [pytest.param(name, marks=[pytest.mark.slow] if name == "nuts" else []) for name in EVERY])
def test_one_parameter(search: str) -> None:
    known = gaussian(1)
    outcome = solved(EVERY[search], known)
    assert outcome.u.shape[1] == 1
    if not np.isnan(outcome.log_evidence):
        assert abs(outcome.log_evidence - known.log_evidence) < 3.5 * outcome.log_evidence_error
    assert abs(np.exp(outcome.log_weight) @ ndtri(outcome.u) - known.draw(20_000, np.random.default_rng(1)).mean()) < 0.03


TRACED = [gaussian(3), banana(4), edge(4), two_modes(3), constrained(3)]


@pytest.mark.parametrize("known", TRACED, ids=lambda known: known.name)
def test_the_traced_form_of_the_known_problems_is_the_same_function(known: KnownProblem) -> None:
    z = known.draw(20, np.random.default_rng(1))
    assert known.problem.traceable is not None
    traced = [float(known.problem.traceable(point)) for point in np.concatenate([z, z + 1.0])]
    np.testing.assert_allclose(traced, known.problem.log_likelihood(_cdf(np.concatenate([z, z + 1.0]))), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("known", [gaussian(3), banana(4), edge(4), two_modes(3), constrained(3)], ids=lambda known: known.name)
def test_the_known_problems_are_what_they_say(known: KnownProblem) -> None:
    """Importance sampling with the exact posterior widened a little: the mean weight is the evidence."""
    problem = known.with_proposal(width=1.1)
    z = problem.proposal.draw(200_000, np.random.default_rng(1))
    outside = (
        problem.log_likelihood(np.clip(_cdf(z), 1e-300, 1 - 2**-53)) - 0.5 * np.sum(z * z, axis=1) - 0.5 * z.shape[1] * np.log(2 * np.pi)
    )
    weight = np.exp(outside - problem.proposal.log_prob(z))
    error = weight.std() / weight.mean() / np.sqrt(len(weight))
    assert abs(np.log(weight.mean()) - known.log_evidence) < 4 * error
    assert error < 0.01
    exact = known.draw(200_000, np.random.default_rng(2))
    own = weight @ z / weight.sum()
    assert np.max(np.abs(own - exact.mean(axis=0)) / exact.std(axis=0)) < 0.03


@pytest.mark.parametrize("known", [gaussian(3), two_modes(3)], ids=lambda known: known.name)
def test_the_gradients_of_the_known_problems(known: KnownProblem) -> None:
    z = known.draw(5, np.random.default_rng(1)) + 0.05
    assert known.problem.value_and_gradient is not None
    value, gradient = known.problem.value_and_gradient(z)
    for i in range(3):
        step = 1e-6 * np.eye(3)[i]
        up, down = known.problem.value_and_gradient(z + step)[0], known.problem.value_and_gradient(z - step)[0]
        np.testing.assert_allclose(gradient[:, i], (up - down) / 2e-6, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(value, known.problem.log_likelihood(_cdf(z)), rtol=1e-8)


def _cdf(z: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(z)


@pytest.mark.slow
@pytest.mark.parametrize("n_dim", [5, 10, 15])
def test_the_claimed_error_is_the_scatter(n_dim: int) -> None:
    """Errors over claims at 24 seeds: chi-squared with 24 degrees of freedom, between its 0.05 % and 99.95 % points."""
    pulls = []
    for seed in range(24):
        known = gaussian(n_dim, seed=seed)
        outcome = Importance(n_eff=1000).run(
            known.with_proposal(shift=1.0, seed=seed), seed=seed, checkpoint=NoCheckpoint(), progress=silent
        )
        pulls.append((outcome.log_evidence - known.log_evidence) / outcome.log_evidence_error)
    assert 7.0 < np.sum(np.square(pulls)) < 54.0


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_cold_in_fifteen_dimensions(seed: int) -> None:
    known = gaussian(15, seed=seed)
    outcome = Nautilus(n_live=100).run(replace(known.problem), seed=seed, checkpoint=NoCheckpoint(), progress=silent)
    assert outcome.n_calls < 17_000
    assert abs(outcome.log_evidence - known.log_evidence) < 3.5 * outcome.log_evidence_error
