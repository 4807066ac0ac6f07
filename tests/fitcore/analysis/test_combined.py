"""Several analyses as one: sums, spreading of instances, and every hook forwarded in the right way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.combined import CombinedAnalysis
from fitcore.analysis.visualizer import Visualizer
from fitcore.errors import ConfigError, ModelError
from fitcore.identity import digest
from fitcore.model import Model, Normal, Uniform

MODEL = Model({"a": Uniform(-1, 1), "b": Normal(0, 1)})
THETA = np.array([0.25, -0.5])


class Recording(Visualizer):
    @staticmethod
    def visualize_before_fit(analysis: Any, paths: Any, model: Model) -> None:
        analysis.calls.append(("before", paths, model.paths))

    @staticmethod
    def visualize(analysis: Any, paths: Any, instance: Any, during_analysis: bool) -> None:
        analysis.calls.append(("picture", instance, during_analysis))


class Child(Analysis):
    Visualizer = Recording

    def __init__(self, factor: float = 1.0, use_jax: bool = False, able: bool = True) -> None:
        super().__init__(use_jax=use_jax)
        self.factor, self.able = factor, able
        self.calls: list[Any] = []

    def identity(self) -> dict[str, Any]:
        return {"factor": self.factor}

    def log_likelihood_function(self, instance: Any) -> Any:
        return self.factor * sum(instance.values())

    def modify_model(self, model: Model) -> Model:
        prior = model.priors["a"]
        return model.replace({"a": Uniform(prior.support[0], prior.support[1] + self.factor)})

    def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
        return Child(10 * self.factor).with_model(model)

    def modify_after_fit(self, paths: Any, model: Model, result: Any) -> Analysis:
        return Child(100 * self.factor).with_model(model)

    def save_attributes(self, paths: Any) -> None:
        self.calls.append(("attributes", paths))

    def save_results(self, paths: Any, result: Any) -> None:
        self.calls.append(("results", paths, result))

    def save_results_combined(self, paths: Any, result: Any) -> None:
        self.calls.append(("combined", paths, result))

    def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
        return {"sum": self.factor * sum(parameters)}

    @property
    def supports_background_update(self) -> bool:
        return self.able

    @property
    def supports_jax_visualization(self) -> bool:
        return self.able


def pair() -> CombinedAnalysis:
    return CombinedAnalysis([Child(1.0), Child(3.0).with_model(Model({"b": Normal(0, 1)}))])


def test_children_must_exist_and_be_alike() -> None:
    with pytest.raises(ConfigError, match="at least one analysis; the list is empty"):
        CombinedAnalysis([])
    with pytest.raises(ConfigError, match=r"all use JAX, or none; use_jax is \{'Child': False, 'Analysis': True\}. Set it alike"):
        CombinedAnalysis([Child(), Analysis(use_jax=True)])


def test_the_log_likelihood_is_the_sum_over_children_of_their_own_parameters() -> None:
    combined = pair()
    assert combined.vector_likelihood(MODEL)(THETA) == pytest.approx(-0.25 - 1.5)
    instances = combined.instance_of(THETA, MODEL)
    assert instances == ({"a": 0.25, "b": -0.5}, {"b": -0.5})
    assert combined.log_likelihood_function(instances) == pytest.approx(-1.75)
    assert combined.log_likelihood_function({"a": 0.25, "b": -0.5}) == pytest.approx(-0.25 - 0.75)
    assert combined.fit_from(instances) == (pytest.approx(-0.25), pytest.approx(-1.5))


def test_a_child_with_an_unknown_parameter_is_refused() -> None:
    combined = CombinedAnalysis([Child(), Child().with_model(Model({"c": Normal(0, 1)}))])
    with pytest.raises(ModelError, match=r"free parameters \['c'\]"):
        combined.vector_likelihood(MODEL)


def test_models_and_analyses_go_through_every_child() -> None:
    combined = pair()
    assert combined.modify_model(MODEL).priors["a"].support == (-1, 5.0)
    before = combined.modify_before_fit(None, MODEL)
    after = combined.modify_after_fit(None, MODEL, None)  # pyright: ignore[reportArgumentType]
    for changed, factors in ((before, [10.0, 30.0]), (after, [100.0, 300.0])):
        assert isinstance(changed, CombinedAnalysis)
        assert [child.factor for child in changed.analyses] == factors  # pyright: ignore[reportAttributeAccessIssue]
        assert [child.bound_model.paths for child in changed.analyses] == [("a", "b"), ("b",)]  # pyright: ignore[reportOptionalMemberAccess]
    assert [child.factor for child in combined.analyses] == [1.0, 3.0]  # pyright: ignore[reportAttributeAccessIssue]


def test_saving_and_pictures_reach_every_child_and_the_combined_results_the_first() -> None:
    combined = pair()
    first, second = (child.calls for child in combined.analyses)  # pyright: ignore[reportAttributeAccessIssue]
    combined.save_attributes("p")
    combined.save_results("p", "r")  # pyright: ignore[reportArgumentType]
    combined.save_results_combined("p", "r")  # pyright: ignore[reportArgumentType]
    combined.Visualizer.visualize_before_fit(combined, "p", MODEL)
    combined.Visualizer.visualize(combined, "p", combined.instance_of(THETA, MODEL), False)
    combined.perform_quick_update("p", combined.instance_of(THETA, MODEL))
    saved = [("attributes", "p"), ("results", "p", "r")]
    one, two = {"a": 0.25, "b": -0.5}, {"b": -0.5}
    assert first == [*saved, ("combined", "p", "r"), ("before", "p", ("a", "b")), ("picture", one, False), ("picture", one, True)]
    assert second == [*saved, ("before", "p", ("b",)), ("picture", two, False), ("picture", two, True)]


def test_latents_are_named_by_the_childs_number() -> None:
    assert pair().latents_of(THETA, MODEL) == {"0.sum": pytest.approx(-0.25), "1.sum": pytest.approx(-1.5)}


@pytest.mark.parametrize("able", [True, False])
def test_it_can_what_all_children_can(able: bool) -> None:
    combined = CombinedAnalysis([Child(), Child(able=able)])
    assert combined.supports_background_update is able
    assert combined.supports_jax_visualization is able


def test_identity_sees_children_their_order_and_their_models() -> None:
    def of(*children: Analysis) -> str:
        return digest(CombinedAnalysis(list(children)).identity())

    bound = Child(3.0).with_model(Model({"b": Normal(0, 1)}))
    digests = [of(Child(1.0), Child(3.0)), of(Child(3.0), Child(1.0)), of(Child(1.0), bound), of(Child(1.0))]
    assert len(set(digests)) == 4
    assert of(Child(1.0), Child(3.0)) == digests[0]
