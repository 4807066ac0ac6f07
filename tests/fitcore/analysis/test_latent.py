"""Latent variables: any batch gives the same, weights are the parent's, one key's NaN is its own."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from fitcore.analysis.analysis import Analysis
from fitcore.errors import LikelihoodError, ModelError
from fitcore.model import Model, Normal, Uniform
from fitcore.samples import Samples

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


def test_a_key_that_is_never_finite_is_an_error() -> None:
    class Hopeless(Derived):
        def compute_latent_variables(self, parameters: Any, model: Model) -> Any:
            return {"good": parameters[0], "bad": np.inf, "worse": np.nan}

    with pytest.raises(LikelihoodError, match=r"of Hopeless gave no finite value of \['bad', 'worse'\] for any of 10 samples. Mend"):
        Hopeless().compute_latent_samples(samples_of())


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
