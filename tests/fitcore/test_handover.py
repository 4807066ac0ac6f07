"""Samples in other tools' forms: their numbers are ours, weights and names included; the examples of ``docs/handover.md`` run."""

from __future__ import annotations

import math
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest

from fitcore.errors import ConfigError, SpecError
from fitcore.model import LogUniform, Model, Normal, Uniform
from fitcore.samples import Samples

PAGE = Path(__file__).resolve().parents[2] / "docs" / "handover.md"
PATHS = ("mass.einstein_radius", "flux", "slope")
METHODS = {"to_arviz": "arviz-base", "to_anesthetic": "anesthetic", "to_getdist": "getdist", "to_corner": "corner"}


def made(n: int = 500, **changes: Any) -> Samples:
    """Weights over three decades; one sample in ten has none and lies far out."""
    rng = np.random.default_rng(7)
    parameters = np.column_stack([1.2 + 0.1 * rng.normal(size=n), rng.normal(size=n), 2.0 + 0.3 * rng.random(n)])
    parameters[::10, 1] = 50.0
    log_weight = rng.normal(size=n)
    log_weight[::10] = -math.inf
    fields: dict[str, Any] = {
        "paths": PATHS,
        "parameters": parameters,
        "log_likelihood": -0.5 * parameters[:, 1] ** 2,
        "log_prior": -parameters[:, 0],
        "log_weight": log_weight,
        "log_evidence": -12.5,
        "log_evidence_error": 0.25,
    }
    return Samples(**{**fields, **changes})


def kept_of(samples: Samples) -> Samples:
    """Those of weight above zero."""
    names = ("parameters", "log_likelihood", "log_prior", "log_weight")
    return replace(samples, **{name: getattr(samples, name)[samples.weight > 0.0] for name in names})


def masked_samples() -> Samples:
    """The second parameter is unknown where it is negative."""
    whole = made()
    parameters = whole.parameters.copy()
    parameters[parameters[:, 1] < 0.0, 1] = math.nan
    return made(parameters=parameters)


def assert_same_quantile(samples: Samples, path: str, q: float, value: float) -> None:
    """The rules of quantiles differ by less than the two heaviest samples between them: so much probability lies below ``value``."""
    below = samples.weight[samples.column(path) <= value].sum()
    assert abs(below - q) <= 2.0 * samples.weight.max()
    assert (
        abs(samples.weight[samples.column(path) <= samples.quantiles([q])[samples.paths.index(path), 0]].sum() - q)
        <= 2.0 * samples.weight.max()
    )


def test_anesthetic() -> None:
    samples = made()
    frame = samples.to_anesthetic(labels={"flux": "$f$"})
    assert list(frame.drop_labels().columns) == [*PATHS, "logL", "log_prior"]
    assert frame.get_label("flux") == "$f$"
    assert frame.get_label("slope") == "slope"
    np.testing.assert_allclose(frame.get_weights(), samples.weight, rtol=1e-12)
    np.testing.assert_allclose(frame.mean().to_numpy()[:3], samples.mean(), rtol=1e-9)
    np.testing.assert_allclose(frame.cov().to_numpy()[:3, :3], samples.covariance(), rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(frame["logL"].to_numpy(), samples.log_likelihood)
    np.testing.assert_array_equal(frame["log_prior"].to_numpy(), samples.log_prior)
    assert (frame.attrs["log_evidence"], frame.attrs["log_evidence_error"]) == (-12.5, 0.25)
    for path in PATHS:
        for q in (0.16, 0.5, 0.975):
            assert_same_quantile(samples, path, q, float(frame[path].quantile(q)))


def test_getdist() -> None:
    samples = made()
    chains = samples.to_getdist(labels={"flux": "$f_0$"})
    has_weight = samples.weight > 0.0
    assert chains.getParamNames().list() == list(PATHS)
    assert chains.getParamNames().labels() == [r"\mathrm{mass.einstein\_radius}", "f_0", r"\mathrm{slope}"]
    np.testing.assert_allclose(chains.weights, samples.weight[has_weight], rtol=1e-12)
    np.testing.assert_allclose(chains.loglikes, -(samples.log_likelihood + samples.log_prior)[has_weight], rtol=1e-12)
    np.testing.assert_allclose(chains.getMeans(), samples.mean(), rtol=1e-9)
    # GetDist divides by the sum of weights, ours is without bias.
    unbiased = chains.getCov() / (1.0 - 1.0 / samples.effective_sample_size)
    np.testing.assert_allclose(unbiased, samples.covariance(), rtol=1e-9, atol=1e-12)
    assert chains.sampler == "uncorrelated"  # its densities then take all samples for independent, and not for a chain
    assert chains.getEffectiveSamplesGaussianKDE("flux") == pytest.approx(samples.effective_sample_size, rel=1e-9)
    for path in PATHS:
        for q in (0.16, 0.5, 0.975):
            assert_same_quantile(samples, path, q, float(chains.confidence(path, q)))


def test_getdist_knows_the_hard_limits_of_the_model() -> None:
    model = Model({"mass": {"einstein_radius": LogUniform(0.1, 4)}, "flux": Normal(0, 1), "slope": Uniform(1.5, 2.5)})
    chains = made().with_model(model).to_getdist()
    limits = [(chains.ranges.getLower(path), chains.ranges.getUpper(path)) for path in PATHS]
    assert limits == [(0.1, 4.0), (None, None), (1.5, 2.5)]
    assert made().to_getdist().ranges.getLower("slope") is None


def test_getdist_without_likelihoods() -> None:
    assert made(log_likelihood=np.full(500, math.nan)).to_getdist().loglikes is None


def test_corner() -> None:
    samples = made()
    figure = samples.to_corner(labels={"flux": "$f$"}, bins=12)
    axes = np.array(figure.axes).reshape(3, 3)
    assert [axis.get_xlabel() for axis in axes[-1]] == ["mass.einstein_radius", "$f$", "slope"]
    # corner's rule, which is ours, sees a sample of weight zero as one more place to stop at: they are left out on both sides
    for i, row in enumerate(kept_of(samples).quantiles([0.16, 0.5, 0.84])):
        drawn = [float(line.get_xdata()[0]) for line in axes[i, i].lines]
        np.testing.assert_allclose(drawn, row, rtol=1e-9)
    assert axes[1, 1].get_xlim()[1] < 10.0  # where samples have no weight there is no axis
    heights = axes[0, 0].patches[0].get_xy()[:, 1]
    own, _ = np.histogram(samples.column(PATHS[0]), bins=12, weights=samples.weight, range=axes[0, 0].get_xlim())
    assert heights.max() == pytest.approx(own.max(), rel=1e-9)
    plt.close(figure)


def test_corner_of_a_constant() -> None:
    parameters = made().parameters.copy()
    parameters[:, 2] = 2.0
    with pytest.raises(SpecError, match=r"to_corner: slope has a single value in all samples, .* give range="):
        made(parameters=parameters).to_corner()


def test_arviz() -> None:
    samples = made()
    tree = samples.to_arviz(n=2000, seed=5, labels={"flux": "$f$"})
    posterior, stats = tree["posterior"], tree["sample_stats"]
    assert tuple(posterior.data_vars) == PATHS
    assert posterior["flux"].dims == ("chain", "draw")
    assert posterior["flux"].attrs["long_name"] == "$f$"
    values = np.array([posterior[path].values[0] for path in PATHS]).T
    # every sample as often as its weight says, rounded down or up
    taken = np.array([(values == row).all(axis=1).sum() for row in samples.parameters])
    assert taken.sum() == 2000
    assert np.all(np.abs(taken - 2000 * samples.weight) < 1.0)
    assert np.all(np.abs(values.mean(axis=0) - samples.mean()) < 4.0 * np.sqrt(np.diag(samples.covariance()) / 2000))
    np.testing.assert_allclose(stats["lp"].values[0], -0.5 * values[:, 1] ** 2 - values[:, 0], rtol=1e-12)
    np.testing.assert_allclose(stats["lp"], stats["log_likelihood"] + stats["log_prior"], rtol=1e-12)
    assert posterior.attrs["log_evidence"] == -12.5
    assert posterior.attrs["log_evidence_error"] == 0.25
    assert posterior.attrs["resampling"] == "systematic, 2000 draws of equal weight, seed 5"


def test_arviz_draws_as_many_as_the_samples_are_worth() -> None:
    samples = made()
    tree = samples.to_arviz()
    flux = tree["posterior"]["flux"].values[0]
    assert flux.size == math.floor(samples.effective_sample_size)
    np.testing.assert_array_equal(flux, samples.to_arviz(seed=0)["posterior"]["flux"].values[0])
    assert not np.array_equal(flux, samples.to_arviz(seed=1)["posterior"]["flux"].values[0])
    with pytest.raises(SpecError, match="n is 0; it must be at least 1"):
        samples.to_arviz(n=0)


@pytest.mark.parametrize("method", METHODS)
def test_masked_values_are_refused(method: str) -> None:
    samples = masked_samples()
    count = samples.n_masked["flux"]
    with pytest.raises(
        SpecError, match=rf"{method}: values are masked \(NaN\) in some of the 500 samples \(flux in {count}\).*masked='drop'"
    ):
        getattr(samples, method)()
    with pytest.raises(SpecError, match=rf"{method}: masked is 'keep'; it must be 'refuse' or 'drop'"):
        getattr(samples, method)(masked="keep")


def test_masked_values_can_be_dropped() -> None:
    samples = masked_samples()
    known = ~np.isnan(samples.column("flux"))
    weight = samples.weight[known] / samples.weight[known].sum()
    mean = weight @ samples.parameters[known]
    np.testing.assert_allclose(samples.to_anesthetic(masked="drop").mean().to_numpy()[:3], mean, rtol=1e-9)
    np.testing.assert_allclose(samples.to_getdist(masked="drop").getMeans(), mean, rtol=1e-9)
    tree = samples.to_arviz(masked="drop", n=4000)
    assert tree["posterior"]["flux"].values.min() >= 0.0
    figure = samples.to_corner(masked="drop")
    assert figure.axes[4].get_xlim()[0] >= 0.0
    plt.close(figure)


def test_a_parameter_known_nowhere_is_left_out() -> None:
    parameters = made().parameters.copy()
    parameters[:, 1] = np.where(made().weight > 0.0, math.nan, 1.0)
    samples = made(parameters=parameters)
    chains = samples.to_getdist(masked="drop")
    assert chains.getParamNames().list() == [PATHS[0], PATHS[2]]
    np.testing.assert_allclose(chains.getMeans(), samples.mean()[[0, 2]], rtol=1e-9)
    parameters[::2, 0], parameters[1::2, 2] = math.nan, math.nan
    with pytest.raises(SpecError, match="no sample of weight above zero knows all of"):
        made(parameters=parameters).to_getdist(masked="drop")


@pytest.mark.parametrize(("method", "package"), METHODS.items())
def test_a_missing_package_is_told_by_name(method: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (package.replace("-", "_"), "arviz"):  # the older line of ArviZ would do for arviz-base
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(
        ConfigError, match=rf"Samples\.{method} needs the package {package}, .*`pip install {package}`, or .*fitcore\[handover\]"
    ):
        getattr(made(), method)()


def test_a_package_that_is_broken_says_so_itself(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "getdist.py").write_text("import not_there_at_all\n", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "getdist", raising=False)
    with pytest.raises(ModuleNotFoundError, match="not_there_at_all"):
        made().to_getdist()


def test_labels_are_for_parameters() -> None:
    with pytest.raises(SpecError, match=r"labels names fluxx, and the parameters are mass\.einstein_radius, flux, slope"):
        made().to_anesthetic(labels={"fluxx": "$f$"})


def test_the_examples_of_the_page_run(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 6
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, PAGE.name, "exec"), names)
    assert "systematic, 1000 draws" in capsys.readouterr().out
    plt.close(names["figure"])
