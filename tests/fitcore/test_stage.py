"""Chains are checked when they are built; misspelt names get the nearest one."""

from __future__ import annotations

from typing import Any

import pytest

from fitcore.errors import ConfigError
from fitcore.model import Model
from fitcore.stage import Link, Pipeline, Stage


@pytest.fixture
def stage(toy_model: Model, point: Any, prior_sampling: Any) -> Any:
    return lambda name, **more: Stage(name, toy_model, point(), prior_sampling(), **more)


def test_order_and_lookup(stage: Any) -> None:
    pipeline = Pipeline("chain", [stage("one"), stage("two", needs=["one"], proposal="one")])
    assert pipeline.stage_names == ("one", "two")
    assert pipeline.stage("two").needs == ("one",)
    assert pipeline.needs == {"one": [], "two": ["one"]}
    assert pipeline.stage_seed(3, "one") != pipeline.stage_seed(3, "two")
    assert pipeline.stage_seed(3, "one") == pipeline.stage_seed(3, "one")


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ([("one", ()), ("one", ())], "two stages called 'one'"),
        ([("one", ("two",)), ("two", ())], r"Stage 'one' needs \['two'\], not earlier in pipeline 'chain' \(before it: \[\]\)"),
        ([("one", ("one",))], "needs"),
        ([], "has no stages"),
    ],
)
def test_bad_chains(stage: Any, names: list[Any], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        Pipeline("chain", [stage(name, needs=needs) for name, needs in names])


def test_bad_names_and_links(stage: Any) -> None:
    for name in ("", "../up", "a b", "x" * 65, "-x", 3, None):
        with pytest.raises(ConfigError, match="is not allowed: letters, digits"):
            stage(name)
        with pytest.raises(ConfigError, match="is not allowed: letters, digits"):
            Pipeline(name, [stage("one")])
    with pytest.raises(ConfigError, match=r"linked to \['other'\], not among its needs \['one'\]"):
        stage("two", needs=("one",), links=[Link(source="other", kind="fixed", what="x", why="y")])
    with pytest.raises(ConfigError, match="not among its needs"):
        stage("two", proposal="one")
    with pytest.raises(ConfigError, match=r"Stage 'two' has needs='one'; give a tuple of names, such as \('one',\)"):
        stage("two", needs="one")
    for stages in (["one"], stage("one"), None):
        with pytest.raises(ConfigError, match=r"Pipeline 'chain' has the stages .*; give a list of fitcore\.Stage"):
            Pipeline("chain", stages)


def test_settings_and_nearest_names(stage: Any) -> None:
    pipeline = Pipeline("chain", [stage("one")])
    assert pipeline.stage("one").with_search(n_batches=3).search.n_batches == 3
    with pytest.raises(ConfigError, match=r"no setting 'n_batch'; it has \['n_batches', 'batch'\]. Did you mean 'n_batches'"):
        pipeline.stage("one").with_search(n_batch=3)
    with pytest.raises(ConfigError, match=r"no stage 'onne'; it has \['one'\]. Did you mean 'one'"):
        pipeline.stage("onne")


def test_settings_of_some_searches_are_replaced(stage: Any) -> None:
    pipeline = Pipeline("p", [stage("one"), stage("two", needs=("one",))])
    other = pipeline.with_searches({"two": {"n_batches": 3}})
    assert [each.search.n_batches for each in other] == [pipeline.stage("one").search.n_batches, 3]
    assert other.name == "p"
    assert [each.search for each in pipeline.with_searches({})] == [each.search for each in pipeline]
    with pytest.raises(ConfigError, match=r"'tow'.*Did you mean 'two'"):
        pipeline.with_searches({"tow": {"n_batches": 3}})
