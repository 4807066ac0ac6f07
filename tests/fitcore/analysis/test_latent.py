"""Latent variables: any batch gives the same, weights are the parent's, one key's NaN is its own."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore import rows
from fitcore.analysis.analysis import Analysis
from fitcore.analysis.latent import LatentWarning, equal_weight
from fitcore.errors import ConfigError, LikelihoodError, ModelError
from fitcore.model import Model, Normal, Uniform
from fitcore.samples import Samples
from fitcore.summary import SamplesSummary

MODEL = Model({"a": Uniform(-1, 1), "b": Normal(0, 1)})


class Derived(Analysis):
    """Sum and logarithm of two numbers, as a nested dict; counts how often Python evaluates it."""

    def __init__(self, use_jax: bool = False) -> None:
        super().__init__(use_jax=use_jax)
        self.n_python = [0]

    def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
        self.n_python[0] += 1
        xp = jnp if self.use_jax else np
        with np.errstate(invalid="ignore"):
            return {"size": {"sum": parameters[0] + parameters[1], "deep": {"log": xp.log(parameters[1])}}, "two": parameters[0] * 2}


def samples_of(n: int = 10) -> Samples:
    rng = np.random.default_rng(3)
    log_weight = rng.standard_normal(n)
    return Samples(
        paths=MODEL.paths,
        parameters=np.stack([rng.uniform(-1, 1, n), rng.standard_normal(n)], axis=1),
        log_likelihood=rng.standard_normal(n),
        log_prior=np.zeros(n),
        log_weight=log_weight - np.log(np.exp(log_weight).sum()),
        log_evidence=-3.0,
        log_evidence_error=0.1,
    ).with_model(MODEL)


@pytest.mark.parametrize("batching", ["map", "vmap"])
@pytest.mark.parametrize("batch_size", [1, 3, 10, 64, None])
def test_any_batch_gives_the_formula(batching: str, batch_size: int | None) -> None:
    analysis = Derived(use_jax=True)
    analysis.__dict__["batching"] = batching
    samples = samples_of()
    latents = analysis.compute_latent_samples(samples, batch_size)
    assert latents is not None
    assert latents.paths == ("size.sum", "size.deep.log", "two")
    a, b = samples.parameters.T
    np.testing.assert_allclose(latents.parameters[:, 0], a + b, rtol=1e-14)
    np.testing.assert_allclose(latents.parameters[:, 1], np.log(np.where(b > 0, b, np.nan)), rtol=1e-14)
    np.testing.assert_allclose(latents.parameters[:, 2], 2 * a, rtol=1e-14)
    assert 0 < np.isnan(latents.parameters[:, 1]).sum() < len(samples)
    assert analysis.n_python[0] <= 2  # traced once, or twice by lax.map


def test_weights_and_evidence_are_the_parents() -> None:
    samples = samples_of()
    latents = Derived().compute_latent_samples(samples)
    assert latents is not None
    np.testing.assert_array_equal(latents.log_weight, samples.log_weight)
    np.testing.assert_array_equal(latents.log_likelihood, samples.log_likelihood)
    assert (latents.log_evidence, latents.log_evidence_error) == (-3.0, 0.1)


def test_plain_python_and_jax_agree() -> None:
    plain, traced = (Derived(use_jax).compute_latent_samples(samples_of()) for use_jax in (False, True))
    assert plain is not None
    assert traced is not None
    np.testing.assert_allclose(plain.parameters, traced.parameters, rtol=1e-14)


def test_a_tuple_needs_one_value_for_each_key() -> None:
    class Short(Derived):
        LATENT_KEYS = ("one", "two")

        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            return (parameters[0],)

    with pytest.raises(ModelError, match=r"of Short returned 1 values; LATENT_KEYS names 2, \['one', 'two'\]. Return one value for each"):
        Short().compute_latent_samples(samples_of())


def test_a_tuple_and_a_dict_are_the_same() -> None:
    class Tuple(Derived):
        LATENT_KEYS = ("size.sum", "size.deep.log", "two")

        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            nested = super().compute_latent_variables(parameters, model)
            return nested["size"]["sum"], nested["size"]["deep"]["log"], nested["two"]

    for use_jax in (False, True):
        assert Tuple(use_jax).compute_latent_samples(samples_of()) == Derived(use_jax).compute_latent_samples(samples_of())


@pytest.mark.parametrize("n", [1, 7, 8, 9, 23])
def test_one_trace_and_one_shape(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    class Sum(Derived):
        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            return {"two": super().compute_latent_variables(parameters, model)["two"]}

    shapes: list[tuple[int, ...]] = []
    original = rows.compiled

    def watched(function: Any) -> Any:
        inner = original(function)

        def call(block: Any, arrays: Any) -> Any:
            shapes.append(block.shape)
            return inner(block, arrays)

        return call

    monkeypatch.setattr(rows, "compiled", watched)
    analysis = Sum(use_jax=True)
    assert analysis.compute_latent_samples(samples_of(n), batch_size=4) is not None
    assert analysis.n_python == [1]
    assert shapes == [(min(n, 4), 2)] * -(-n // 4)


class Lame(Derived):
    """Two keys that are never finite, and a good one."""

    def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
        return {"good": parameters[0] * 1.0, "bad": np.inf, "worse": np.nan}


@pytest.mark.parametrize("use_jax", [False, True])
@pytest.mark.parametrize("converged", [False, True])
def test_a_key_that_is_never_finite_is_kept_and_warned_about(use_jax: bool, converged: bool) -> None:
    samples = samples_of()
    if not converged:
        samples = replace(samples, log_weight=np.where(np.arange(10) == 3, 0.0, -100.0))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        latents = Lame(use_jax).compute_latent_samples(samples)
    assert [(w.category, str(w.message).split(" of Lame ")[1].split(". It")[0]) for w in told] == [
        (LatentWarning, "gave no finite value of 'bad' for any of 10 samples"),
        (LatentWarning, "gave no finite value of 'worse' for any of 10 samples"),
    ]
    assert latents is not None
    assert latents.paths == ("good", "bad", "worse")
    assert latents.n_masked == {"good": 0, "bad": 10, "worse": 10}
    np.testing.assert_array_equal(latents.parameters[:, 0], samples.parameters[:, 0])
    summary = latents.summary()  # a warning of NumPy's would be an error here
    for values in (latents.median_pdf(), latents.mean(), latents.values_at_sigma(3.0)[:, 0], latents.errors_at_sigma(1.0)[:, 1]):
        np.testing.assert_array_equal(np.isnan(values), [False, True, True])
    np.testing.assert_array_equal(np.isnan(np.diag(latents.covariance())), [False, True, True])
    assert SamplesSummary.from_dict(summary.to_dict()) == summary
    assert Samples.from_arrays(latents.to_arrays()) == latents


def test_a_key_that_is_mostly_masked_is_warned_about() -> None:
    class Half(Derived):
        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            return {"root": np.sqrt(parameters[0]) if parameters[0] >= 0 else np.nan}

    samples = samples_of()
    negative = samples.parameters[:, 0] < 0
    few = replace(samples, log_weight=np.where(negative, -1.0, 0.0))
    latents = Half().compute_latent_samples(few)
    assert latents is not None
    assert latents.n_masked == {"root": int(negative.sum())}
    share = few.weight[negative].sum()
    assert 0 < share < 0.5
    many = replace(samples, log_weight=np.where(negative, 0.0, -9.0))
    text = rf"'root' of Half is not finite in {negative.sum()} of 10 samples, which hold 100 % of the posterior"
    with pytest.warns(LatentWarning, match=text):
        Half().compute_latent_samples(many)


@pytest.mark.parametrize("use_jax", [False, True])
def test_an_exception_names_the_parameters(use_jax: bool) -> None:
    samples = samples_of()

    class Raising(Derived):
        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            if use_jax or parameters[1] == samples.parameters[4, 1]:
                raise ZeroDivisionError("no radius")
            return {"sum": parameters[0]}

    a, b = samples.parameters[4].tolist()
    where = "while JAX traced it or ran it in batches, as a function of a, b" if use_jax else re.escape(f"at a = {a!r}, b = {b!r}")
    with pytest.raises(
        LikelihoodError, match=rf"of Raising raised ZeroDivisionError: no radius\n{where}\nThe search's result is untouched"
    ):
        Raising(use_jax).compute_latent_samples(samples)


def test_keys_may_not_change_from_sample_to_sample() -> None:
    class Changing(Derived):
        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            return {"plus" if parameters[0] > 0 else "minus": 1.0}

    with pytest.raises(LikelihoodError, match=r"of Changing gave the keys \['plus'\] after \['minus'\]; give the same keys"):
        Changing().compute_latent_samples(samples_of())


def test_so_many_draws_of_equal_weight() -> None:
    samples = samples_of(200)
    drawn = equal_weight(samples, 4000, 5)
    assert drawn == equal_weight(samples, 4000, 5)
    assert drawn != equal_weight(samples, 4000, 6)
    np.testing.assert_array_equal(drawn.weight, np.full(4000, 1 / 4000))
    assert drawn.model is samples.model
    counts = np.array([(drawn.log_likelihood == value).sum() for value in samples.log_likelihood])
    expected = 4000 * samples.weight
    assert np.sum((counts - expected) ** 2 / expected) < 200 + 4 * np.sqrt(2 * 200)  # chi^2 of 199 degrees of freedom
    row = int(np.flatnonzero((samples.parameters == drawn.parameters[17]).all(axis=1))[0])
    assert drawn.log_likelihood[17] == samples.log_likelihood[row]


@pytest.mark.parametrize("use_jax", [False, True])
def test_a_latent_is_one_number(use_jax: bool) -> None:
    class Wide(Derived):
        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            return {"pair": parameters}

    with pytest.raises(LikelihoodError, match=r"latent 'pair' has shape \(2,\) for each sample; it must be one number"):
        Wide(use_jax).compute_latent_samples(samples_of())


def test_a_bound_model_gets_its_own_vector() -> None:
    class Seen(Derived):
        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            assert model.paths == ("b",)
            return {"b": parameters[0]}

    samples = samples_of()
    latents = Seen().with_model(Model({"b": Normal(0, 1)})).compute_latent_samples(samples)
    assert latents is not None
    np.testing.assert_array_equal(latents.parameters[:, 0], samples.parameters[:, 1])


def returning(value: Any) -> type[Derived]:
    class Returning(Derived):
        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            return value(parameters)

    return Returning


@pytest.mark.parametrize("use_jax", [False, True])
@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (lambda p: {"a.b": p[0], "a": {"b": p[1]}}, ModelError, r"gives 'a\.b' twice, by a dotted name and in a nested dict"),
        (lambda p: None, ModelError, "returned None; return a tuple in the order of LATENT_KEYS, or a dict"),
        (lambda p: {"a": p[0] + 1j}, LikelihoodError, "gave a complex number for 'a'; it must be one real number"),
        (lambda p: {"a": None}, LikelihoodError, "gave None for 'a'; it must be one real number, or NaN"),
        (lambda p: {"a": "x"}, LikelihoodError, "gave 'x' for 'a'"),
    ],
)
def test_what_is_no_latent_is_refused_with_jax_and_without(use_jax: bool, value: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        returning(value)(use_jax).compute_latent_samples(samples_of())


@pytest.mark.parametrize("use_jax", [False, True])
def test_plain_python_numbers_are_latents(use_jax: bool) -> None:
    latents = returning(lambda p: {"one": 1, "half": 0.5, "above": p[0] > 0})(use_jax).compute_latent_samples(samples_of(), 3)
    assert latents is not None
    np.testing.assert_array_equal(latents.parameters[:, :2], [[1.0, 0.5]] * 10)
    np.testing.assert_array_equal(latents.parameters[:, 2], samples_of().parameters[:, 0] > 0)


@pytest.mark.parametrize("use_jax", [False, True])
@pytest.mark.parametrize("batch_size", [0, -1, 1.5, True])
def test_a_batch_size_is_a_positive_integer(use_jax: bool, batch_size: Any) -> None:
    with pytest.raises(ConfigError, match=f"the batch size of latent variables is {batch_size!r}; it must be an integer of at least 1"):
        Derived(use_jax).compute_latent_samples(samples_of(), batch_size)


@pytest.mark.parametrize("use_jax", [True, False])
def test_what_computed_them_is_told(use_jax: bool) -> None:
    analysis, told = Derived(use_jax), {}
    analysis.latent_listener = told.update
    analysis.compute_latent_samples(samples_of(), 3)
    assert told["device"]["platform"] == "cpu"
    assert told.get("batches") == ({"size": 3, "n_threads": 1, "batching": "vmap", "n_halved": 0} if use_jax else None)


def out_of_memory_beyond(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    columns = rows._columns

    def limited(batched: Any, block: Any, arrays: Any, batches: rows.Batches) -> Any:
        if batches.size > most:
            raise MemoryError("59 GiB")
        return columns(batched, block, arrays, batches)

    monkeypatch.setattr(rows, "_columns", limited)


def test_an_out_of_memory_is_told_once_and_changes_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = Derived(True).compute_latent_samples(samples_of(20))
    out_of_memory_beyond(5, monkeypatch)
    analysis, told = Derived(True), {}
    analysis.latent_listener = told.update
    with pytest.warns(LatentWarning, match=r"the memory of cpu ran out .* of Derived .* halved 2 times, to 1 x 5 samples") as caught:
        found = analysis.compute_latent_samples(samples_of(20))
    assert len(caught) == 1
    assert told["batches"] == {"size": 5, "n_threads": 1, "batching": "vmap", "n_halved": 2}
    assert whole is not None
    assert found is not None
    np.testing.assert_allclose(found.parameters, whole.parameters, rtol=1e-12, atol=0)


def test_one_sample_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    out_of_memory_beyond(0, monkeypatch)
    with pytest.raises(LikelihoodError, match=r"variables of Derived do not fit into the memory of cpu, one sample at a time: Memory"):
        Derived(True).compute_latent_samples(samples_of(20))

    class Large(Derived):
        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            raise MemoryError("59 GiB")

    with pytest.raises(LikelihoodError, match=r"(?s)of Large do not fit into the memory of NumPy on .*at a = .*result is untouched"):
        Large().compute_latent_samples(samples_of(20))
