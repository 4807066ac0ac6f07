from __future__ import annotations

import importlib.metadata
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from nautilus.bounds import basic, neural

from fitcore.errors import ConfigError, LikelihoodError, NotConvergedError, SpecError
from fitcore.search import Nautilus, NoCheckpoint, SearchOutcome, silent
from fitcore.search import nautilus as module
from fitcore.search.adapter import check_version, fast_parts
from fitcore.search.problems import gaussian
from fitcore.store import Store


def assert_same(a: SearchOutcome, b: SearchOutcome) -> None:
    np.testing.assert_array_equal(a.u, b.u)
    np.testing.assert_array_equal(a.log_weight, b.log_weight)
    np.testing.assert_array_equal(a.log_likelihood, b.log_likelihood)
    assert (a.log_evidence, a.log_evidence_error, a.n_calls) == (b.log_evidence, b.log_evidence_error, b.n_calls)
    assert dict(a.diagnostics) == dict(b.diagnostics)


def run(search: Nautilus, known: Any = None, seed: int = 1) -> SearchOutcome:
    return search.run((known or gaussian(4)).problem, seed=seed, checkpoint=NoCheckpoint(), progress=silent)


@pytest.mark.parametrize("finish", ["importance", "nautilus"])
@pytest.mark.parametrize("patience", [1, 7])
def test_interrupted_and_resumed_gives_the_same_bits(
    run_in_pieces: Callable[..., tuple[SearchOutcome, int]], finish: str, patience: int
) -> None:
    """At every batch, and at every seventh: through exploration, sampling phase, adaptation and frozen draws."""
    search = Nautilus(n_live=60, n_eff=400, n_batch=64, n_shell=20, finish=finish)
    whole = run(search)
    resumed, pieces = run_in_pieces(search, gaussian(4).problem, seed=1, patience=patience)
    assert pieces > 3
    assert_same(whole, resumed)


def test_many_peaked_bounds_resume_to_the_same_bits(run_in_pieces: Callable[..., tuple[SearchOutcome, int]]) -> None:
    """Shells need both networks and split bounds: the emulator's second half is written and read too."""
    known = gaussian(3)

    def shells(u: np.ndarray) -> np.ndarray:
        x = 12.0 * u - 6.0
        center = np.array([3.5, 0.0, 0.0])
        radii = [np.sqrt(np.sum((x - sign * center) ** 2, axis=1)) for sign in (1.0, -1.0)]
        return np.logaddexp(*[-0.5 * ((r - 2.0) / 0.1) ** 2 for r in radii])

    problem = replace(known.problem, log_likelihood=shells)
    search = Nautilus(n_live=200, n_eff=300, n_shell=20, finish="nautilus")
    whole = search.run(problem, seed=1, checkpoint=NoCheckpoint(), progress=silent)
    resumed, pieces = run_in_pieces(search, problem, seed=1, patience=11)
    assert pieces > 2
    assert_same(whole, resumed)


def test_the_fallback_resumes_to_the_same_bits(
    run_in_pieces: Callable[..., tuple[SearchOutcome, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = module.adapt_and_freeze

    def graded_f(*arguments: Any, **settings: Any) -> Any:
        adapted, frozen, n = failing(*arguments, **settings)
        return adapted, replace(frozen, grade="F"), n

    monkeypatch.setattr(module, "adapt_and_freeze", graded_f)
    search = Nautilus(n_live=60, n_eff=300, n_shell=20)
    whole = run(search)
    assert whole.diagnostics["is_fallback"] is True
    assert whole.diagnostics["importance_grade"] == "F"
    assert (whole.diagnostics["finish"], whole.diagnostics["grade"]) == ("nautilus", "A")
    resumed, pieces = run_in_pieces(search, gaussian(4).problem, seed=1, patience=9)
    assert pieces > 3
    assert_same(whole, resumed)


def test_a_sampler_past_its_exploration_without_its_journal_begins_anew(
    folder_checkpoint: Any, monkeypatch: pytest.MonkeyPatch, run_in_pieces: Callable[..., tuple[SearchOutcome, int]]
) -> None:
    failing = module.adapt_and_freeze

    def graded_f(*arguments: Any, **settings: Any) -> Any:
        adapted, frozen, n = failing(*arguments, **settings)
        return adapted, replace(frozen, grade="F"), n

    monkeypatch.setattr(module, "adapt_and_freeze", graded_f)
    search = Nautilus(n_live=60, n_eff=300, n_shell=20)
    whole = run(search)
    folder_checkpoint.patience = round(whole.n_calls / 128) - 2
    with pytest.raises(module_interrupted()):
        search.run(gaussian(4).problem, seed=1, checkpoint=folder_checkpoint, progress=silent)
    folder_checkpoint.arrays = None
    folder_checkpoint.patience = 10**9
    assert_same(whole, search.run(gaussian(4).problem, seed=1, checkpoint=folder_checkpoint, progress=silent))


@pytest.mark.parametrize(("k", "grade", "factor"), [(0.29, "A", 1.0), (0.3, "B", 2.0), (0.49, "B", 2.0), (0.5, "F", 2.0)])
def test_the_tail_of_the_weights_grades_the_sampling_phase(monkeypatch: pytest.MonkeyPatch, k: float, grade: str, factor: float) -> None:
    search = Nautilus(n_live=60, n_eff=100, n_shell=5, finish="nautilus")
    plain = run(search)
    assert plain.diagnostics["grade"] == "A"
    monkeypatch.setattr(module, "pareto_k", lambda log_weight: k)
    graded = run(search)
    assert (graded.diagnostics["grade"], graded.log_evidence_error) == (grade, factor * plain.log_evidence_error)


def module_interrupted() -> type[Exception]:
    from fitcore.errors import SearchInterruptedError

    return SearchInterruptedError


def test_through_the_store(tmp_path: Any) -> None:
    search = Nautilus(n_live=60, n_eff=400, n_shell=20)
    looks = [25]

    def stop() -> bool:
        looks[0] -= 1
        return looks[0] < 0

    for _ in range(40):
        checkpoint = Store(tmp_path).checkpoint("ef" * 32, fingerprint={}, stop=stop)
        try:
            resumed = search.run(gaussian(4).problem, seed=1, checkpoint=checkpoint, progress=silent)
            break
        except module_interrupted():
            looks[0] = 11
    assert_same(run(search), resumed)


def test_the_exploration_never_enters_the_evidence() -> None:
    """Its points are fewer than the published ones in no shell by accident: every published point was drawn after it."""
    known, seen = gaussian(4), []

    def remembering(u: np.ndarray) -> np.ndarray:
        seen.append(u.copy())
        return known.problem.log_likelihood(u)

    for finish in ("importance", "nautilus"):
        seen.clear()
        search = Nautilus(n_live=60, n_eff=400, n_shell=20, finish=finish)
        outcome = search.run(replace(known.problem, log_likelihood=remembering), seed=1, checkpoint=NoCheckpoint(), progress=silent)
        n_explore = outcome.diagnostics["n_explore"]
        explored = {row.tobytes() for row in np.concatenate(seen)[:n_explore]}
        assert len(explored) == n_explore
        assert not any(row.tobytes() in explored for row in outcome.u)


def test_the_stock_parts_are_back_afterwards() -> None:
    stock = neural.NeuralNetworkEmulator, basic.minimum_volume_enclosing_ellipsoid, basic.Ellipsoid.transform
    with fast_parts(), fast_parts():
        assert neural.NeuralNetworkEmulator is not stock[0]
    run(Nautilus(n_live=60, n_eff=100, n_shell=1))
    assert (neural.NeuralNetworkEmulator, basic.minimum_volume_enclosing_ellipsoid, basic.Ellipsoid.transform) == stock
    with pytest.raises(RuntimeError, match="inside"), fast_parts():
        raise RuntimeError("inside")
    assert neural.NeuralNetworkEmulator is stock[0]


def test_another_version_of_nautilus_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    check_version()
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "1.1.0")
    with pytest.raises(ConfigError, match=r"nautilus-sampler is 1.1.0; 1.0.6 is needed.*Install nautilus-sampler==1.0.6"):
        check_version()


def test_another_signature_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fitcore.search.adapter.SIGNATURES", ((len, ("x",)),))
    with pytest.raises(ConfigError, match="len has another signature"):
        check_version()


def test_the_limit_on_calls() -> None:
    with pytest.raises(NotConvergedError, match=r"Nautilus.n_like_max is 1500. Raise Nautilus.n_like_max"):
        run(Nautilus(n_live=100, n_like_max=1500))


def test_nan_never_reaches_nautilus() -> None:
    problem = replace(gaussian(2).problem, log_likelihood=lambda u: np.where(u[:, 0] > 0.9, np.nan, 0.0))
    with pytest.raises(LikelihoodError, match=r"returned NaN or \+inf"):
        Nautilus().run(problem, seed=1, checkpoint=NoCheckpoint(), progress=silent)


def test_no_parameters() -> None:
    problem = replace(gaussian(2).problem, n_dim=0, paths=())
    with pytest.raises(SpecError, match="has 0 parameters; a search needs at least one"):
        Nautilus().run(problem, seed=1, checkpoint=NoCheckpoint(), progress=silent)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"n_live": 5}, "n_live is 5; it must be an integer from 20"),
        ({"n_batch": 0}, "n_batch is 0"),
        ({"n_shell": "many"}, "n_shell is 'many'"),
        ({"f_live": 1.0}, "f_live is 1.0; it must be a number between 0.0 and 1.0, both excluded"),
        ({"f_live": float("nan")}, "f_live is nan"),
        ({"finish": "both"}, "finish is 'both'; it must be one of 'importance', 'nautilus'"),
    ],
)
def test_settings(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Nautilus(**settings)


def test_unknown_keyword() -> None:
    with pytest.raises(TypeError, match="nlive"):
        Nautilus(nlive=3)  # type: ignore[call-arg]


def test_identity_holds_every_setting() -> None:
    identity = Nautilus(n_live=77).identity()
    assert identity == {
        "search": "Nautilus",
        "version": 6,
        "n_live": 77,
        "n_eff": 2000,
        "n_batch": 100,
        "n_shell": 100,
        "f_live": 0.1,
        "finish": "importance",
        "scout_starts": 32,
        "n_like_max": 300_000,
    }
