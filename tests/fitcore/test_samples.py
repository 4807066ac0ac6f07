"""Samples: derived numbers, the fallback of a search that has not converged, exact storage."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from fitcore.errors import NonFiniteLikelihoodError, SpecError
from fitcore.model import Model, Normal, Tied, Uniform
from fitcore.samples import Samples

PARAMETERS = np.array([[2, 0.5, 4], [3, 1, 5], [4, 2, 6], [3.5, 1.5, 5.5], [2.5, 0.8, 4.6]])
WEIGHT = np.array([0.1, 0.35, 0.25, 0.2, 0.1])


def made(**changes: Any) -> Samples:
    fields: dict[str, Any] = {
        "paths": ("a", "b", "c"),
        "parameters": PARAMETERS,
        "log_likelihood": [-10.0, -4.0, -3.0, -3.5, -7.0],
        "log_prior": [-1.0, -0.5, -0.9, -0.2, -0.1],
        "log_weight": np.log(WEIGHT),
    }
    return Samples(**{**fields, **changes})


def test_weights_are_normalized_whatever_their_scale() -> None:
    np.testing.assert_allclose(made(log_weight=np.log(WEIGHT) - 5000).weight, WEIGHT, rtol=1e-12)
    assert made().effective_sample_size == pytest.approx(1 / np.sum(WEIGHT**2))


def test_best_sample_passes_over_nan() -> None:
    samples = made(log_likelihood=[math.nan, -2.0, math.nan, -1.0, math.nan])
    assert samples.best_index == 3
    np.testing.assert_array_equal(samples.max_log_likelihood(), PARAMETERS[3])
    with pytest.raises(NonFiniteLikelihoodError, match="All 5 log-likelihoods are NaN"):
        made(log_likelihood=np.full(5, math.nan)).max_log_likelihood()


def test_medians_and_intervals_of_many_samples_are_the_distributions() -> None:
    rng = np.random.default_rng(3)
    x = rng.uniform(-6, 6, 400_000)
    samples = made(
        paths=("x",),
        parameters=x[:, None],
        log_likelihood=np.zeros(x.size),
        log_prior=np.zeros(x.size),
        log_weight=scipy.stats.norm.logpdf(x),
    )
    assert samples.median_pdf()[0] == pytest.approx(0.0, abs=0.02)
    np.testing.assert_allclose(samples.values_at_sigma(2.0)[0], [-2, 2], atol=0.03)
    np.testing.assert_allclose(samples.errors_at_sigma(1.0)[0], [1, 1], atol=0.03)
    assert samples.covariance()[0, 0] == pytest.approx(1.0, abs=0.02)


def test_errors_add_up_to_the_interval() -> None:
    samples = made()
    lower, upper = samples.values_at_sigma(1.0).T
    np.testing.assert_allclose(samples.errors_at_sigma(1.0).sum(axis=1), upper - lower)
    assert samples.errors_at_sigma(1.0).shape == samples.values_at_sigma(3.0).shape == (3, 2)


def test_one_heavy_sample_is_no_posterior() -> None:
    with np.errstate(divide="ignore"):
        samples = made(log_weight=np.log([0.002, 0.003, 0.995, 0.0, 0.0]))
    assert not samples.is_converged
    np.testing.assert_array_equal(samples.median_pdf(), [4, 2, 6])
    for sigma in (1.0, 3.0):
        np.testing.assert_array_equal(samples.values_at_sigma(sigma), [[2, 4], [0.5, 2], [4, 6]])
    assert made().is_converged


def test_unconverged_intervals_look_at_the_last_hundred_samples_only() -> None:
    x = np.arange(300.0)
    log_weight = np.full(300, -1000.0)
    log_weight[7] = 0.0
    samples = made(paths=("x",), parameters=x[:, None], log_likelihood=-x, log_prior=0 * x, log_weight=log_weight)
    np.testing.assert_array_equal(samples.values_at_sigma(1.0), [[200, 299]])
    assert samples.median_pdf()[0] == 0.0


def test_a_single_sample_works() -> None:
    samples = made(parameters=PARAMETERS[:1], log_likelihood=[-1.0], log_prior=[0.0], log_weight=[-3.0])
    np.testing.assert_array_equal(samples.median_pdf(), PARAMETERS[0])
    np.testing.assert_array_equal(samples.covariance(), np.zeros((3, 3)))
    assert samples.effective_sample_size == 1.0
    assert samples.summary().n_samples == 1


def test_draws_follow_the_weights_and_the_seed() -> None:
    samples = made()
    drawn = samples.draw(20_000, seed=5)
    assert drawn.shape == (20_000, 3)
    np.testing.assert_array_equal(drawn, samples.draw(20_000, seed=5))
    assert not np.array_equal(drawn, samples.draw(20_000, seed=6))
    share = [(drawn[:, 0] == value).mean() for value in PARAMETERS[:, 0]]
    np.testing.assert_allclose(share, WEIGHT, atol=4 * np.sqrt(0.25 / 20_000))
    assert samples.draw(0, seed=1).shape == (0, 3)
    with pytest.raises(SpecError, match="n is -1; it must not be negative"):
        samples.draw(-1, seed=1)


def test_unknown_values_of_one_parameter_touch_no_other() -> None:
    parameters = PARAMETERS.copy()
    parameters[1, 0] = math.nan
    samples, whole = made(parameters=parameters), made()
    np.testing.assert_array_equal(samples.median_pdf()[1:], whole.median_pdf()[1:])
    assert math.isfinite(samples.median_pdf()[0])
    np.testing.assert_allclose(samples.covariance()[1:, 1:], whole.covariance()[1:, 1:], rtol=1e-14)


def test_arrays_give_the_samples_back_exactly() -> None:
    samples = made(log_evidence=-12.3, log_evidence_error=0.1)
    arrays = samples.to_arrays()
    assert all(isinstance(array, np.ndarray) and array.dtype.kind in "Sf" for array in arrays.values())
    assert Samples.from_arrays(arrays) == samples
    assert Samples.from_arrays(made().to_arrays()) == made()  # NaN evidence equals NaN evidence
    assert samples != made()
    with pytest.raises(SpecError, match="lacks log_prior, log_weight"):
        Samples.from_arrays({k: v for k, v in arrays.items() if k not in ("log_prior", "log_weight")})


def test_arrays_are_read_only_copies() -> None:
    parameters = PARAMETERS.copy()
    samples = made(parameters=parameters)
    parameters[0, 0] = 99.0
    assert samples.parameters[0, 0] == 2.0
    with pytest.raises(ValueError, match="read-only"):
        samples.parameters[0, 0] = 1.0


def test_instances_need_the_model() -> None:
    model = Model({"a": Uniform(0, 10), "b": Normal(0, 1), "c": Normal(0, 1), "d": Tied("a")})
    samples = made().with_model(model)
    assert samples.instance(2) == {"a": 4.0, "b": 2.0, "c": 6.0, "d": 4.0}
    assert samples == made()
    with pytest.raises(SpecError, match=r"call with_model\(model\) first"):
        made().instance(0)
    with pytest.raises(SpecError, match="they must be the same"):
        made().with_model(Model({"z": Uniform(0, 1)}))


def test_column_by_path() -> None:
    np.testing.assert_array_equal(made().column("b"), PARAMETERS[:, 1])
    with pytest.raises(SpecError, match="no parameter 'x'; they have a, b, c"):
        made().column("x")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"parameters": PARAMETERS[:, :2]}, r"parameters have shape \(5, 2\); it must be \(n, 3\)"),
        ({"parameters": np.zeros((0, 3))}, "with n > 0"),
        ({"log_prior": [0.0]}, r"log_prior has shape \(1,\); it must be \(5,\)"),
        ({"log_weight": np.full(5, -math.inf)}, "above -inf for one sample at least"),
        ({"log_weight": [0, 0, 0, 0, math.nan]}, "never NaN"),
        ({"paths": ("a", "a", "b")}, "are not distinct"),
    ],
)
def test_shapes_are_checked(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text):
        made(**changes)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_sigma_must_be_positive(sigma: float) -> None:
    with pytest.raises(SpecError, match="it must be a finite number above 0"):
        made().values_at_sigma(sigma)
