"""The quick model of the galaxy: it leaves noise of a smooth galaxy, and shows what is not one."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipelines.lens.dataset import Imaging
from pipelines.lens.galaxy import COARSE_PIXEL, Galaxy, Sky, coarse, fit_galaxy

PSF = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])


def lens(made: SimpleNamespace, data: Any, scale: float = 0.05) -> Imaging:
    return Imaging(data=data, noise=made.noise, psf=PSF, pixel_scale=scale)


@pytest.fixture(scope="module")
def bare(numpy_lens: Any) -> tuple[SimpleNamespace, Sky, Galaxy]:
    """The lens galaxy without its arcs, over a sky of 0.3."""
    made = numpy_lens()
    rng = np.random.default_rng(1)
    sky = coarse(lens(made, made.lens_light + 0.3 + made.noise * rng.standard_normal(made.noise.shape)))
    return made, sky, fit_galaxy(sky, (0.0, 0.0))


def test_coarse_pixels_keep_their_places() -> None:
    axis = (np.arange(81) - 40) * 0.03
    x, y = np.meshgrid(axis, axis)
    image = Imaging(data=2.0 * x + y, noise=np.ones_like(x), psf=PSF, pixel_scale=0.03)
    sky = coarse(image)
    assert sky.scale == pytest.approx(0.12)
    assert sky.scale >= COARSE_PIXEL
    assert sky.data[sky.used] == pytest.approx((2.0 * sky.x + sky.y)[sky.used], abs=1e-12)
    near = sky.near((0.5, -0.5), 0.4)
    assert np.abs(near.x - 0.5).max() <= 0.4
    assert near.data[near.used] == pytest.approx((2.0 * near.x + near.y)[near.used], abs=1e-12)


def test_a_smooth_galaxy_leaves_noise(bare: tuple[SimpleNamespace, Sky, Galaxy]) -> None:
    _, sky, galaxy = bare
    away = np.hypot(sky.x, sky.y) > 0.5
    assert np.abs(galaxy.significance[away]).max() < 6.0
    assert galaxy.significance[away].std() == pytest.approx(1.0, abs=0.25)


def test_its_light_is_that_of_the_galaxy(bare: tuple[SimpleNamespace, Sky, Galaxy]) -> None:
    made, sky, galaxy = bare
    true = coarse(lens(made, made.lens_light)).data
    ring = (np.hypot(sky.x, sky.y) > 0.4) & (np.hypot(sky.x, sky.y) < 2.0)
    assert galaxy.light[ring] == pytest.approx(true[ring], rel=0.15, abs=0.02)


def test_arcs_stand_out_where_they_are(numpy_lens: Any) -> None:
    made = numpy_lens()
    sky = coarse(lens(made, made.data))
    galaxy = fit_galaxy(sky, (0.0, 0.0))
    source = coarse(lens(made, made.lensed_source)).data
    bright = (source > 0.1) & (np.hypot(sky.x, sky.y) > 0.5)
    assert bright.sum() > 50
    assert (galaxy.significance[bright] > 3.0).mean() > 0.98
    assert galaxy.residual[bright] == pytest.approx(source[bright], abs=0.25)


def test_a_bright_companion_does_not_bend_the_galaxy(numpy_lens: Any) -> None:
    made = numpy_lens()
    sky = coarse(lens(made, made.data))
    companion = 3.0 * np.exp(-np.hypot(sky.x - 2.2, sky.y - 1.0) / 0.3)
    spoiled = Sky(data=sky.data + companion, noise=sky.noise, x=sky.x, y=sky.y, scale=sky.scale)
    clean, other = fit_galaxy(sky, (0.0, 0.0)), fit_galaxy(spoiled, (0.0, 0.0))
    opposite = np.hypot(sky.x + 2.2, sky.y + 1.0) < 0.6
    assert other.light[opposite] == pytest.approx(clean.light[opposite], abs=0.03)
    beside = np.hypot(sky.x - 2.2, sky.y - 1.0) < 0.3
    assert (other.residual - clean.residual)[beside] == pytest.approx(companion[beside], rel=0.2)


@pytest.mark.parametrize("value", [0.0, 7.0])
def test_an_empty_frame_does_no_harm(value: float) -> None:
    axis = np.arange(40) * 0.1
    x, y = np.meshgrid(axis, axis)
    galaxy = fit_galaxy(Sky(data=np.full(x.shape, value), noise=np.ones(x.shape), x=x, y=y, scale=0.1), (2.0, 2.0))
    assert np.isfinite(galaxy.significance).all()
    assert np.abs(galaxy.residual).max() < 1e-6
