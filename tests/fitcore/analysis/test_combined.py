"""Several analyses as one: sums, spreading of instances, and every hook forwarded in the right way."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import multivariate_normal

from fitcore.analysis.analysis import Analysis
from fitcore.analysis.combined import CombinedAnalysis
from fitcore.analysis.visualizer import Visualizer
from fitcore.errors import ConfigError, LikelihoodError, ModelError
from fitcore.fitting import fit
from fitcore.identity import digest
from fitcore.model import Model, Normal, Tied, Uniform
from fitcore.search.nautilus import Nautilus
from fitcore.search.streams import stream
from fitcore.store import Store

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
    with pytest.raises(ConfigError, match=r"all use JAX, or none; use_jax is \{'0 Child': False, '1 Analysis': True\}. Set it alike"):
        CombinedAnalysis([Child(), Analysis(use_jax=True)])
    with pytest.raises(ConfigError, match="needs instances of Analysis; it got int"):
        CombinedAnalysis([Child(), 3])  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="needs a list of analyses; it got <"):
        CombinedAnalysis(Child())  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"with_model\(\) got 'm'; it must be a fitcore\.Model"):
        Child().with_model("m")  # type: ignore[arg-type]


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


class Straight(Analysis):
    """A straight line with Gaussian noise; the model's tree is ``{"line": {"slope": ..., "offset": ...}}``."""

    LATENT_KEYS = ("middle",)

    def __init__(self, x: Any, y: Any, sigma: float, use_jax: bool = True) -> None:
        super().__init__(use_jax=use_jax)
        self.x, self.y, self.sigma = np.asarray(x), np.asarray(y), sigma

    def log_likelihood_function(self, instance: Any) -> Any:
        xp = jnp if self.use_jax else np
        line = instance["line"]
        residual = (self.y - line["slope"] * self.x - line["offset"]) / self.sigma
        return -0.5 * xp.sum(residual**2) - len(self.x) * np.log(self.sigma * np.sqrt(2 * np.pi))

    def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
        line = model.instance_from_vector(parameters)["line"]
        return (line["slope"] * 0.5 + line["offset"],)

    def save_results(self, paths: Any, result: Any) -> None:
        paths.save_json("data", {"n": len(self.x)})

    def save_results_combined(self, paths: Any, result: Any) -> None:
        paths.save_text("combined", "once")


def straight(seed: int, n: int, offset: float, sigma: float) -> tuple[Any, Any]:
    x = np.linspace(0.0, 1.0, n)
    return x, 1.5 * x + offset + sigma * stream(seed, "noise").standard_normal(n)


SHARED = Model(
    {
        "one": {"line": {"slope": Normal(1, 1), "offset": Normal(0, 1)}},
        "two": {"line": {"slope": Tied("one.line.slope"), "offset": Normal(0, 2)}},
    }
)


def both_lines(use_jax: bool) -> CombinedAnalysis:
    """Two datasets with one slope, tied in the fitted model, and an offset each."""

    class Own(Straight):
        def __init__(self, key: str, *data: Any, use_jax: bool) -> None:
            super().__init__(*data, use_jax=use_jax)
            self.key = key

        def log_likelihood_function(self, instance: Any) -> Any:
            assert set(instance) == {self.key}
            return super().log_likelihood_function(instance[self.key])

        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            return super().compute_latent_variables(parameters, model.subtree(self.key))

    def own(key: str) -> Model:
        return Model({key: {"line": {"slope": Normal(0, 1), "offset": Normal(0, 1)}}})

    children = [
        Own("one", *straight(1, 20, 0.4, 0.5), 0.5, use_jax=use_jax).with_model(own("one")),
        Own("two", *straight(2, 30, -0.6, 0.3), 0.3, use_jax=use_jax).with_model(own("two")),
    ]
    return CombinedAnalysis(children)


def exact_evidence(combined: CombinedAnalysis) -> float:
    """Of the linear Gaussian model, from the covariance of the data alone."""
    one, two = combined.analyses
    zero = np.zeros
    design = np.block(
        [
            [one.x[:, None], np.ones((len(one.x), 1)), zero((len(one.x), 1))],  # pyright: ignore[reportAttributeAccessIssue]
            [two.x[:, None], zero((len(two.x), 1)), np.ones((len(two.x), 1))],  # pyright: ignore[reportAttributeAccessIssue]
        ]
    )
    noise = np.concatenate([np.full(len(child.x), child.sigma**2) for child in combined.analyses])  # pyright: ignore[reportAttributeAccessIssue]
    covariance = np.diag(noise) + design @ np.diag([1.0, 1.0, 4.0]) @ design.T
    data = np.concatenate([child.y for child in combined.analyses])  # pyright: ignore[reportAttributeAccessIssue]
    return float(multivariate_normal(design @ np.array([1.0, 0.0, 0.0]), covariance).logpdf(data))


@pytest.mark.parametrize("use_jax", [False, True])
def test_a_shared_slope_and_own_offsets_give_the_exact_evidence(use_jax: bool, store: Store) -> None:
    combined = both_lines(use_jax)
    assert SHARED.paths == ("one.line.slope", "one.line.offset", "two.line.offset")
    theta = np.array([1.2, 0.3, -0.5])
    parts = [
        Straight.log_likelihood_function(child, {"line": {"slope": 1.2, "offset": offset}})  # pyright: ignore[reportArgumentType]
        for child, offset in zip(combined.analyses, (0.3, -0.5), strict=True)
    ]
    assert float(combined.vector_likelihood(SHARED)(theta)) == pytest.approx(float(sum(parts)), rel=1e-13)
    assert [float(i[k]["line"]["slope"]) for i, k in zip(combined.instance_of(theta, SHARED), ("one", "two"), strict=True)] == [1.2, 1.2]
    result = fit(SHARED, combined, Nautilus(n_live=100, n_eff=1000), store=store, progress=False)
    assert abs(result.log_evidence - exact_evidence(combined)) < 3 * result.log_evidence_error
    assert result.log_evidence_error < 0.1
    latents = result.latent_samples
    assert latents is not None
    assert latents.paths == ("0.middle", "1.middle")
    slope, one, two = result.samples.parameters.T
    np.testing.assert_allclose(latents.parameters, np.stack([slope / 2 + one, slope / 2 + two], axis=1), rtol=1e-12)
    assert [result.paths.child(str(i)).load_json("data") for i in range(2)] == [{"n": 20}, {"n": 30}]
    assert result.paths.names() == ["combined.txt"]
    assert result.paths.child("0").names() == ["data.json"]
    assert store.verify() == []


def test_a_combination_may_be_bound_as_a_whole() -> None:
    larger = Model({"unused": Normal(0, 1), "b": Normal(0, 1), "a": Uniform(-1, 1)})
    bound = pair().with_model(MODEL)
    theta = np.array([9.0, -0.5, 0.25])
    assert bound.vector_likelihood(larger)(theta) == pair().vector_likelihood(MODEL)(THETA)
    assert bound.instance_of(theta, larger) == pair().instance_of(THETA, MODEL)
    assert bound.latents_of(theta, larger) == pair().latents_of(THETA, MODEL)


def test_a_child_that_forgets_its_model_is_bound_again() -> None:
    class Forgetful(Child):
        def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
            return Child(7.0)

        def modify_after_fit(self, paths: Any, model: Model, result: Any) -> Analysis:
            return Child(7.0)

    combined = CombinedAnalysis([Forgetful().with_model(Model({"b": Normal(0, 1)}))])
    for changed in (combined.modify_before_fit(None, MODEL), combined.modify_after_fit(None, MODEL, None)):  # pyright: ignore[reportArgumentType]
        assert changed.vector_likelihood(MODEL)(THETA) == -3.5


def test_a_child_that_fails_keeps_no_other_from_saving() -> None:
    class Failing(Child):
        def save_results(self, paths: Any, result: Any) -> None:
            raise RuntimeError(f"disk {self.factor:g} on fire")

    last = Child()
    with pytest.raises(RuntimeError, match=r"^disk 1 on fire$"):
        CombinedAnalysis([Failing(), last]).save_results("p", "r")
    assert last.calls == [("results", "p", "r")]
    with pytest.raises(ExceptionGroup, match="2 of 3 children failed: RuntimeError: disk 1 on fire; RuntimeError: disk 2 on fire"):
        CombinedAnalysis([Failing(), Failing(2.0), last]).save_results("p", "r")
    assert last.calls == [("results", "p", "r")] * 2

    class Blind(Child):
        class Visualizer(Recording):
            @staticmethod
            def visualize(analysis: Any, paths: Any, instance: Any, during_analysis: bool) -> None:
                raise RuntimeError("no screen")

    combined = CombinedAnalysis([Blind(), last])
    with pytest.raises(RuntimeError, match="no screen"):
        combined.Visualizer.visualize(combined, "p", {"a": 1}, False)
    assert last.calls[-1] == ("picture", {"a": 1}, False)


def test_arrays_batching_and_batch_size_come_from_the_children() -> None:
    class Large(Child):
        batching = "map"
        n_batch = 8

        def traced_arrays(self) -> Any:
            return np.array([self.factor])

        def with_traced_arrays(self, arrays: Any) -> Analysis:
            return Large(2 * float(arrays[0]))

    plain, mixed = CombinedAnalysis([Child(), Child()]), CombinedAnalysis([Child(), Large(5.0)])
    assert (plain.batching, plain.n_batch, plain.traced_arrays()) == ("vmap", 32, None)
    assert plain.with_traced_arrays(None) is plain
    assert (mixed.batching, mixed.n_batch) == ("map", 8)
    arrays = mixed.traced_arrays()
    assert (arrays[0], arrays[1].tolist()) == (None, [5.0])
    assert mixed.with_traced_arrays(arrays).analyses[1].factor == 10.0  # pyright: ignore[reportAttributeAccessIssue]


def test_a_child_that_returns_no_number_is_named() -> None:
    class Silent(Child):
        def log_likelihood_function(self, instance: Any) -> Any:
            return None

    with pytest.raises(LikelihoodError, match=r"log_likelihood_function of Silent returned None"):
        CombinedAnalysis([Child(), Silent()]).vector_likelihood(MODEL)(THETA)


def test_children_of_children_keep_their_parameters_and_their_names() -> None:
    nested = CombinedAnalysis([pair(), Child(2.0)])
    assert nested.vector_likelihood(MODEL)(THETA) == pytest.approx(pair().vector_likelihood(MODEL)(THETA) + 2.0 * -0.25)
    assert list(nested.latents_of(THETA, MODEL)) == ["0.0.sum", "0.1.sum", "1.sum"]
    assert nested.compute_latent_variables(THETA, MODEL) == nested.latents_of(THETA, MODEL)
    assert nested.instance_of(THETA, MODEL)[0] == pair().instance_of(THETA, MODEL)
