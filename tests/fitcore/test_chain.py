"""A chain runs, is answered from the store, and notices what changed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore.chain import StageOutcome, asked, run_latents, run_pipeline, run_stage, stored_results, walk
from fitcore.errors import ConfigError, LeaseHeldError, ResultNotFoundError
from fitcore.model import Model
from fitcore.stage import Pipeline, Stage
from fitcore.store import Store


@pytest.fixture
def pipeline(toy_model: Model, point: Any, prior_sampling: Any) -> Pipeline:
    return Pipeline(
        "chain",
        [
            Stage("first", toy_model, lambda data, results: point(x=data), prior_sampling(n_batches=50)),
            Stage("second", lambda r: r["first"].projected_model, lambda data, results: point(x=data), prior_sampling(), needs=("first",)),
        ],
    )


def test_stage_by_stage_is_the_whole(pipeline: Pipeline, store: Store, tmp_path: Any) -> None:
    assert walk(pipeline, 0.3, store) == []
    with pytest.raises(ResultNotFoundError, match=r"Stage 'second' needs 'first'.*Run that stage first"):
        run_stage(pipeline, "second", 0.3, store)
    first = run_stage(pipeline, "first", 0.3, store)
    assert [o.name for o in walk(pipeline, 0.3, store)] == ["first"]
    second = run_stage(pipeline, "second", 0.3, store, digests={"first": first.digest})
    assert not second.cached
    assert second.n_calls == 4000
    other = Store(tmp_path / "other")
    results = run_pipeline(pipeline, 0.3, other)
    assert {name: r.digest for name, r in results.items()} == {"first": first.digest, "second": second.digest}
    for name, result in results.items():
        assert store.read(result.digest).path.read_bytes() == other.read(result.digest).path.read_bytes(), name


def test_a_finished_chain_makes_no_call(pipeline: Pipeline, store: Store, point: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    run_pipeline(pipeline, 0.3, store)

    def forbidden(self: Any, instance: Any) -> Any:
        raise AssertionError("no likelihood call is allowed")

    monkeypatch.setattr(point, "log_likelihood_function", forbidden)
    assert all(outcome.cached for outcome in walk(pipeline, 0.3, store))
    assert all(result.is_cached for result in run_pipeline(pipeline, 0.3, store).values())


def test_what_is_asked_of_a_chain_with_branches(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    def stage(name: str, model: Any, *needs: str) -> Stage:
        return Stage(name, model, lambda data, results: point(x=data), prior_sampling(), needs=needs)

    joint = stage("joint", lambda r: r["left"].projected_model, "left", "right")
    fork = Pipeline("fork", [stage("left", toy_model), stage("right", toy_model), joint, stage("other", toy_model)])
    assert list(asked(fork, 0.3, store)) == ["left", "right", "other"]
    assert stored_results(fork, 0.3, store) == {}
    for name in ("other", "right"):
        run_stage(fork, name, 0.3, store)
    assert list(stored_results(fork, 0.3, store)) == ["right", "other"]
    assert list(asked(fork, 0.3, store)) == ["left", "right", "other"]
    run_stage(fork, "left", 0.3, store)
    assert list(asked(fork, 0.3, store)) == ["left", "right", "joint", "other"]
    assert not run_stage(fork, "joint", 0.3, store).cached
    assert list(stored_results(fork, 0.3, store)) == ["left", "right", "joint", "other"]


def test_changed_data_and_seed_miss(pipeline: Pipeline, store: Store) -> None:
    run_pipeline(pipeline, 0.3, store)
    assert walk(pipeline, 0.31, store) == []
    assert walk(pipeline, 0.3, store, seed=1) == []
    first = stored_results(pipeline, 0.3, store)["first"]
    with pytest.raises(ConfigError, match=r"was given as 000000000000.*Did the data or the settings change"):
        run_stage(pipeline, "second", 0.3, store, digests={"first": "0" * 64})
    assert first.projected_model.priors["a"] != first.model.priors["a"]


def test_what_a_stage_may_not_use_is_said(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    first = Stage("first", toy_model, point(), prior_sampling(n_batches=1))
    alone = Pipeline("chain", [first, Stage("second", lambda r: r["first"].projected_model, point(), prior_sampling())])
    with pytest.raises(ConfigError, match=r"asks for the result of 'first' and has those of \[\]: .* Add the stage to needs"):
        run_pipeline(alone, None, store)
    silent = Pipeline("chain", [Stage("first", toy_model, lambda data, results: None, prior_sampling())])  # pyright: ignore[reportArgumentType]
    with pytest.raises(ConfigError, match=r"The analysis of stage 'first' is None; it must be a fitcore\.Analysis: is a return missing"):
        run_pipeline(silent, None, store)


def test_latents_are_computed_once(pipeline: Pipeline, store: Store) -> None:
    run_stage(pipeline, "first", 0.3, store)
    once = run_latents(pipeline, "first", 0.3, store)
    again = run_latents(pipeline, "first", 0.3, store)
    assert (once.n_samples, once.cached, again.cached) == (10000, False, True)
    latents = stored_results(pipeline, 0.3, store)["first"].latent_samples
    assert latents is not None
    assert np.isfinite(latents.parameters[:, 0]).all()


def test_latents_name_their_device_and_count_their_attempts(pipeline: Pipeline, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = run_stage(pipeline, "first", 0.3, store).digest
    result = store.read(digest).path.read_bytes()
    with pytest.raises(ConfigError, match=r"The latent variables of stage 'first': a gpu is required"):
        run_latents(pipeline, "first", 0.3, store, device="gpu")
    with monkeypatch.context() as patch:
        patch.setattr("fitcore.chain.latents", lambda *args, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_latents(pipeline, "first", 0.3, store)
    assert store.lookup(digest, "latents") is None
    with store.lease(digest, part="latents"), pytest.raises(LeaseHeldError):
        run_latents(pipeline, "first", 0.3, store)
    once = run_latents(pipeline, "first", 0.3, store, device="cpu")
    assert [attempt.ended for attempt in store.attempts(digest, "latents")] == ["failed: ZeroDivisionError", "done", "done"]
    told = store.read(digest, "latents").provenance
    assert told["device"]["platform"] == "cpu"
    assert told["seconds"] > 0
    assert once.device == f"{told['device']['kind']} (cpu)"
    again = run_latents(pipeline, "first", 0.3, store, device="gpu")  # they are there: nothing is computed
    assert (again.cached, again.device) == (True, once.device)
    assert len(store.attempts(digest, "latents")) == 3
    assert store.read(digest).provenance["device"]["platform"] == "cpu"
    assert store.read(digest).path.read_bytes() == result


def test_latents_of_another_result_are_refused(pipeline: Pipeline, store: Store) -> None:
    run_stage(pipeline, "first", 0.3, store)
    with pytest.raises(ConfigError, match=r"Stage 'first' was given as abc, but .* are they others on another machine\?"):
        run_latents(pipeline, "first", 0.3, store, digests={"first": "abc"})


def test_a_stage_may_ask_for_some_latents(toy_model: Model, store: Store, point: Any, prior_sampling: Any) -> None:
    def pipeline(n: int | None) -> Pipeline:
        return Pipeline("chain", [Stage("first", toy_model, point(), prior_sampling(n_batches=3), n_latents=n)])

    digests = {run_stage(pipeline(n), "first", None, store).digest for n in (None, 40)}
    assert len(digests) == 1
    whole, some = (run_latents(pipeline(n), "first", None, store) for n in (None, 40))
    assert (some.n_samples, some.cached, run_latents(pipeline(40), "first", None, store).cached) == (40, False, True)
    assert whole.n_samples > 40
    assert len(stored_results(pipeline(40), None, store)["first"].latent_samples or ()) == 40


def test_outcomes_travel_as_plain_data(pipeline: Pipeline, store: Store) -> None:
    outcome = run_stage(pipeline, "first", 0.3, store)
    assert StageOutcome.from_dict(outcome.to_dict()) == outcome
    assert outcome.seconds > 0
    assert outcome.grade == "A"
