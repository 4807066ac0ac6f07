"""What is measured of a finished chain, against what is known of the lens and against the pictures themselves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore.model import Model, Normal, TruncatedNormal, Uniform
from fitcore.samples import Samples
from pipelines.lens import assess as module
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.arcs import CORE
from pipelines.lens.assess import Assessment, assess, at_bound, intervals
from pipelines.lens.inadequacy import Misfit
from pipelines.lens.joint_analysis import OFFSET_SIGMA
from pipelines.lens.linear import log_likelihood


@pytest.fixture(scope="module")
def found(ring_chain: SimpleNamespace) -> Assessment:
    return assess(ring_chain.dataset, ring_chain.results)


def test_the_known_lens_is_measured_right(found: Assessment, ring: SimpleNamespace) -> None:
    measures = found.measures
    size, shear = np.hypot(*ring.truth[8:10]), np.hypot(*ring.truth[11:13])
    assert measures.n_images == 2  # outside the tangential caustic, which ends 0.2 arcsec from the center, and inside the cut
    assert measures.axis_ratio == pytest.approx((1 - size) / (1 + size), abs=0.04)
    assert measures.shear == pytest.approx(shear, abs=0.02)
    assert measures.explained > 0.95
    assert 0.2 < measures.inside_flux < 0.7
    assert measures.at_bound == ()
    assert measures.drift == pytest.approx(0.03 / 1.03, abs=0.003)  # as the noted radius is 3 % too large
    assert measures.ellipticity_offset == pytest.approx(np.hypot(*(ring.truth[8:10] - ring.truth[2:4])), abs=0.02)  # the first noted 0.2


def test_chi_squared_is_that_of_the_likelihood(found: Assessment, ring_chain: SimpleNamespace) -> None:
    """The likelihood is that with the misfit in the noise; chi^2 is told in the noise alone."""
    frame = LensAnalysis(ring_chain.dataset, misfit=Misfit.of(ring_chain.results["basin"])).frame
    best = ring_chain.results["power_law"].samples_summary.log_likelihood
    residual, weight = (np.asarray(plane) for plane in (found.pictures.residual, frame.weight))
    assert ((residual * weight) ** 2).sum() == pytest.approx(-2 * best - float(frame.log_normalization), rel=1e-9)
    assert float(log_likelihood(found.instance, frame)) == pytest.approx(best, rel=1e-9)
    assert found.chi_squared * frame.n_used == pytest.approx(((residual * np.asarray(found.frame.weight)) ** 2).sum(), rel=1e-9)
    assert not np.array_equal(weight, np.asarray(found.frame.weight))
    assert 0.9 < found.chi_squared < 1.1
    assert 0.8 < found.chi_squared_arcs < 1.2


def test_arcs_are_used_pixels_outside_the_core_where_the_source_is_seen(found: Assessment, ring_chain: SimpleNamespace) -> None:
    frame = found.frame
    source = np.asarray(found.pictures.lensed_source)
    x, y = frame.pixel_centers
    center = ring_chain.results["basin"].analysis.preparation.center
    assert found.arcs.shape == source.shape
    assert not found.arcs[np.asarray(frame.weight) == 0].any()
    assert np.hypot(x - center[0], y - center[1])[found.arcs].min() > CORE
    assert found.arcs[source > 0.5].mean() > 0.9
    assert source[found.arcs].mean() > 10 * source[~found.arcs].mean()


def test_a_result_is_measured_once(found: Assessment, ring_chain: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_assessed", lambda *_: pytest.fail("measured again"))
    assert assess(ring_chain.dataset, ring_chain.results) is found


MODEL = Model({"a": Uniform(0, 2), "b": Normal(0, 1), "c": TruncatedNormal(0, 1, -1, 1)})


@pytest.mark.parametrize(
    ("median", "expected"),
    [
        ((1.0, 0.0, 0.0), ()),
        ((0.0019, 0.0, 0.0), ("a",)),
        ((0.0021, 0.0, 0.0), ()),
        ((1.9981, 0.0, 0.0), ("a",)),
        ((1.0, 5.0, 0.0), ()),  # no limit there
        ((1.0, 0.0, 0.9999), ("c",)),
        ((0.0, 0.0, -1.0), ("a", "c")),
    ],
)
def test_parameters_on_a_limit(median: tuple[float, ...], expected: tuple[str, ...]) -> None:
    result: Any = SimpleNamespace(samples_summary=SimpleNamespace(median=median), model=MODEL)
    assert at_bound(result) == expected


def test_intervals_leave_out_what_is_not_a_number() -> None:
    n = 2001
    a, b = np.random.default_rng(1).standard_normal((2, n))
    weight = np.exp(0.5 * a)  # moves the mean of a by 1/2
    b[:500] = np.nan
    samples = Samples(
        paths=("a", "b"),
        parameters=np.stack([a, b], axis=1),
        log_likelihood=np.zeros(n),
        log_prior=np.zeros(n),
        log_weight=np.log(weight / weight.sum()),
    )
    found = intervals(samples)
    assert found["a"] == pytest.approx({"median": 0.5, "lower": -0.5, "upper": 1.5}, abs=0.12)
    assert found["b"] == pytest.approx({"median": 0.0, "lower": -1.0, "upper": 1.0}, abs=0.12)


def test_every_band_is_measured(joint_chain: SimpleNamespace) -> None:
    found = assess(joint_chain.dataset, joint_chain.results)
    (other,) = found.further
    assert (other.name, other.dataset) == ("B", joint_chain.dataset.images[1])
    best = joint_chain.results["power_law"].samples_summary.log_likelihood
    assert sum(float(seen.pictures.log_likelihood) for seen in (found, other)) == pytest.approx(best, rel=1e-9)
    (measured,) = found.measures.bands
    assert measured.name == "B"
    assert measured.explained > 0.95
    assert measured.offset == pytest.approx(0.021 / OFFSET_SIGMA, abs=0.04)


def test_a_chain_of_the_first_stage_has_seen_one_band(joint_chain: SimpleNamespace) -> None:
    found = assess(joint_chain.dataset, {"basin": joint_chain.results["basin"]})
    assert found.further == ()
    assert found.measures.bands == ()


def test_a_search_that_notes_no_misfit_is_measured_at_the_noise_alone(ring_chain: SimpleNamespace) -> None:
    """As one of a user's own in the place of the first stage."""
    basin = ring_chain.results["basin"].samples_summary
    told = {key: value for key, value in basin.diagnostics.items() if "misfit" not in key and "inadequacy" not in key}
    plain = SimpleNamespace(samples_summary=SimpleNamespace(diagnostics=told))
    assert module.misfit_of({"basin": plain}, None) is None  # pyright: ignore[reportArgumentType]
    assert module.misfit_of(ring_chain.results, None) is not None
