"""The scatter of pixels beside the noise map: white, scaled and correlated noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from pipelines.lens.dataset import Imaging
from pipelines.lens.noise import check_noise
from pipelines.lens.prepare import prepare

PSF = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])


def image(data: Any, noise: Any) -> Imaging:
    return Imaging(data=data, noise=np.broadcast_to(noise, data.shape), psf=PSF, pixel_scale=0.05)


def white(shape: tuple[int, int] = (150, 140)) -> Any:
    return np.random.default_rng(4).standard_normal(shape)


@pytest.mark.parametrize("scale", [1.0, 0.5, 3.0])
def test_white_noise_is_as_the_map_says(scale: float) -> None:
    slope = np.linspace(0.0, 50.0, 140)
    found = check_noise(image(scale * white() + slope, 1.0), np.ones((150, 140), dtype=bool))
    assert found.apart == pytest.approx(scale, rel=0.03)
    assert found.adjacent == pytest.approx(scale, rel=0.03)
    assert found.factor == pytest.approx(scale, rel=0.03)
    assert "vary together" not in found.words


def test_noise_that_differs_over_the_frame() -> None:
    """A non-uniform exposure: each pixel is compared with its own noise."""
    depth = np.linspace(0.2, 5.0, 140)[None, :] * np.ones((150, 1))
    assert check_noise(image(depth * white(), depth), np.ones((150, 140), dtype=bool)).apart == pytest.approx(1.0, rel=0.03)


def test_correlated_noise_shows_in_adjacent_pixels_only() -> None:
    smooth = ndimage.gaussian_filter(white((300, 300)), 0.6)
    found = check_noise(image(smooth / smooth.std(), 1.0), np.ones((300, 300), dtype=bool))
    assert found.apart == pytest.approx(1.0, rel=0.04)
    assert found.adjacent < 0.8
    assert "vary together" in found.words


def test_objects_are_left_out_and_too_few_pixels_say_so() -> None:
    data = white()
    data[40:60, 40:60] += 1000.0 * white((20, 20))
    free = np.ones(data.shape, dtype=bool)
    free[40:60, 40:60] = False
    assert check_noise(image(data, 1.0), free).apart == pytest.approx(1.0, rel=0.03)
    none = check_noise(image(data, 1.0), np.zeros(data.shape, dtype=bool))
    assert np.isnan(none.apart)
    assert none.factor == 1.0
    assert none.words == "could not be measured: only 0 pixels are free of objects"


@pytest.mark.real_data
def test_drizzled_images_scatter_by_two_thirds_of_their_map(shared_dir: Path) -> None:
    for folder in sorted(path for path in (shared_dir / "data" / "slacs").iterdir() if path.is_dir())[:4]:
        noise = prepare(Imaging.from_folder(folder)).noise
        assert 0.62 < noise.apart < 0.72
        assert 0.49 < noise.adjacent < 0.58
