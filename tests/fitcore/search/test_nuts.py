from __future__ import annotations

from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import fitcore as fc
from fitcore.errors import ConfigError, LikelihoodError, NotConvergedError, SpecError
from fitcore.search import NUTS, NoCheckpoint, Problem, SearchOutcome, chains, silent
from fitcore.search.problems import constrained, counting, gaussian, two_modes

SMALL = gaussian(2)


def run(search: NUTS, problem: Problem, seed: int = 1) -> SearchOutcome:
    return search.run(problem, seed=seed, checkpoint=NoCheckpoint(), progress=silent)


@pytest.fixture(scope="module")
def whole() -> SearchOutcome:
    return run(NUTS(n_eff=200, n_warmup=120), SMALL.problem)


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_an_interrupted_search_ends_the_same(run_in_pieces: Any, whole: SearchOutcome, patience: int) -> None:
    """Pieces that end within the warm-up, between blocks, and between a block and the likelihoods of its draws."""
    counted, counts = counting(SMALL.problem)
    resumed, pieces = run_in_pieces(NUTS(n_eff=200, n_warmup=120), counted, seed=1, patience=patience)
    assert pieces > 2
    assert np.array_equal(whole.u, resumed.u)
    assert np.array_equal(whole.log_likelihood, resumed.log_likelihood)
    assert dict(whole.diagnostics) == dict(resumed.diagnostics)
    assert whole.n_calls == resumed.n_calls == counts["values"] + whole.diagnostics["n_gradients"], "no likelihood is evaluated twice"


def test_it_ends_as_soon_as_the_chains_agree(whole: SearchOutcome) -> None:
    assert whole.diagnostics["r_hat_max"] < 1.01
    assert whole.diagnostics["ess_min"] >= 200
    assert whole.diagnostics["n_divergent"] == 0
    assert len(whole.u) == whole.diagnostics["n_draws"] < 1000
    assert 0.1 < whole.diagnostics["step_size_min"] <= whole.diagnostics["step_size_max"] < 3.0
    assert np.all(whole.log_weight == whole.log_weight[0])


def test_the_steps_are_compiled_once(whole: SearchOutcome) -> None:
    assert len(whole.u) > 50
    assert chains._scan(chains.Kernel(log_likelihood=SMALL.problem.traceable, target_accept=0.8))._cache_size() == 1


@pytest.mark.slow
def test_divergences_are_counted() -> None:
    known = constrained(2, cut=0.0)
    found = run(NUTS(n_eff=50, n_warmup=100, n_draws_max=100_000), known.problem)
    assert found.diagnostics["n_divergent"] > 0
    assert np.all(np.isfinite(found.log_likelihood)), "the forbidden part is never entered"


@pytest.mark.slow
def test_chains_in_different_modes_are_refused() -> None:
    with pytest.raises(NotConvergedError, match=r"NUTS has made 2000 draws and the chains do not agree: R-hat is \d\.\d+ \(below 1.01 is"):
        run(NUTS(n_eff=100, n_warmup=100, n_draws_max=2000), two_modes(2).problem)


def test_too_few_draws_are_refused_too() -> None:
    with pytest.raises(NotConvergedError, match=r"has made 400 draws .* worst for p[01]; 0 divergences. NUTS.n_draws_max is 400: raise it"):
        run(NUTS(n_eff=5000, n_warmup=100, n_draws_max=400), SMALL.problem)


def test_a_traced_form_that_is_another_function_is_refused() -> None:
    def half(u: np.ndarray) -> np.ndarray:
        # Only the starts, evaluated in one whole batch, see the likelihood as it is.
        return SMALL.problem.log_likelihood(u) if len(u) == 32 else np.full(len(u), -np.inf)

    with pytest.raises(LikelihoodError, match=r"draws of the chains have a log-likelihood of -inf, though its traced form is finite there"):
        run(NUTS(n_eff=100, n_warmup=100), replace(SMALL.problem, log_likelihood=half))


def test_a_proposal_is_where_the_chains_start() -> None:
    problem = SMALL.with_proposal()
    seen: list[np.ndarray] = []

    def noting(u: np.ndarray) -> np.ndarray:
        seen.append(u)
        return SMALL.problem.log_likelihood(u)

    run(NUTS(n_eff=100, n_warmup=100), replace(problem, log_likelihood=noting))
    assert SMALL.problem.log_likelihood(seen[0]).mean() > SMALL.problem.log_likelihood(np.random.default_rng(1).random((32, 2))).mean() + 5


def test_what_it_cannot_do_is_said() -> None:
    with pytest.raises(SpecError, match=r"NUTS needs a log-likelihood that JAX can trace, and the problem has none. .* set use_jax=True"):
        run(NUTS(), replace(SMALL.problem, traceable=None))
    with pytest.raises(SpecError, match=r"The problem has 0 parameters"):
        run(NUTS(), Problem(n_dim=0, paths=(), log_likelihood=lambda u: np.zeros(len(u)), traceable=lambda z: 0.0))
    nowhere = replace(SMALL.problem, log_likelihood=lambda u: np.full(len(u), -np.inf))
    with pytest.raises(
        NotConvergedError, match=r"0 of 3200 draws from the prior have a finite log-likelihood, and the search needs at least 4"
    ):
        run(NUTS(), nowhere)


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"NUTS: n_chains is 1; it must be an integer from 2 to 1000"):
        NUTS(n_chains=1)
    with pytest.raises(ConfigError, match=r"NUTS: n_warmup is 5; it must be an integer from 20"):
        NUTS(n_warmup=5)
    with pytest.raises(ConfigError, match=r"NUTS: target_accept is 1.0; it must be a number between 0.0 and 1.0, both excluded"):
        NUTS(target_accept=1.0)
    with pytest.raises(TypeError, match=r"n_draws"):
        NUTS(n_draws=10)  # type: ignore[call-arg]
    assert NUTS().identity() == {
        "search": "NUTS",
        "version": 1,
        "n_chains": 4,
        "n_warmup": 500,
        "n_eff": 1000,
        "n_draws_max": 20_000,
        "target_accept": 0.8,
    }


class Line(fc.Analysis):
    """A straight line through nine points."""

    def __init__(self) -> None:
        super().__init__(use_jax=True)
        self.x = np.linspace(-1.0, 1.0, 9)
        self.y = 0.3 + 0.4 * self.x

    def log_likelihood_function(self, instance: Any) -> Any:
        return -0.5 * jnp.sum(((instance["offset"] + instance["slope"] * self.x - self.y) / 0.3) ** 2)


def test_end_to_end(store: fc.Store) -> None:
    """The constraint cuts a third of the posterior off; the exact means come from a grid."""
    model = fc.Model({"offset": fc.Normal(0.0, 1.0), "slope": fc.Uniform(-3.0, 3.0)}, constraints=[fc.Less("offset", "slope")])
    search = fc.NUTS(n_eff=300, n_warmup=200, n_draws_max=50_000)
    result = fc.fit(model, Line(), search, store=store, progress=False)
    assert np.isnan(result.log_evidence)
    theta = result.samples.parameters
    assert np.all(theta[:, 0] < theta[:, 1])

    x, y = Line().x, Line().y
    offset, slope = np.meshgrid(np.linspace(-0.5, 1.1, 401), np.linspace(-0.6, 1.6, 401), indexing="ij")
    chi = sum(((offset + slope * at - value) / 0.3) ** 2 for at, value in zip(x, y, strict=True))
    weight = np.where(offset < slope, np.exp(-0.5 * (chi + offset**2)), 0.0)
    for path, exact in (("offset", offset), ("slope", slope)):
        mean = np.sum(weight * exact) / weight.sum()
        sigma = np.sqrt(np.sum(weight * (exact - mean) ** 2) / weight.sum())
        assert abs(result.samples_summary.by_path("mean")[path] - mean) < 4.0 * sigma / np.sqrt(300)
    assert fc.fit(model, Line(), search, store=store, progress=False).is_cached


def test_an_analysis_without_jax_is_told(store: fc.Store, point: Any, toy_model: fc.Model) -> None:
    with pytest.raises(SpecError, match=r"set use_jax=True in the analysis, or use fitcore.Nautilus"):
        fc.fit(toy_model, point(), fc.NUTS(), store=store, progress=False)
