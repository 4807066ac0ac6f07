"""The order of the hooks, what is computed when, and what a failure costs."""

from __future__ import annotations

import gc
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.combined import CombinedAnalysis
from fitcore.errors import (
    ConfigError,
    LikelihoodError,
    LinkError,
    ModelError,
    NonFiniteLikelihoodError,
    PrecisionError,
    ResultNotFoundError,
    SearchInterruptedError,
    SpecError,
)
from fitcore.fitting import Request, find, fit, run
from fitcore.hooks import HookWarning, rerun_hooks
from fitcore.model import Model, Normal, TruncatedNormal, Uniform
from fitcore.result import Result
from fitcore.search.nautilus import Nautilus
from fitcore.store import Store
from fitcore.stored import read_result

BEFORE = ["modify_model", "modify_before_fit", "save_attributes"]
AFTER = ["modify_after_fit", "save_results", "save_results_combined"]


def result_bytes(store: Store, digest: str) -> bytes:
    return store.read(digest).path.read_bytes()


@pytest.mark.parametrize("use_jax", [False, True])
def test_posterior_evidence_and_hooks(use_jax: bool, toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    analysis = point(use_jax=use_jax)
    result = fit(toy_model, analysis, prior_sampling(n_batches=100), store=store, progress=False)
    assert analysis.calls == BEFORE + AFTER
    exact = np.log(0.5 * np.sqrt(2 * np.pi) * 0.1) + np.log(0.2 / np.sqrt(1.04)) - 0.5 * 0.04 / 1.04
    assert abs(result.log_evidence - exact) < 4 * result.log_evidence_error
    assert result.analysis is analysis
    assert not result.is_cached
    assert abs(result.samples_summary.by_path("mean")["a"] - 0.3) < 0.02
    assert result.instance["a"] == result.samples_summary.best[0]
    again = point(use_jax=use_jax)
    same = fit(toy_model, again, prior_sampling(n_batches=100), store=store, progress=False)
    assert again.calls == ["modify_model", "modify_before_fit", "modify_after_fit"]
    assert same.is_cached
    assert same.samples_summary == result.samples_summary
    assert same.samples == result.samples


def test_numpy_and_jax_agree(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    values = [fit(toy_model, point(use_jax=j), prior_sampling(), store=store, progress=False).samples.log_likelihood for j in (False, True)]
    np.testing.assert_allclose(values[0], values[1], rtol=1e-12)


def test_other_data_are_another_result(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    digests = {fit(toy_model, point(x), prior_sampling(), store=store, progress=False).digest for x in (0.3, 0.3, 0.30000001)}
    assert len(digests) == 2


def test_latents_have_the_parents_weights_and_mask_one_key(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    for use_jax in (False, True):
        result = fit(toy_model, point(use_jax=use_jax), prior_sampling(n_batches=3, batch=37), store=store, progress=False)
        latents, samples = result.latent_samples, result.samples
        assert latents is not None
        assert latents.paths == ("sum", "root")
        np.testing.assert_array_equal(latents.log_weight, samples.log_weight)
        np.testing.assert_allclose(latents.parameters[:, 0], samples.parameters.sum(axis=1), rtol=1e-13)
        masked = np.isnan(latents.parameters[:, 1])
        np.testing.assert_array_equal(masked, samples.parameters[:, 1] > 0)
        assert 0 < masked.sum() < len(masked)


@pytest.mark.parametrize("use_jax", [False, True])
def test_a_masked_key_is_counted_and_masks_itself_alone(
    use_jax: bool, toy_model: Model, store: Store, point: Any, prior_sampling: Any
) -> None:
    result = fit(toy_model, point(use_jax=use_jax), prior_sampling(n_batches=3), store=store, progress=False)
    latents = result.latent_samples
    assert latents is not None
    n = int((result.samples.parameters[:, 1] > 0).sum())
    assert latents.n_masked == {"sum": 0, "root": n}
    assert store.read(result.digest, "latents").attributes["masked"] == {"sum": 0, "root": n}
    known = ~np.isnan(latents.parameters[:, 1])
    weight = result.samples.weight[known]
    assert latents.mean()[1] == pytest.approx(np.sum(weight * np.sqrt(-result.samples.parameters[known, 1])) / weight.sum(), rel=1e-12)


def test_so_many_latents_are_stored_beside_those_of_every_sample(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    search = prior_sampling(n_batches=3)
    whole, some, fewer = (fit(toy_model, point(), search, store=store, progress=False, n_latents=n) for n in (None, 50, 20))
    assert len({result.digest for result in (whole, some, fewer)}) == 1
    sizes = [len(result.latent_samples or ()) for result in (whole, some, fewer)]
    assert sizes == [len(whole.samples), 50, 20]
    drawn = some.latent_samples
    assert drawn is not None
    np.testing.assert_array_equal(drawn.weight, np.full(50, 0.02))
    sums = whole.samples.parameters.sum(axis=1)
    assert np.isin(drawn.parameters[:, 0], sums).all()
    again = fit(toy_model, point(), search, store=store, progress=False, n_latents=50)
    assert again.latent_samples == drawn
    for wrong in (0, True, 2.5):
        with pytest.raises(ConfigError, match=rf"n_latents is {wrong}; it must be a whole number of at least 1, or None"):
            fit(toy_model, point(), search, store=store, progress=False, n_latents=wrong)  # pyright: ignore[reportArgumentType]


def test_failing_latents_leave_the_result(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    class Failing(point):
        works = False

        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            if not self.works:
                raise ZeroDivisionError("no radius")
            return super().compute_latent_variables(parameters, model)

    analysis, search = Failing(), prior_sampling(n_batches=2)
    with pytest.raises(LikelihoodError, match=r"ZeroDivisionError: no radius\nat a = .*, b = "):
        fit(toy_model, analysis, search, store=store, progress=False)
    stored = find(Request(model=toy_model, analysis=analysis, search=search), store)
    assert stored is not None
    assert stored.latent_samples is None
    analysis.works = True
    result = fit(toy_model, analysis, search, store=store, progress=False)
    assert result.is_cached
    assert result.latent_samples is not None
    analysis.works = False
    with pytest.warns(HookWarning, match=r"compute_latent_samples of Failing failed.*no radius(.|\n)*call analysis.compute_latent_samples"):
        kept = fit(toy_model, analysis, search, progress=False)
    assert kept.samples == result.samples


def test_a_raised_version_serves_no_stale_latents(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    class Changed(point):
        version = 2

        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            return 10 * parameters[0], parameters[1]

    Changed.__qualname__, Changed.__module__ = point.__qualname__, point.__module__
    old, new = (fit(toy_model, kind(), prior_sampling(n_batches=2), store=store, progress=False) for kind in (point, Changed))
    assert old.digest != new.digest
    assert new.latent_samples is not None
    np.testing.assert_array_equal(new.latent_samples.parameters[:, 0], 10 * new.samples.parameters[:, 0])


def test_an_interrupted_search_goes_on_and_ends_in_the_same_bytes(
    tmp_path: Path, toy_model: Model, store: Store, point: Any, prior_sampling: Any
) -> None:
    whole = run(Request(model=toy_model, analysis=point(), search=prior_sampling()), store)
    other = Store(tmp_path / "other")
    request = Request(model=toy_model, analysis=point(), search=prior_sampling())
    asked = iter([False, False, True])
    with pytest.raises(SearchInterruptedError):
        run(request, other, stop=lambda: next(asked))
    assert find(request, other) is None
    evaluated: list[int] = []
    result = run(request, other, progress=lambda event: evaluated.append(event.n_calls))
    assert evaluated[1] == 800  # the fourth batch: three are in the checkpoint
    assert result.digest == whole.digest
    assert result_bytes(other, result.digest) == result_bytes(store, whole.digest)


def test_a_failing_hook_after_the_commit_costs_a_report(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    class Failing(point):
        works = False

        def save_results(self, paths: Any, result: Any) -> None:
            super().save_results(paths, result)
            if not self.works:
                raise RuntimeError("disk on fire")
            paths.save_text("report", "fine")

    analysis = Failing()
    with pytest.warns(HookWarning, match=r"save_results of Failing failed after the fit 'fit' was stored.*disk on fire.*rerun_hooks"):
        result = fit(toy_model, analysis, prior_sampling(), store=store, progress=False)
    assert result.samples_summary.n_calls == 4000
    analysis.works = True
    request = Request(model=toy_model, analysis=analysis, search=prior_sampling())
    rerun_hooks(request, store)
    assert store.paths(result.digest).load_text("report") == "fine"


def test_the_analysis_that_modify_before_fit_returns_is_the_one_that_runs(
    toy_model: Model, store: Store, point: Any, prior_sampling: Any
) -> None:
    class Swapping(point):
        def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
            return point(x=-0.5)

        def modify_after_fit(self, paths: Any, model: Model, result: Any) -> Analysis:
            raise AssertionError("the hooks of the analysis that ran are wanted")

    result = fit(toy_model, Swapping(), prior_sampling(n_batches=50), store=store, progress=False)
    assert abs(result.samples_summary.by_path("mean")["a"] + 0.5) < 0.03
    assert type(result.analysis) is point


def test_with_model_and_combined(store: Store, point: Any, prior_sampling: Any) -> None:
    whole = Model({"one": {"a": Uniform(-1, 1), "b": Normal(0, 1)}, "two": {"a": Uniform(-1, 1), "b": Normal(0, 1)}})

    class Inside(point):
        def __init__(self, key: str, x: float) -> None:
            super().__init__(x=x)
            self.key = key

        def log_likelihood_function(self, instance: Any) -> Any:
            assert set(instance) == {self.key}
            return super().log_likelihood_function(instance[self.key])

    one = Model({"one": {"a": Uniform(-1, 1), "b": Normal(0, 1)}})
    two = Model({"two": {"a": Uniform(-1, 1), "b": Normal(0, 1)}})
    combined = CombinedAnalysis([Inside("one", 0.3).with_model(one), Inside("two", -0.4).with_model(two)])
    result = fit(whole, combined, prior_sampling(n_batches=150), store=store, progress=False)
    mean = result.samples_summary.by_path("mean")
    assert abs(mean["one.a"] - 0.3) < 0.05
    assert abs(mean["two.a"] + 0.4) < 0.05
    theta = np.array([0.1, 0.2, 0.3, 0.4])
    parts = [a.log_likelihood_function(a.instance_of(theta, whole)) for a in combined.analyses]
    assert combined.vector_likelihood(whole)(theta) == pytest.approx(sum(parts))
    assert all(
        child.calls == [*BEFORE, "modify_after_fit", "save_results", *["save_results_combined"][: 1 - i]]
        for i, child in enumerate(combined.analyses)
    )
    assert result.latent_samples is not None
    assert result.latent_samples.paths == ("0.sum", "0.root", "1.sum", "1.root")


def test_a_bound_model_must_be_part_of_the_fitted_one(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    bound = point().with_model(Model({"a": Uniform(-1, 1), "c": Normal(0, 1)}))
    with pytest.raises(ModelError, match=r"bound to a model with the free parameters \['c'\].*It has \['a', 'b'\]"):
        fit(toy_model, bound, prior_sampling(), store=store, progress=False)


@pytest.mark.parametrize("use_jax", [False, True])
def test_nan_everywhere_fails_at_once(use_jax: bool, toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    class Broken(point):
        def log_likelihood_function(self, instance: Any) -> Any:
            return instance["a"] * np.nan

    with pytest.raises(NonFiniteLikelihoodError, match=r"of Broken returned NaN in 200 of 200 calls.*a = .*b = .*narrow the priors"):
        fit(toy_model, Broken(use_jax=use_jax), prior_sampling(), store=store, progress=False)


def test_nan_far_away_is_tolerated_and_near_the_peak_is_not(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    class Patchy(point):
        def __init__(self, a: float, b: float) -> None:
            super().__init__()
            self.a, self.b = a, b

        def identity(self) -> dict[str, Any]:
            return {**super().identity(), "hole": (self.a, self.b)}

        def log_likelihood_function(self, instance: Any) -> Any:
            hole = abs(instance["a"] - self.a) < 0.02 and abs(instance["b"] - self.b) < 0.02
            return np.nan if hole else super().log_likelihood_function(instance)

    search = prior_sampling(n_batches=100)
    fit(toy_model, Patchy(-0.5, 0.5), search, store=store, progress=False)
    with pytest.raises(NonFiniteLikelihoodError, match="none near the peak"):
        fit(toy_model, Patchy(0.3, -0.2), search, store=store, progress=False)


def test_infinity_and_single_precision_and_shape_are_errors(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    class Infinite(point):
        def log_likelihood_function(self, instance: Any) -> Any:
            return np.inf

    class Single(point):
        def log_likelihood_function(self, instance: Any) -> Any:
            return jnp.float32(instance["a"])

    class Vector(point):
        def log_likelihood_function(self, instance: Any) -> Any:
            return jnp.ones(3) * instance["a"]

    class Raising(point):
        def log_likelihood_function(self, instance: Any) -> Any:
            raise ZeroDivisionError("no")

    for analysis, error, text in (
        (Infinite(), NonFiniteLikelihoodError, r"returned \+inf at a = "),
        (Single(use_jax=True), PrecisionError, "returned float32; float64 is required"),
        (Vector(use_jax=True), LikelihoodError, r"array of shape \(3,\); it must return one number"),
        (Raising(), LikelihoodError, r"raised ZeroDivisionError: no\nat a = .*\nFinished work is kept"),
    ):
        with pytest.raises(error, match=text):
            fit(toy_model, analysis, prior_sampling(), store=store, progress=False)


def test_next_models(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    result = fit(toy_model, point(), prior_sampling(n_batches=100), store=store, progress=False)
    projected = result.projected_model
    assert projected.paths == toy_model.paths
    assert projected.priors["a"].support == (-1, 1)
    assert float(projected.prior_transform(np.array([0.5, 0.5]))[0]) == pytest.approx(0.3, abs=0.03)
    centered = result.model_centred(sigmas=3.0)
    assert isinstance(centered.priors["a"], TruncatedNormal)
    assert isinstance(centered.priors["b"], Normal)
    assert result.model_centred(absolute=np.float32(0.5)) == result.model_centred(absolute=0.5)
    for wrong in ({"sigmas": 3.0, "absolute": 0.1}, {}, {"absolute": "wide"}, {"relative": True}, {"sigmas": -1}):
        with pytest.raises(LinkError, match="exactly one of absolute, relative and sigmas"):
            result.model_centred(**wrong)  # pyright: ignore[reportArgumentType]
    proposal = result.proposal(Model({"a": Uniform(-2, 2), "c": Uniform(0, 1)}))
    assert proposal.shared == ("a",)
    assert proposal.mixture.n_dim == 2
    with pytest.raises(LinkError, match="none is shared"):
        result.proposal(Model({"c": Uniform(0, 1)}))
    with pytest.raises(LinkError, match="lies inside the new priors"):
        _ = result.proposal(Model({"a": Uniform(0.9, 1.0)})).mixture


def test_a_result_made_of_samples_that_know_their_model_seeds_the_next(
    toy_model: Model, store: Store, point: Any, prior_sampling: Any
) -> None:
    result = fit(toy_model, point(), prior_sampling(n_batches=10), store=store, progress=False)
    alone = Result(result.samples_summary, samples=result.samples)
    assert alone.projected_model == result.projected_model
    assert alone.instance == result.instance
    with pytest.raises(ResultNotFoundError, match="not attached to a store"):
        _ = Result(result.samples_summary).model


@pytest.mark.parametrize(
    ("changes", "error", "text"),
    [
        ({"model": {"a": Uniform(0, 1)}}, ModelError, r"model is \{'a': .*; it must be a fitcore.Model: wrap the tree in Model"),
        ({"store": "results"}, ConfigError, r"store is 'results'; it must be a fitcore.Store, such as Store\('results'\), or None"),
        ({"search": Nautilus}, ConfigError, "search is <class .*; it must be a search with its settings, such as fitcore.Nautilus"),
        ({"search": None}, ConfigError, "search is None; it must be a search"),
        ({"seed": "one"}, SpecError, "seed is 'one'; it must be an integer of at least 0"),
        ({"seed": -1}, SpecError, "seed is -1; it must be"),
        ({"seed": 1.5}, SpecError, "seed is 1.5; it must be"),
        ({"seed": True}, SpecError, "seed is True; it must be"),
    ],
)
def test_a_wrong_request_is_refused_before_any_hook(
    changes: dict[str, Any], error: type[Exception], text: str, toy_model: Model, store: Store, point: Any, prior_sampling: Any
) -> None:
    analysis = point()
    asked: dict[str, Any] = {"model": toy_model, "search": prior_sampling(), "store": store, "seed": 0, **changes}
    with pytest.raises(error, match=text):
        fit(asked.pop("model"), analysis, asked.pop("search"), progress=False, **asked)
    assert analysis.calls in ([], ["modify_model"])


def test_the_store_is_asked_by_request_by_specification_and_by_digest(
    toy_model: Model, store: Store, point: Any, prior_sampling: Any
) -> None:
    request = Request(model=toy_model, analysis=point(), search=prior_sampling(n_batches=1))
    assert store.lookup(request) is None
    run(request, store)
    found = [store.lookup(asked) for asked in (request, request.specification, request.digest)]
    assert [record and record.digest for record in found] == [request.digest] * 3
    assert store.checkpoint(request.digest).load_arrays() is None


def test_internal_data_are_in_the_result(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    fit(toy_model, point(), prior_sampling(), store=store, progress=False)
    again = fit(toy_model, point(), prior_sampling(), store=store, progress=False)
    assert again.search_internal == {"n": 4000}
    digest = again.source.digest
    assert read_result(store, digest).search_internal == {"n": 4000}
    assert store.parts(digest) == ["latents"]


def test_what_is_no_plain_data_needs_trust(
    toy_model: Model, store: Store, point: Any, prior_sampling: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    search, odd = type(prior_sampling()), {"set": {1, 2}}
    run = search.run
    monkeypatch.setattr(search, "run", lambda *words, **named: replace(run(*words, **named), internal=odd))
    result = fit(toy_model, point(), prior_sampling(), store=store, progress=False)
    assert store.parts(result.source.digest) == ["internal", "latents"]
    with pytest.raises(ConfigError, match="trust"):
        _ = result.search_internal
    assert result.read_search_internal(trust=True) == odd


def test_without_a_store_the_result_lives_as_long_as_it_is_held(toy_model: Model, point: Any, prior_sampling: Any) -> None:
    result = fit(toy_model, point(), prior_sampling(), progress=False)
    assert len(result.samples) == 4000
    again, folder = rerun_hooks(result), result.paths.root
    del result
    gc.collect()
    assert folder.is_dir()
    assert len(again.samples) == 4000
    del again
    gc.collect()
    assert not folder.exists()
