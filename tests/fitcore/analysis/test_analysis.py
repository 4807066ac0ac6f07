"""Defaults of `Analysis`, instances of a bound model, the compiled fit for pictures, and identity."""

from __future__ import annotations

import copy
import gc
import weakref
from functools import cached_property
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.analysis import analysis as module
from fitcore.analysis.analysis import Analysis
from fitcore.analysis.combined import analysis_identity
from fitcore.errors import LinkError, ModelError
from fitcore.identity import digest
from fitcore.model import Model, Normal, Uniform
from fitcore.result import Result
from fitcore.samples import Samples

MODEL = Model({"a": Uniform(-1, 1), "b": Normal(0, 1)})
THETA = np.array([0.25, -0.5])


class Line(Analysis):
    """Counts how often its fit is evaluated by Python."""

    def __init__(self, use_jax_for_visualization: bool = False, **kwargs: Any) -> None:
        super().__init__(use_jax=True, use_jax_for_visualization=use_jax_for_visualization, **kwargs)
        self.slope = 2.0
        self.python_runs = [0]

    def log_likelihood_function(self, instance: Any) -> Any:
        self.python_runs[0] += 1
        return jnp.sum(instance["a"] * self.slope + instance["b"])

    @property
    def supports_jax_visualization(self) -> bool:
        return True

    def identity(self) -> dict[str, Any]:
        return {"slope": self.slope}


def test_the_likelihood_must_be_written() -> None:
    class Empty(Analysis):
        pass

    with pytest.raises(ModelError, match=r"Empty has no log_likelihood_function\(self, instance\): write one that returns a number"):
        Empty().log_likelihood_function({})


def test_the_defaults_do_nothing() -> None:
    analysis = Analysis(key=3)
    assert analysis.modify_model(MODEL) is MODEL
    assert analysis.modify_before_fit(None, MODEL) is analysis
    assert analysis.modify_after_fit(None, MODEL, None) is analysis  # pyright: ignore[reportArgumentType]
    assert analysis.compute_latent_variables(THETA, MODEL) == {}
    assert analysis.traced_arrays() is None
    assert analysis.with_traced_arrays(None) is analysis
    assert not analysis.supports_background_update
    assert not analysis.supports_jax_visualization
    for hook in (analysis.save_attributes, lambda _: analysis.save_results(None, None)):  # pyright: ignore[reportArgumentType]
        assert hook(None) is None
    assert analysis.identity() == {"use_jax": False, "kwargs": {"key": 3}}


def test_a_bound_model_gets_its_own_parameters_by_path() -> None:
    bound = Line().with_model(Model({"b": Normal(0, 1), "a": 7.0}))
    assert bound.instance_of(THETA, MODEL) == {"b": -0.5, "a": 7.0}
    assert float(bound.vector_likelihood(MODEL)(THETA)) == 13.5
    assert bound.vector_likelihood(MODEL)(list(THETA)) == 13.5
    assert Line().bound_model is None
    assert float(Line().vector_likelihood(MODEL)(THETA)) == 0.0


def test_a_bound_model_with_an_unknown_parameter_is_refused() -> None:
    bound = Line().with_model(Model({"c": Normal(0, 1)}))
    with pytest.raises(ModelError, match=r"Line is bound to a model with the free parameters \['c'\].*has \['a', 'b'\].*same paths"):
        bound.vector_likelihood(MODEL)


def test_the_fit_for_pictures_is_compiled_once_for_each_analysis() -> None:
    first, second = Line(True), Line(True)
    second.slope = 10.0
    instance = {"a": 0.25, "b": -0.5}
    for _ in range(3):
        assert float(first.fit_for_visualization(instance)) == 0.0
        assert float(second.fit_for_visualization(instance)) == 2.0
    assert (first.python_runs, second.python_runs) == ([1], [1])
    assert float(first.fit_for_visualization({"a": 1.0, "b": 0.5})) == 2.5
    assert first.python_runs == [1]


def test_the_fit_for_pictures_is_plain_python_unless_asked_and_able() -> None:
    class Unable(Line):
        @property
        def supports_jax_visualization(self) -> bool:
            return False

    for analysis in (Line(), Unable(True)):
        for _ in range(2):
            analysis.fit_for_visualization({"a": 0.25, "b": -0.5})
        assert analysis.python_runs == [2]


def test_the_cache_of_compiled_fits_keeps_no_analysis_alive() -> None:
    analysis = Line(True)
    analysis.fit_for_visualization({"a": 0.25, "b": -0.5})
    assert analysis in module._FIT_FUNCTIONS
    alive = weakref.ref(analysis)
    before = len(module._FIT_FUNCTIONS)
    del analysis
    gc.collect()
    assert alive() is None
    assert len(module._FIT_FUNCTIONS) == before - 1


def test_identity_knows_arrays_version_and_batch_but_not_how_pictures_are_made() -> None:
    class Data(Analysis):
        def __init__(self, values: Any, **options: Any) -> None:
            super().__init__(**options)
            self.values = values

        def log_likelihood_function(self, instance: Any) -> Any:
            return 0.0

    one = Data(np.arange(3.0))
    same = Data(np.arange(3.0), use_jax_for_visualization=True)
    reference = digest(analysis_identity(one))
    assert digest(analysis_identity(same)) == reference
    others = [Data(np.array([0.0, 1.0, 2.5])), Data(np.arange(3.0), use_jax=True), Data(np.arange(3.0), key=1), one.with_model(MODEL)]
    for attribute in ("version", "n_batch"):
        changed = copy.copy(one)
        setattr(changed, attribute, 7)
        others.append(changed)
    assert len({reference, *(digest(analysis_identity(other)) for other in others)}) == len(others) + 1


def test_the_result_is_of_the_class_that_the_analysis_names() -> None:
    class Own(Result):
        pass

    class Special(Line):
        Result = Own

    analysis, other = Special(), Line()
    result = analysis.make_result(None, None)  # pyright: ignore[reportArgumentType]
    assert type(result) is Own
    assert result.analysis is analysis
    assert analysis.make_result(None, None, analysis=other).analysis is other  # pyright: ignore[reportArgumentType]


def test_quick_updates_draw_through_the_visualizer() -> None:
    seen: list[Any] = []

    class Drawing(module.Visualizer):
        @staticmethod
        def visualize(analysis: Analysis, paths: Any, instance: Any, during_analysis: bool) -> None:
            seen.append((paths, instance, during_analysis))

    class Drawn(Line):
        Visualizer = Drawing

    Drawn().perform_quick_update("paths", {"a": 1})
    assert seen == [("paths", {"a": 1}, True)]


def test_memory_use_is_printed_and_returned(capsys: pytest.CaptureFixture[str]) -> None:
    text = Line().print_vram_use(MODEL, 8)
    assert capsys.readouterr().out == text + "\n"
    assert text.startswith("Line: batch of 8, 2 parameters, on ")
    assert "likelihood" in text
    assert "gradient" in text


def test_latents_need_samples_that_know_their_model() -> None:
    samples = Samples(paths=MODEL.paths, parameters=THETA[None], log_likelihood=np.zeros(1), log_prior=np.zeros(1), log_weight=np.zeros(1))
    with pytest.raises(LinkError, match=r"samples that know their model: take result\.samples, or samples\.with_model\(model\)"):
        Line().compute_latent_samples(samples)
    assert Line().compute_latent_samples(samples.with_model(MODEL)) is None


class Slotted(Analysis):
    __slots__ = ("__secret", "data")

    def __init__(self, data: float, secret: float = 0.0) -> None:
        super().__init__()
        self.data = data
        self.__secret = secret

    @cached_property
    def squared(self) -> float:
        return self.data**2


def test_the_identity_sees_slots_and_no_cached_property() -> None:
    one = Slotted(1.0)
    before = digest(analysis_identity(one))
    assert one.squared == 1.0
    assert digest(analysis_identity(one)) == before
    assert digest(analysis_identity(Slotted(2.0))) != before
    assert digest(analysis_identity(Slotted(1.0, secret=1.0))) != before
