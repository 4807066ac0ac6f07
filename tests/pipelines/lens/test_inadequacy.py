"""The misfit of a fit is measured where it was put in, is none where there is none, and reaches the likelihood as noise."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore import digest
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.inadequacy import FREEDOM, LARGEST, Inadequacy, Misfit, cell_of, measured_inadequacy
from pipelines.lens.linear import Pictures

N, CELL = 120, 4


def frame_of(variance: Any) -> Any:
    frame = SimpleNamespace(variance=variance)
    frame.reweighted = frame_of
    return frame


def seen_of(light: Any, source: Any, residual: Any) -> Pictures:
    return Pictures(lens_light=light, lensed_source=source, sky=0.0, residual=residual, amplitudes=np.zeros(1), log_likelihood=0.0)


@pytest.fixture
def scene() -> SimpleNamespace:
    """A bright round light and a ring, in noise of one."""
    y, x = np.mgrid[:N, :N] - 0.5 * (N - 1)
    r = np.hypot(x, y)
    light, source = 300.0 * np.exp(-r / 6.0), 40.0 * np.exp(-0.5 * ((r - 35.0) / 4.0) ** 2)
    noise = np.random.default_rng(1).standard_normal((N, N))
    return SimpleNamespace(light=light, source=source, noise=noise, frame=frame_of(np.ones((N, N))), r=r)


def coherent(rng: Any, freedom: float = np.inf) -> Any:
    """Numbers that are the same within each cell: Student's t, normal by default."""
    factors = 1.0 if np.isinf(freedom) else freedom / rng.chisquare(freedom, (N // CELL, N // CELL))
    return np.kron(np.sqrt(factors) * rng.standard_normal((N // CELL, N // CELL)), np.ones((CELL, CELL)))


def inadequacy_of(lens_light: float, source: float) -> Inadequacy:
    return Inadequacy(lens_light=lens_light, source=source, cell=CELL)


def test_an_adequate_model_has_none(scene: SimpleNamespace) -> None:
    found = measured_inadequacy(scene.frame, seen_of(scene.light, scene.source, scene.noise), CELL)
    assert found.lens_light < 0.01
    assert found.source < 0.04
    unseen = measured_inadequacy(scene.frame, seen_of(0.0 * scene.light, 0.0 * scene.source, scene.noise), CELL)
    assert 0.0 <= unseen.lens_light <= LARGEST[0]
    assert 0.0 <= unseen.source <= LARGEST[1]


@pytest.mark.parametrize("fractions", [(0.03, 0.0), (0.0, 0.1), (0.02, 0.15)])
@pytest.mark.parametrize(("freedom", "told"), [(FREEDOM, 1.0), (np.inf, 0.78)])
def test_the_fractions_that_were_put_in_are_found(
    scene: SimpleNamespace, fractions: tuple[float, float], freedom: float, told: float
) -> None:
    """A misfit that is coherent in a cell of n pixels counts sqrt(n) times its fraction per pixel.

    The scale of the Student's t with four degrees of freedom that is closest to a normal distribution is 0.78 of its deviation.
    """
    found = []
    for seed in range(12):
        rng = np.random.default_rng([seed, 3])
        extra = fractions[0] * scene.light * coherent(rng, freedom) + fractions[1] * scene.source * coherent(rng, freedom)
        noise = rng.standard_normal((N, N))
        inadequacy = measured_inadequacy(scene.frame, seen_of(scene.light, scene.source, noise + extra), CELL)
        found.append((inadequacy.lens_light, inadequacy.source))
    assert np.mean(found, axis=0) == pytest.approx(told * CELL * np.array(fractions), rel=0.15, abs=0.015)


def test_a_knot_counts_for_little_itself_and_tells_little_of_the_rest(scene: SimpleNamespace) -> None:
    """Ten of 68 cells of the ring with a residual of its own brightness, the others fitted to a twentieth of it."""
    rng = np.random.default_rng(5)
    knots = np.zeros((N // CELL, N // CELL))
    on_ring = np.flatnonzero(scene.source.reshape(N // CELL, CELL, N // CELL, CELL).mean(axis=(1, 3)) > 30.0)
    knots.flat[rng.choice(on_ring, 10, replace=False)] = 1.0
    is_knot = np.kron(knots, np.ones((CELL, CELL))) > 0
    small = 0.05 * scene.source * coherent(rng)
    smooth = measured_inadequacy(scene.frame, seen_of(scene.light, scene.source, scene.noise + small), CELL)
    seen = seen_of(scene.light, scene.source, scene.noise + np.where(is_knot, scene.source, small))
    found = measured_inadequacy(scene.frame, seen, CELL)
    assert smooth.source < found.source < 2.0 * smooth.source  # four times where all misfits are normal
    extra = found.in_noise(scene.frame, seen).variance - 1.0
    ratio = np.median((extra / scene.source**2)[is_knot]) / np.median((extra / scene.source**2)[~is_knot & (scene.source > 30.0)])
    assert ratio > 20.0


def test_an_adequate_fit_has_the_noise_alone(scene: SimpleNamespace) -> None:
    seen = seen_of(scene.light, scene.source, scene.noise)
    assert np.array_equal(inadequacy_of(0.0, 0.0).in_noise(scene.frame, seen).variance, scene.frame.variance)


def test_pixels_that_are_not_used_count_for_nothing(scene: SimpleNamespace) -> None:
    hole = scene.r < 10.0
    frame = frame_of(np.where(hole, 0.0, 1.0))
    plain = measured_inadequacy(frame, seen_of(scene.light, scene.source, scene.noise), CELL)
    spoilt = measured_inadequacy(frame, seen_of(scene.light, scene.source, np.where(hole, 1e6, scene.noise)), CELL)
    assert spoilt == plain
    assert np.all(inadequacy_of(0.1, 0.2).in_noise(frame, seen_of(scene.light, scene.source, 0.0)).variance[hole] == 0.0)


def test_the_variance_grows_by_the_squares(scene: SimpleNamespace) -> None:
    """By the same factor in all pixels of a cell, and in no less than the noise."""
    seen = seen_of(scene.light - 1.0, scene.source, scene.noise)
    variance = inadequacy_of(0.1, 0.2).in_noise(scene.frame, seen).variance
    extra = (0.1 * np.maximum(scene.light - 1.0, 0.0)) ** 2 + (0.2 * scene.source) ** 2
    sums = [plane.reshape(N // CELL, CELL, N // CELL, CELL).sum(axis=(1, 3)) for plane in (variance - 1.0, extra)]
    factor = sums[0] / sums[1]
    np.testing.assert_allclose(variance - 1.0, np.kron(factor, np.ones((CELL, CELL))) * extra, rtol=1e-6, atol=1e-9)
    told = factor[sums[1] > 10.0 * CELL**2]  # where the misfit is more than the noise, and the residual is that of the noise alone
    assert np.all(told < 1.0)
    assert np.all(told > 0.5)  # 2 / 3 without any residual


def test_a_cell_is_two_widths_of_the_point_spread_function() -> None:
    axis = np.arange(21) - 10.0
    for fwhm, cell in ((2.1, 4), (3.0, 6), (0.5, 2)):
        psf = np.exp(-0.5 * (axis[:, None] ** 2 + axis**2) * (2.3548 / fwhm) ** 2)
        assert cell_of(psf) == pytest.approx(cell, abs=1)


def test_noted_in_a_search_and_read_back() -> None:
    own, band = inadequacy_of(0.02, 0.3), replace(inadequacy_of(0.01, 0.2), cell=3)
    noted = {**own.noted(), **band.noted("F444W")}
    assert noted == {
        "lens_light_inadequacy": 0.02,
        "source_inadequacy": 0.3,
        "misfit_cell": CELL,
        "lens_light_inadequacy_F444W": 0.01,
        "source_inadequacy_F444W": 0.2,
        "misfit_cell_F444W": 3,
    }


def test_the_chain_has_it_in_its_noise(ring_chain: SimpleNamespace) -> None:
    """The likelihood of the later stages, the identity, and what is shown at the noise alone."""
    basin, last = ring_chain.results["basin"], ring_chain.results["power_law"]
    misfit = Misfit.of(basin)
    plain, noisy = LensAnalysis(ring_chain.dataset), LensAnalysis(ring_chain.dataset, misfit=misfit)
    assert digest(plain.identity()) != digest(noisy.identity())
    other = replace(misfit, inadequacy=replace(misfit.inadequacy, source=misfit.inadequacy.source + 1e-4))
    assert digest(noisy.identity()) != digest(LensAnalysis(ring_chain.dataset, misfit=other).identity())
    assert np.all(np.asarray(noisy.frame.weight) <= np.asarray(plain.frame.weight))
    assert np.array_equal(np.asarray(noisy.plain_frame.weight), np.asarray(plain.frame.weight))
    instance = last.max_log_likelihood_instance
    assert float(noisy.log_likelihood_function(instance)) == pytest.approx(last.samples_summary.log_likelihood, abs=1e-6)


def test_the_arcs_chi_squared_is_that_of_the_noise_alone(ring_chain: SimpleNamespace) -> None:
    instance = ring_chain.results["power_law"].max_log_likelihood_instance
    big = Misfit(inadequacy=inadequacy_of(0.0, 0.0), instance=instance)
    keys = LensAnalysis(ring_chain.dataset).LATENT_KEYS
    at = keys.index("chi2_per_pixel_arc")
    none = LensAnalysis(ring_chain.dataset).latents_of_instance(instance)[at]
    assert LensAnalysis(ring_chain.dataset, misfit=big).latents_of_instance(instance)[at] == pytest.approx(float(none), rel=1e-9)
    noisy = LensAnalysis(ring_chain.dataset, misfit=replace(big, inadequacy=inadequacy_of(0.0, 0.5)))
    assert float(noisy.latents_of_instance(instance)[at]) == pytest.approx(float(none), rel=0.3)
