"""The analysis of a result is the same whether it was just computed or was in the store, and what becomes of hooks that fail then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.combined import CombinedAnalysis
from fitcore.chain import run_latents, run_pipeline, run_stage, stored_results
from fitcore.errors import ConfigError, ModelError
from fitcore.fitting import Request, find, fit, run
from fitcore.hooks import HookWarning, rerun_hooks
from fitcore.model import Model, Normal, Uniform
from fitcore.result import Result
from fitcore.stage import Pipeline, Stage
from fitcore.store import Store, durable

MODEL = Model({"a": Uniform(-1, 1), "b": Normal(0, 1)})


class Shifted(Analysis):
    """A likelihood about ``x``; either hook moves it, the second by the result's best point."""

    moves_before = 0.0
    moves_after = 0.0

    def __init__(self, x: float = 0.3, use_jax: bool = False) -> None:
        super().__init__(use_jax=use_jax)
        self.x = x

    def moved(self, by: float) -> Analysis:
        return type(self)(self.x + by, self.use_jax)

    def log_likelihood_function(self, instance: Any) -> Any:
        return -20 * (instance["a"] - self.x) ** 2 - 20 * (instance["b"] + 0.2) ** 2

    def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
        return self.moved(self.moves_before)

    def modify_after_fit(self, paths: Any, model: Model, result: Any) -> Analysis:
        return self.moved(self.moves_after * result.samples_summary.best[0])

    def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
        return {"distance": parameters[0] - self.x}


class Moving(Shifted):
    moves_before, moves_after = 0.125, 1.0


def chain(prior_sampling: Any, first: type[Shifted] = Moving, use_jax: bool = False) -> Pipeline:
    """Two stages, the second built from the analysis of the first one's result."""

    def second(data: Any, results: Any) -> Analysis:
        return Shifted(results["one"].analysis.x, use_jax)

    one = Stage("one", MODEL, first(use_jax=use_jax), prior_sampling(n_batches=3))
    return Pipeline("chain", [one, Stage("two", MODEL, second, prior_sampling(n_batches=2), needs=("one",))])


@pytest.mark.parametrize("use_jax", [False, True])
def test_a_cached_result_has_the_analysis_of_a_first_run(use_jax: bool, store: Store, prior_sampling: Any) -> None:
    results = [fit(MODEL, Moving(use_jax=use_jax), prior_sampling(n_batches=2), store=store, progress=False) for _ in range(2)]
    found = find(Request(model=MODEL, analysis=Moving(use_jax=use_jax), search=prior_sampling(n_batches=2)), store)
    assert found is not None
    again = rerun_hooks(results[0])
    assert [result.is_cached for result in (*results, found, again)] == [False, True, True, False]
    expected = 0.425 + results[0].samples_summary.best[0]
    assert [getattr(result.analysis, "x", None) for result in (*results, found, again)] == [expected] * 4


@pytest.mark.parametrize("use_jax", [False, True])
def test_a_stage_built_from_an_earlier_analysis_is_the_same_after_a_stop(
    use_jax: bool, store: Store, prior_sampling: Any, tmp_path: Any
) -> None:
    whole = run_pipeline(chain(prior_sampling, use_jax=use_jax), None, Store(tmp_path / "undisturbed"))
    stopped = chain(prior_sampling, use_jax=use_jax)
    one = run_stage(stopped, "one", None, store)
    assert list(stored_results(stopped, None, store)) == ["one"]
    resumed = chain(prior_sampling, use_jax=use_jax)  # as in another process
    results = run_pipeline(resumed, None, store)
    assert {name: result.digest for name, result in results.items()} == {name: result.digest for name, result in whole.items()}
    assert results["one"].is_cached
    assert results["one"].digest == one.digest
    assert results["two"].samples == whole["two"].samples
    assert run_stage(resumed, "two", None, store).cached
    assert run_latents(resumed, "two", None, store).cached
    assert len(store.table()) == 2


@pytest.mark.parametrize("use_jax", [False, True])
def test_the_latents_are_those_of_the_analysis_that_ran(use_jax: bool, store: Store, prior_sampling: Any, tmp_path: Any) -> None:
    result = fit(MODEL, Moving(use_jax=use_jax), prior_sampling(n_batches=2), store=store, progress=False)
    other = Store(tmp_path / "other")
    pipeline = chain(prior_sampling, use_jax=use_jax)
    run_stage(pipeline, "one", None, other)
    run_latents(pipeline, "one", None, other)
    for found in (result, stored_results(pipeline, None, other)["one"]):
        latents = found.latent_samples
        assert latents is not None
        np.testing.assert_allclose(latents.parameters[:, 0], found.samples.parameters[:, 0] - 0.425, rtol=0, atol=1e-15)


@pytest.mark.parametrize(("hook", "expected"), [("modify_before_fit", 0.3), ("modify_after_fit", 0.425)])
def test_a_modifying_hook_that_fails_on_a_rerun_costs_a_report(hook: str, expected: float, store: Store, prior_sampling: Any) -> None:
    search = prior_sampling(n_batches=2)
    first = fit(MODEL, Moving(), search, store=store, progress=False)

    def failing(self: Any, *args: Any) -> Any:
        raise RuntimeError("disk on fire")

    broken = type("Moving", (Moving,), {hook: failing, "moves_after": 0.0, "__module__": Moving.__module__})
    with pytest.warns(HookWarning, match=rf"{hook} of Moving failed after the fit 'fit' was stored.*disk on fire.*The result is safe"):
        result = fit(MODEL, broken(), search, store=store, progress=False)
    assert result.is_cached
    assert result.samples == first.samples
    assert result.analysis.x == pytest.approx(expected, abs=1e-15)  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


def test_hooks_that_write_into_a_read_only_store(store: Store, prior_sampling: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Writing(Moving):
        def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
            paths.save_json("plan", {"x": self.x})
            return super().modify_before_fit(paths, model)

        def modify_after_fit(self, paths: Any, model: Model, result: Any) -> Analysis:
            paths.save_json("done", {"x": self.x})
            return super().modify_after_fit(paths, model, result)

    search = prior_sampling(n_batches=2)
    first = fit(MODEL, Writing(), search, store=store, progress=False)

    def open_exclusive(path: Any, mode: Any) -> Any:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(durable, "open_exclusive", open_exclusive)
    with pytest.warns(HookWarning) as told:
        result = fit(MODEL, Writing(), search, store=store, progress=False)
    messages = [str(warning.message) for warning in told]
    assert [message.split(" of Writing failed")[0] for message in messages] == ["modify_before_fit", "modify_after_fit"]
    assert all("Read-only file system" in message for message in messages)
    assert result.is_cached
    assert result.samples == first.samples
    monkeypatch.undo()
    quiet = fit(MODEL, Writing(), search, store=store, progress=False)
    assert quiet.analysis.x == first.analysis.x  # pyright: ignore[reportOptionalMemberAccess, reportAttributeAccessIssue]


class Narrow(Shifted):
    """Forgets the model it is bound to, and sees one parameter."""

    def log_likelihood_function(self, instance: Any) -> Any:
        assert list(instance) == ["a"]
        return -50 * (instance["a"] - self.x) ** 2


def test_a_returned_analysis_that_forgets_its_model_is_bound_again(store: Store, prior_sampling: Any) -> None:
    bound = Narrow().with_model(Model({"a": Uniform(-1, 1)}))
    result = fit(MODEL, bound, prior_sampling(n_batches=2), store=store, progress=False)
    assert result.analysis is not bound
    assert result.analysis is not None
    assert result.analysis.bound_model == bound.bound_model


@pytest.mark.parametrize("returned", [None, "an analysis", Moving])
def test_a_hook_that_returns_no_analysis(returned: Any, store: Store, prior_sampling: Any) -> None:
    class Wrong(Shifted):
        def modify_before_fit(self, paths: Any, model: Model) -> Any:
            return returned

    told = r"modify_before_fit of Wrong returned .*; it must return an Analysis, such as self"
    for analysis in (Wrong(), CombinedAnalysis([Shifted(), Wrong()])):
        with pytest.raises(ConfigError, match=told):
            fit(MODEL, analysis, prior_sampling(n_batches=2), store=store, progress=False)
    assert len(store.table()) == 0


class Silent(Shifted):
    def make_result(self, *args: Any, **kwargs: Any) -> Any:
        return None


class Raising(Shifted):
    def make_result(self, *args: Any, **kwargs: Any) -> Any:
        raise KeyError("radius")


class Bare(Shifted):
    def make_result(self, samples_summary: Any, paths: Any, samples: Any = None, search_internal: Any = None, analysis: Any = None) -> Any:
        return Result(samples_summary)


@pytest.mark.parametrize(("kind", "told"), [(Silent, "it returned None; it must return a fitcore.Result"), (Raising, "KeyError: 'radius'")])
def test_a_failing_make_result_gives_a_plain_result(kind: type[Shifted], told: str, store: Store, prior_sampling: Any) -> None:
    for is_cached in (False, True):
        with pytest.warns(HookWarning, match=rf"make_result of {kind.__name__} failed after the fit.*{told}"):
            result = run(Request(model=MODEL, analysis=kind(), search=prior_sampling(n_batches=2)), store)
        assert (type(result), type(result.analysis), result.is_cached) == (Result, kind, is_cached)
        assert len(result.samples) == 400


def test_a_result_made_without_its_analysis_is_given_it(store: Store, prior_sampling: Any) -> None:
    result = fit(MODEL, Bare(), prior_sampling(n_batches=2), store=store, progress=False)
    assert type(result.analysis) is Bare


def test_a_model_that_modify_model_forgets_to_return(store: Store, prior_sampling: Any) -> None:
    class Forgetful(Shifted):
        def modify_model(self, model: Model) -> Any:
            return None

    with pytest.raises(ModelError, match=r"The model of 'fit' is None; it must be a fitcore\.Model, also what modify_model of Forgetful"):
        fit(MODEL, Forgetful(), prior_sampling(), store=store, progress=False)


def test_an_analysis_that_calls_no_parent_is_plain_python(prior_sampling: Any) -> None:
    class Lone(Analysis):
        def __init__(self, x: float) -> None:
            self.x = x

        def log_likelihood_function(self, instance: Any) -> Any:
            return -((instance["a"] - self.x) ** 2)

    assert len(fit(MODEL, Lone(0.3), prior_sampling(n_batches=1), progress=False).samples) == 200
