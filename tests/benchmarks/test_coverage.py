"""The figures of the lens campaigns: ranks and coverage of a known posterior, truths by group, and variations that show the same sky."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore import Samples
from pipelines.lens.dataset import Imaging
from pipelines.lens.prepare import prepare

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def own() -> Iterator[SimpleNamespace]:
    """The three modules, which are no part of the installed package."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        names = ("coverage", "population", "variations")
        yield SimpleNamespace(**{name: importlib.import_module(f"benchmarks.{name}") for name in names})


def samples_of(values: np.ndarray, weight: np.ndarray) -> Samples:
    zeros = np.zeros(len(values))
    return Samples(
        paths=("a",), parameters=values[:, None], log_likelihood=zeros, log_prior=zeros, log_weight=np.log(weight / weight.sum())
    )


def test_rank_and_pull_are_those_of_the_weighted_posterior(own: SimpleNamespace) -> None:
    """Uniform draws weighted to a normal posterior of mean 1 and deviation 2; the truth lies one deviation above its mean."""
    values = np.linspace(-15.0, 17.0, 20_001)
    found = own.coverage.held_against(samples_of(values, np.exp(-0.5 * ((values - 1.0) / 2.0) ** 2)), "a", 3.0)
    assert found["rank"] == pytest.approx(0.8413, abs=1e-3)
    assert found["pull"] == pytest.approx(-1.0, abs=0.01)
    assert (found["mean"], found["deviation"]) == pytest.approx((1.0, 2.0), abs=1e-3)


def row(rank: float, pull: float = 1.0) -> dict[str, Any]:
    return {"posterior": {"mass.slope": {"rank": rank, "pull": pull}}}


def test_coverage_counts_the_central_intervals(own: SimpleNamespace) -> None:
    ranks = [0.5, 0.17, 0.83, 0.15, 0.85, 0.03, 0.97, 0.01, 0.99, 0.6]
    found = own.coverage.coverage([row(rank, pull=2.0) for rank in ranks])
    assert set(found) == {"mass.slope"}
    assert found["mass.slope"] == {"n": 10, "rms_pull": 2.0, "68": [0.4, 0.147], "95": [0.8, 0.066]}
    assert own.coverage.coverage([]) == {}


def test_only_what_the_model_has_is_held_against_the_truth(own: SimpleNamespace) -> None:
    plain, group, ring = (own.population.case(name, 1) for name in ("plain", "group", "ring"))
    truths = own.coverage.truths
    assert set(truths(plain)) == {"mass.einstein_radius", "mass.slope", "shear.gamma_1", "shear.gamma_2"}
    assert truths(plain)["mass.einstein_radius"] == pytest.approx(plain.einstein_radius, rel=0.02)
    assert truths(group) == {"mass.einstein_radius": group.einstein_radius}
    assert truths(ring) == {}


@pytest.fixture(scope="module")
def made(own: SimpleNamespace) -> Imaging:
    return own.population.case("plain", 3).image


def test_variations_show_the_same_sky(made: Imaging, own: SimpleNamespace) -> None:
    image = made
    found = dict(own.variations.variations(image))
    assert list(found) == ["plain", "turned", "transposed", "noisier", "off center", "mask 2.4", "mask 3.0", "mask 3.6"]
    assert np.array_equal(np.rot90(found["turned"].data, -1), image.data)
    assert np.array_equal(found["transposed"].data, image.data.T)
    np.testing.assert_allclose(found["transposed"].psf, image.psf.T, rtol=1e-12)
    added = (found["noisier"].data - image.data)[image.used]
    assert np.std(added / image.noise[image.used]) == pytest.approx(own.variations.ADDED, rel=0.02)
    cut = own.variations.CUT
    center = prepare(found["off center"]).center
    assert center == pytest.approx((cut[0] * image.pixel_scale, -cut[1] * image.pixel_scale), abs=0.5 * image.pixel_scale)
    assert found["mask 2.4"].mask_radius == 2.4


def test_totals_by_variation(own: SimpleNamespace) -> None:
    rows = [
        {"spread": 0.01, "variations": {"plain": {"off": 0.02, "verdict": "accepted"}}},
        {"spread": 0.03, "variations": {"plain": {"off": -0.12, "verdict": "accepted"}}},
        {"spread": 0.02, "variations": {"plain": {"off": 0.07, "verdict": "review"}}},
    ]
    found = own.variations.totals(rows)
    assert found["median_spread"] == 0.02
    assert found["plain"] == {
        "within_10_percent": 2,
        "within_5_percent": 1,
        "mean_off": 0.07,
        "accepted": 2,
        "accepted_beyond_10_percent": 1,
    }
    assert len(set(own.variations.TUNED)) == 8
