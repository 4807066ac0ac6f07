"""Every case of the shared reference values for priors, samples and projections, at its own tolerance.

The same numbers, recomputed here from their formulas with scipy, are checked even where the shared folder is missing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import scipy.stats

from fitcore.model import LogNormal, LogUniform, Model, Normal, Prior, TruncatedNormal, Uniform, project, relative_widths
from fitcore.samples import Samples
from fitcore.statistics import weighted_quantile

FAMILIES: dict[str, Callable[..., Prior]] = {
    "Uniform": Uniform,
    "LogUniform": LogUniform,
    "Gaussian": Normal,
    "TruncatedGaussian": TruncatedNormal,
    "LogGaussian": LogNormal,
}
X, W = np.array([2.0, 3.0, 4.0, 3.5, 2.5]), np.array([0.1, 0.35, 0.25, 0.2, 0.1])


def named(text: str) -> Prior:
    """The prior of a text such as ``TruncatedGaussian(0,1,-1,1)``."""
    match = re.fullmatch(r"(\w+)\((.*)\)", text)
    assert match
    return FAMILIES[match[1]](*(float(number) for number in match[2].split(",")))


def transform(inputs: dict[str, Any]) -> Any:
    numbers = [inputs[name] for name in ("mean", "sigma", "lower", "upper") if name in inputs]
    return FAMILIES[inputs["type"]](*numbers).transform(np.array(inputs["unit"]))


def batch(inputs: dict[str, Any]) -> Any:
    model = Model({f"p{i}": named(text) for i, text in enumerate(inputs["priors"])})
    return model.prior_transform(np.array(inputs["cube"]))


def batch_is_column_by_column(inputs: dict[str, Any]) -> bool:
    cube = np.array(inputs["cube"])
    columns = [scipy.stats.uniform(0, 10).ppf(cube[:, 0]), np.exp(scipy.special.ndtri(cube[:, 1]))]
    return bool(np.allclose(batch(inputs), np.stack(columns, axis=-1), rtol=1e-12, atol=0))


def samples(inputs: dict[str, Any]) -> Samples:
    parameters = np.array(inputs["parameters"], dtype=float)
    n = len(parameters)
    with np.errstate(divide="ignore"):
        log_weight = np.log(np.array(inputs.get("weights", np.ones(n)), dtype=float))
    log_likelihood = np.array(inputs.get("log_likelihoods", log_weight), dtype=float)
    return Samples(("x", "y", "z"), parameters, log_likelihood, np.array(inputs.get("log_priors", np.zeros(n))), log_weight)


def best(inputs: dict[str, Any]) -> list[Any]:
    made = samples(inputs)
    return [made.max_log_likelihood(), made.best_index, made.log_likelihood[made.best_index]]


def best_of_nan(inputs: dict[str, Any]) -> int:
    log_likelihood = [float(x) for x in inputs["log_likelihoods"]]
    return samples({"parameters": np.zeros((len(log_likelihood), 3)), "log_likelihoods": log_likelihood}).best_index


def unconverged(inputs: dict[str, Any]) -> list[Any]:
    made = samples(inputs)
    np.testing.assert_array_equal(made.values_at_sigma(1.0), made.values_at_sigma(3.0))
    return [made.is_converged, made.median_pdf(), made.values_at_sigma(1.0)]


def projected(prior: Prior, x: Any, weight: Any) -> list[float]:
    with np.errstate(divide="ignore"):
        made = prior.project(np.array(x, dtype=float), np.log(np.array(weight, dtype=float)))
    return [getattr(made, name) for name in ("mean", "sigma", "lower", "upper") if hasattr(made, name)]


CASES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "prior.uniform.value_for": transform,
    "prior.uniform.log_norm": lambda i: Uniform(i["lower"], i["upper"]).log_prob(i["lower"]),
    "prior.loguniform.value_for": transform,
    "prior.loguniform.log_norm": lambda i: LogUniform(i["lower"], i["upper"]).log_prob(1.0),
    "prior.gaussian.log_prior": lambda i: (
        Normal(i["mean"], i["sigma"]).log_prob(np.array(i["value"])) - Normal(i["mean"], i["sigma"]).log_prob(i["mean"])
    ),
    "prior.truncgaussian.value_for": transform,
    "prior.truncgaussian.log_norm": lambda i: TruncatedNormal(i["mean"], i["sigma"], i["lower"], i["upper"]).log_prob(i["mean"]),
    "prior.loggaussian.value_for": transform,
    "prior.vectorized": batch,
    "prior.vectorized.loggaussian": batch_is_column_by_column,
    "width.relative_floor": lambda i: [relative_widths({"x": m}, i["value"], floor=i["absolute_floor"])["x"] for m in i["mean"]],
    "samples.pdf.median": lambda i: samples(i).median_pdf(),
    "samples.pdf.values_at_3": lambda i: samples(i).values_at_sigma(i["sigma"]),
    "samples.pdf.error_magnitudes_1": lambda i: samples(i).errors_at_sigma(i["sigma"]).sum(axis=1),
    "samples.max_ll": best,
    "samples.nan_ll": best_of_nan,
    "samples.unconverged": unconverged,
    "samples.mcmc.values_at_1": lambda i: samples(i).values_at_sigma(i["sigma"]),
    "quantile.three": lambda i: weighted_quantile(i["x"], i["q"], i["weights"]),
    "quantile.unweighted": lambda i: weighted_quantile(i["x"], i["q"]),
    "project.gaussian": lambda i: projected(named(i["prior"]), i["samples"], i["weights"]),
    "project.uniform.value_for": lambda i: Uniform(0, 10).project(X, np.log(W)).transform(np.array(i["unit"])),
    "project.loguniform.base": lambda i: projected(named(i["prior"]), i["samples"], i["weights"]),
    "project.truncated": lambda i: projected(named(i["prior"]), i["samples"], i["weights"]),
    "project.zero_weight": lambda i: projected(Normal(0, 5), i["samples"], i["weights"]),
    "project.cancellation": lambda _: projected(Normal(1e8, 1), 1e8 + np.array([0, 0.1, 0.2, 0.3]), np.ones(4))[1],
}


def agrees(seen: Any, expected: Any, tolerance: float) -> None:
    if isinstance(expected, list) and isinstance(seen, list):
        assert len(seen) == len(expected)
        for one, other in zip(seen, expected, strict=True):
            agrees(one, other, tolerance)
    else:
        np.testing.assert_allclose(np.asarray(seen, dtype=float), np.asarray(expected, dtype=float), rtol=0, atol=tolerance)


def test_all_reference_cases(shared_dir: Path) -> None:
    cases = json.loads((shared_dir / "reference" / "statistics.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) > 20
    unknown = [case["id"] for case in cases if case["id"] not in CASES]
    assert not unknown, f"no test knows the reference cases {unknown}"
    failed = []
    for case in cases:
        try:
            agrees(CASES[case["id"]](case["inputs"]), case["independent_value"], case["tolerance"])
        except AssertionError as error:
            failed.append(f"{case['id']}: {error}")
    assert not failed, "\n".join(failed)


def test_priors_from_their_formulas() -> None:
    u = np.array([0.01, 0.25, 0.5, 0.9])
    z = scipy.special.ndtri(u)
    low, high = scipy.special.ndtr([-2.0, 4.0])
    np.testing.assert_allclose(Uniform(-3, 7.5).transform(u), -3 + 10.5 * u, atol=1e-12)
    np.testing.assert_allclose(LogUniform(0.01, 100).transform(u), 0.01 * 1e4**u, rtol=1e-12)
    np.testing.assert_allclose(Normal(1, 2).transform(u), 1 + 2 * z, atol=1e-12)
    np.testing.assert_allclose(LogNormal(1, 0.5).transform(u), np.exp(1 + 0.5 * z), rtol=1e-12)
    np.testing.assert_allclose(
        TruncatedNormal(1, 0.5, 0, 3).transform(u), 1 + 0.5 * scipy.special.ndtri(low + u * (high - low)), atol=1e-12
    )
    assert float(TruncatedNormal(1, 0.5, 0, 3).log_prob(1.0)) == pytest.approx(-0.20274603425019225, abs=1e-12)


def test_projections_from_their_formulas() -> None:
    z = scipy.special.ndtri(X / 10)
    mean, sigma = W @ z, np.sqrt(W @ (z - W @ z) ** 2)
    np.testing.assert_allclose(projected(Uniform(0, 10), X, W), [mean, sigma], atol=1e-11)
    np.testing.assert_allclose(
        Uniform(0, 10).project(X, np.log(W)).transform(np.array([0.16, 0.5, 0.84])),
        10 * scipy.special.ndtr(mean + sigma * scipy.special.ndtri([0.16, 0.5, 0.84])),
        atol=1e-9,
    )
    np.testing.assert_allclose(projected(Normal(5, 2), X, W), [3.2, 0.6204836822995429], atol=1e-11)
    np.testing.assert_allclose(projected(LogNormal(0, 1), X, W), [W @ np.log(X), np.sqrt(W @ (np.log(X) - W @ np.log(X)) ** 2)], atol=1e-11)
    np.testing.assert_allclose(projected(TruncatedNormal(3, 1, 0, 10), X, W), [3.2, 0.6204836822995429, 0, 10], atol=1e-9)
    np.testing.assert_allclose(projected(Normal(0, 5), [1, 2, 3], [0.5, 0, 0.5]), [2, 1], atol=1e-12)


def test_projection_of_a_model_is_that_of_its_priors() -> None:
    model = Model({"a": Uniform(0, 10), "b": Normal(5, 2)})
    made = Samples(("a", "b"), np.stack([X, X], axis=-1), np.zeros(5), np.zeros(5), np.log(W))
    priors = project(model, made).priors
    assert priors == {"a": Uniform(0, 10).project(X, np.log(W)), "b": Normal(3.2, 0.6204836823)}
