from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.special import ndtri

import fitcore as fc
from fitcore.errors import ConfigError, NotConvergedError, SpecError
from fitcore.search import MultiStart, NoCheckpoint, Problem, SearchOutcome, silent
from fitcore.search.problems import constrained, counting, edge, gaussian, two_modes


def run(search: MultiStart, problem: Problem, seed: int = 1) -> SearchOutcome:
    return search.run(problem, seed=seed, checkpoint=NoCheckpoint(), progress=silent)


@pytest.mark.parametrize("method", ["gradient", "simplex"])
@pytest.mark.parametrize("share", [0.3, 0.05])
def test_both_modes_with_their_shares(method: str, share: float) -> None:
    """Both peaks are Gaussian, so Laplace's masses are exact."""
    found = run(MultiStart(n_starts=32, method=method), two_modes(3, share=share).problem).diagnostics
    assert found["n_modes"] == 2
    assert found["mode_0_share"] == pytest.approx(1.0 - share, abs=2e-3)
    assert found["mode_1_share"] == pytest.approx(share, abs=2e-3)
    assert found["mode_1_log_evidence"] == pytest.approx(np.log(share), abs=0.01)
    assert found["laplace_log_evidence"] == pytest.approx(0.0, abs=0.01)
    assert found["mode_0_hits"] + found["mode_1_hits"] == found["n_hits"] == 32
    assert min(found["mode_0_hits"], found["mode_1_hits"]) >= 1
    assert found["n_failed"] == 0
    assert found["method"] == method


def test_the_log_posterior_of_a_mode_is_the_density_there() -> None:
    known = gaussian(3, log_evidence=-3.0)
    found = run(MultiStart(n_starts=4), known.problem)
    z = ndtri(found.u[0])  # the first draw is the peak itself
    expected = found.log_likelihood[0] - 0.5 * z @ z - 1.5 * np.log(2.0 * np.pi)
    assert found.diagnostics["mode_0_log_posterior"] == pytest.approx(expected, abs=1e-9)
    assert found.diagnostics["mode_0_log_evidence"] == pytest.approx(-3.0, abs=1e-3)


@pytest.mark.parametrize("n_dim", [2, 4])
def test_a_peak_on_a_hard_wall(n_dim: int) -> None:
    """The peak of the allowed part lies on the wall when the cut is above the center."""
    known = constrained(n_dim, cut=0.5)
    found = run(MultiStart(n_starts=16), known.problem)
    draws = known.draw(20_000, np.random.default_rng(1))
    best = known.problem.log_likelihood(found.u).max()
    assert np.all(np.isfinite(found.log_likelihood))
    assert found.diagnostics["n_excluded"] > 0
    assert found.diagnostics["n_modes"] == 1
    sigma = draws.std(axis=0)
    assert np.all(np.abs(np.exp(found.log_weight) @ ndtri(found.u) - draws.mean(axis=0)) < 1.0 * sigma)
    exact = known.problem.log_likelihood(found.u) - 0.5 * np.sum(ndtri(found.u) ** 2, axis=1)
    assert exact.max() > (known.problem.log_likelihood(_cdf(draws)) - 0.5 * np.sum(draws**2, axis=1)).max() - 0.1
    assert best == found.log_likelihood.max()


def test_a_gradient_that_meets_a_wall_goes_on_as_a_simplex() -> None:
    """The wall is oblique, so the peak behind it can be reached along the wall only."""
    known = gaussian(2)

    def is_open(z: np.ndarray) -> np.ndarray:
        return z[:, 0] + z[:, 1] > 1.5

    def walled(u: np.ndarray) -> np.ndarray:
        return np.where(is_open(ndtri(u)), known.problem.log_likelihood(u), -np.inf)

    def gradient(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert known.problem.value_and_gradient is not None
        value, slope = known.problem.value_and_gradient(z)
        return np.where(is_open(z), value, -np.inf), slope

    problem = replace(known.problem, log_likelihood=walled, value_and_gradient=gradient)
    along = np.linspace(-4, 4, 20_001)
    wall = np.column_stack([along, 1.5 - along + 1e-9])
    best = (walled(_cdf(wall)) - 0.5 * np.sum(wall**2, axis=1)).max() - np.log(2 * np.pi)
    found = run(MultiStart(n_starts=2), problem).diagnostics
    assert found["mode_0_log_posterior"] == pytest.approx(best, abs=0.05)
    alone = run(MultiStart(n_starts=2, method="gradient"), problem).diagnostics
    assert alone["mode_0_log_posterior"] < best - 10.0


def test_a_mode_on_the_edge_of_the_prior() -> None:
    known = edge(4)
    found = run(MultiStart(n_starts=16), known.problem)
    assert found.diagnostics["n_modes"] == 1
    assert abs(found.diagnostics["laplace_log_evidence"] - known.log_evidence) < 0.5
    assert np.all(found.u[:, :2].mean(axis=0) < 0.15)
    np.testing.assert_allclose(np.std(ndtri(found.u[:, 2:]), axis=0), 1.0, atol=0.1)


def test_a_flat_direction_is_as_wide_as_the_prior() -> None:
    problem = Problem(n_dim=2, paths=("a", "b"), log_likelihood=lambda u: -0.5 * (ndtri(u[:, 0]) / 0.1) ** 2)
    found = run(MultiStart(n_starts=8, n_samples=4000), problem)
    sigma = np.std(ndtri(found.u), axis=0)
    assert sigma == pytest.approx([0.1 / np.sqrt(1.01), 1.0], rel=0.05)
    assert found.diagnostics["laplace_log_evidence"] == pytest.approx(-0.5 * np.log(101.0), abs=1e-3)


@pytest.mark.parametrize("method", ["auto", "simplex"])
@pytest.mark.parametrize("patience", [1, 7])
def test_an_interrupted_search_ends_the_same(run_in_pieces: Any, method: str, patience: int) -> None:
    known, search = two_modes(2), MultiStart(n_starts=6, method=method)
    whole = run(search, known.problem)
    counted, counts = counting(known.problem)
    resumed, pieces = run_in_pieces(search, counted, seed=1, patience=patience)
    assert pieces > 2
    assert np.array_equal(whole.u, resumed.u)
    assert np.array_equal(whole.log_likelihood, resumed.log_likelihood)
    assert np.array_equal(whole.log_weight, resumed.log_weight)
    assert dict(whole.diagnostics) == dict(resumed.diagnostics)
    assert whole.n_calls == resumed.n_calls == counts["values"] + counts["gradients"], "nothing is evaluated twice"


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"MultiStart: n_starts is 0; it must be an integer from 1 to 100000"):
        MultiStart(n_starts=0)
    with pytest.raises(ConfigError, match=r"MultiStart: n_samples is 1.5; it must be an integer"):
        MultiStart(n_samples=1.5)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"MultiStart: method is 'newton'; it must be one of 'auto', 'gradient', 'simplex'"):
        MultiStart(method="newton")
    with pytest.raises(TypeError, match=r"n_start"):
        MultiStart(n_start=3)  # type: ignore[call-arg]
    assert MultiStart().identity() == {
        "search": "MultiStart",
        "version": 2,
        "n_starts": 64,
        "n_samples": 1000,
        "method": "auto",
        "n_like_max": 300_000,
    }


def test_what_it_cannot_do_is_said() -> None:
    with pytest.raises(SpecError, match=r"method='gradient' needs a likelihood with gradients, and the problem has none. Write it in jax"):
        run(MultiStart(method="gradient"), edge(2).problem)
    with pytest.raises(SpecError, match=r"The problem has 0 parameters"):
        run(MultiStart(), Problem(n_dim=0, paths=(), log_likelihood=lambda u: np.zeros(len(u))))
    nowhere = Problem(n_dim=1, paths=("a",), log_likelihood=lambda u: np.full(len(u), -np.inf))
    with pytest.raises(
        NotConvergedError, match=r"0 of 3200 draws from the prior have a finite log-likelihood, and the search needs at least 1"
    ):
        run(MultiStart(n_starts=4), nowhere)
    with pytest.raises(NotConvergedError, match=r"Raise MultiStart.n_like_max"):
        run(MultiStart(n_like_max=100), gaussian(3).problem)


@pytest.mark.parametrize("use_jax", [False, True])
def test_end_to_end(point: Any, store: fc.Store, toy_model: fc.Model, use_jax: bool) -> None:
    search = fc.MultiStart(n_starts=8)
    result = fc.fit(toy_model, point(use_jax=use_jax), search, store=store, progress=False)
    assert np.isnan(result.log_evidence)
    assert result.samples_summary.by_path("median")["a"] == pytest.approx(0.3, abs=0.02)
    assert result.samples_summary.by_path("median")["b"] == pytest.approx(-0.2 / 1.04, abs=0.03)
    exact = np.log(0.5 * np.sqrt(2 * np.pi) * 0.1) + np.log(0.2 / np.sqrt(1.04)) - 0.5 * 0.04 / 1.04
    assert result.samples_summary.diagnostics["laplace_log_evidence"] == pytest.approx(exact, abs=0.02)
    assert fc.fit(toy_model, point(use_jax=use_jax), search, store=store, progress=False).is_cached


def _cdf(z: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(z)
