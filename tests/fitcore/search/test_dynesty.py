from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import fitcore as fc
from fitcore.errors import ConfigError, NotConvergedError, SearchInterruptedError, SpecError
from fitcore.search import Dynesty, NoCheckpoint, Problem, SearchOutcome, silent
from fitcore.search.problems import constrained, counting, gaussian


def run(search: Dynesty, problem: Problem, seed: int = 1) -> SearchOutcome:
    return search.run(problem, seed=seed, checkpoint=NoCheckpoint(), progress=silent)


@pytest.mark.parametrize("sample", ["rwalk", "unif", "slice", "rslice", "auto"])
def test_every_way_to_sample(sample: str) -> None:
    known = gaussian(2)
    found = run(Dynesty(n_live=60, sample=sample, d_log_z=0.5), known.problem)
    assert abs(found.log_evidence - known.log_evidence) < 3.5 * found.log_evidence_error


def test_an_interrupted_search_ends_the_same(run_in_pieces: Any) -> None:
    known, search = gaussian(2), Dynesty(n_live=40, d_log_z=0.5)
    whole = run(search, known.problem)
    counted, counts = counting(known.problem)
    resumed, pieces = run_in_pieces(search, counted, seed=1, patience=60)
    assert pieces > 3
    assert np.array_equal(whole.u, resumed.u)
    assert np.array_equal(whole.log_likelihood, resumed.log_likelihood)
    assert np.array_equal(whole.log_weight, resumed.log_weight)
    assert (whole.log_evidence, whole.log_evidence_error) == (resumed.log_evidence, resumed.log_evidence_error)
    assert dict(whole.diagnostics) == dict(resumed.diagnostics)
    assert whole.n_calls == resumed.n_calls == counts["values"], "nothing is evaluated twice"


def test_an_interruption_is_silent(folder_checkpoint: Any, capsys: pytest.CaptureFixture[str]) -> None:
    """dynesty prints a traceback whenever a likelihood raises; a stop is no accident."""
    folder_checkpoint.patience = 10
    with pytest.raises(SearchInterruptedError, match=r"they are saved"):
        Dynesty(n_live=40).run(gaussian(2).problem, seed=1, checkpoint=folder_checkpoint, progress=silent)
    assert capsys.readouterr() == ("", "")


def test_walkers_are_evaluated_in_batches() -> None:
    counted, counts = counting(gaussian(2).problem)
    run(Dynesty(n_live=128, d_log_z=0.5), counted)
    assert max(counts["sizes"]) >= 32
    assert 32 in counts["sizes"]


@pytest.mark.parametrize("cut", [0.0, 1.5])
def test_the_part_of_the_prior_without_likelihood_enters_the_evidence(cut: float) -> None:
    known = constrained(2, cut=cut)
    found = run(Dynesty(n_live=100, d_log_z=0.1), known.problem)
    z = np.random.default_rng(1).standard_normal((20_000, 2))
    share = np.isfinite(known.problem.log_likelihood(_cdf(z))).mean()
    assert found.diagnostics["possible_share"] == pytest.approx(share, abs=4 * np.sqrt(share * (1 - share) / 100))
    assert abs(found.log_evidence - known.log_evidence) < 3.5 * found.log_evidence_error
    assert np.all(np.isfinite(found.log_likelihood))


def test_settings_are_checked() -> None:
    with pytest.raises(ConfigError, match=r"Dynesty: n_live is 5; it must be an integer from 20 to 100000"):
        Dynesty(n_live=5)
    with pytest.raises(ConfigError, match=r"Dynesty: sample is 'hmc'; it must be one of 'auto', 'unif', 'rwalk', 'slice', 'rslice'"):
        Dynesty(sample="hmc")
    with pytest.raises(ConfigError, match=r"Dynesty: d_log_z is 0; it must be a number between 0.0 and 100.0, both excluded"):
        Dynesty(d_log_z=0)
    with pytest.raises(TypeError, match=r"dlogz"):
        Dynesty(dlogz=0.1)  # type: ignore[call-arg]
    assert Dynesty().identity() == {
        "search": "Dynesty",
        "version": 1,
        "n_live": 500,
        "sample": "rwalk",
        "d_log_z": 0.01,
        "n_like_max": 3_000_000,
    }


def test_what_it_cannot_do_is_said() -> None:
    with pytest.raises(SpecError, match=r"Dynesty: n_live is 20 for 10 parameters; it must be more than twice as many. Raise n_live"):
        run(Dynesty(n_live=20), gaussian(10).problem)
    with pytest.raises(SpecError, match=r"The problem has 0 parameters"):
        run(Dynesty(), Problem(n_dim=0, paths=(), log_likelihood=lambda u: np.zeros(len(u))))
    nowhere = Problem(n_dim=1, paths=("a",), log_likelihood=lambda u: np.full(len(u), -np.inf))
    with pytest.raises(
        NotConvergedError, match=r"0 of 6400 draws from the prior have a finite log-likelihood, and the search needs at least 50"
    ):
        run(Dynesty(n_live=50), nowhere)
    with pytest.raises(NotConvergedError, match=r"Raise Dynesty.n_like_max"):
        run(Dynesty(n_live=50, n_like_max=1000), gaussian(2).problem)


@pytest.mark.parametrize("use_jax", [False, True])
def test_end_to_end(point: Any, store: fc.Store, toy_model: fc.Model, use_jax: bool) -> None:
    search = fc.Dynesty(n_live=60, d_log_z=0.3)
    result = fc.fit(toy_model, point(use_jax=use_jax), search, store=store, progress=False)
    exact = np.log(0.5 * np.sqrt(2 * np.pi) * 0.1) + np.log(0.2 / np.sqrt(1.04)) - 0.5 * 0.04 / 1.04
    assert abs(result.log_evidence - exact) < 3.5 * result.log_evidence_error
    assert fc.fit(toy_model, point(use_jax=use_jax), search, store=store, progress=False).is_cached


def _cdf(z: np.ndarray) -> np.ndarray:
    from scipy.special import ndtr

    return ndtr(z)
