"""What a solution is held against: the images that it predicts, and a fit without a lens."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from pipelines.lens.basin import Basin
from pipelines.lens.checks import Checks, checked, inside_critical_curve, source_flux, unlensed
from pipelines.lens.frame import Frame
from pipelines.lens.light_fit import LightFit, fit_light
from pipelines.lens.marquardt import Penalty
from pipelines.lens.panel import TWO_SOURCES
from pipelines.lens.varpro import Bases


@pytest.fixture(scope="module")
def frame(ring: SimpleNamespace) -> Frame:
    return Frame.from_imaging(ring.make(), mask_radius=2.2)


@pytest.fixture(scope="module")
def light(frame: Frame) -> LightFit:
    return fit_light(frame, (0.01, -0.02), Bases())


@pytest.fixture(scope="module")
def penalty(light: LightFit) -> Penalty:
    return Basin().penalty(light)


@pytest.fixture(scope="module")
def right(frame: Frame, light: LightFit, penalty: Penalty, ring: SimpleNamespace) -> Checks:
    return checked(ring.truth, frame, TWO_SOURCES, light, penalty)


def test_the_right_solution_passes(right: Checks) -> None:
    assert min(right.inner_significance, right.outer_significance) > 20.0
    assert right.inner_amplitude == pytest.approx(1.0, abs=0.1)
    assert right.outer_amplitude == pytest.approx(1.0, abs=0.1)
    assert right.explained > 0.9
    assert right.lens_gain > 0.1
    assert right.magnification > 2.0


def test_a_lens_of_another_radius_predicts_images_that_are_not_there(
    right: Checks, frame: Frame, light: LightFit, penalty: Penalty, ring: SimpleNamespace
) -> None:
    p = ring.truth.copy()
    p[10] *= 1.4
    wrong = checked(p, frame, TWO_SOURCES, light, penalty)
    assert wrong.explained < right.explained - 0.2
    assert min(wrong.inner_amplitude, wrong.outer_amplitude) < 0.9


def test_the_critical_curve_of_a_round_lens_is_its_einstein_ring() -> None:
    p = np.zeros(23)
    p[10] = 1.3
    x = np.array([0.4, 1.29, 1.31, 2.5])
    assert inside_critical_curve(p, x, np.zeros(4)).tolist() == [True, True, False, False]


def test_source_flux_is_the_sum_of_the_gaussians() -> None:
    """An amplitude of 2 in a Gaussian of width 0.35: 2 pi 0.35^2 times 2 square arcsec, in pixels of 0.01 square arcsec."""
    amplitudes = np.zeros(18 + 10 + 10)
    amplitudes[28] = 2.0
    amplitudes[0] = 99.0
    assert source_flux(amplitudes, Bases(), 0.01) == pytest.approx(4.0 * np.pi * 0.35**2 / 0.01)


def test_the_fit_without_a_lens_has_no_mass(frame: Frame, light: LightFit, penalty: Penalty) -> None:
    found = unlensed(frame, TWO_SOURCES, light, penalty)
    assert found.p[10] == 0.0
    assert not found.p[11:13].any()
    x, y = frame.pixel_centers
    near = (np.abs(x - found.p[13]) < 0.05) & (np.abs(y - found.p[14]) < 0.05)
    assert light.arcs[near].any()
