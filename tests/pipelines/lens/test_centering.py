"""The lens is found in off-center and larger frames, among stars, other galaxies and its own arcs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.lens.centering import SEARCH_RADIUS, brightest, candidates, find_center
from pipelines.lens.dataset import Imaging
from pipelines.lens.galaxy import coarse
from pipelines.lens.simulate import gaussian_psf

SCALE = 0.05


def galaxy(x: Any, y: Any, at: tuple[float, float], peak: float, size: float = 0.5) -> Any:
    return peak * np.exp(-np.sqrt((x - at[0]) ** 2 + (y - at[1]) ** 2 + 0.03**2) / (0.4 * size))


def star(x: Any, y: Any, at: tuple[float, float], peak: float) -> Any:
    return peak * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / (0.1 / 2.3548) ** 2)


def frame(*parts: Any, n: int = 241, seed: int = 0) -> Imaging:
    axis = (np.arange(n) - 0.5 * (n - 1)) * SCALE
    x, y = np.meshgrid(axis, axis)
    data = sum(part(x, y) for part in parts) + 0.02 * np.random.default_rng(seed).standard_normal(x.shape)
    return Imaging(data=data, noise=np.full(x.shape, 0.02), psf=gaussian_psf(0.1, SCALE), pixel_scale=SCALE)


def found(image: Imaging) -> tuple[tuple[float, float], str]:
    return find_center(image, coarse(image))


@pytest.mark.parametrize("at", [(0.0, 0.0), (1.55, -0.8), (-3.0, 2.5)])
def test_one_galaxy_is_found_wherever_it_is(at: tuple[float, float]) -> None:
    center, how = found(frame(lambda x, y: galaxy(x, y, at, 5.0)))
    assert center == pytest.approx(at, abs=0.051)
    assert how == "brightest pixel of the only extended bright object"


def test_of_several_galaxies_the_one_nearest_the_middle() -> None:
    image = frame(lambda x, y: galaxy(x, y, (0.6, 0.4), 3.0), lambda x, y: galaxy(x, y, (-3.5, -2.0), 8.0))
    center, how = found(image)
    assert center == pytest.approx((0.6, 0.4), abs=0.051)
    assert how.endswith("nearest the middle, of 2")


def test_a_faint_object_nearer_the_middle_is_not_the_lens() -> None:
    image = frame(lambda x, y: galaxy(x, y, (2.2, 0.0), 8.0), lambda x, y: galaxy(x, y, (0.0, 0.3), 0.4, size=0.3))
    assert found(image)[0] == pytest.approx((2.2, 0.0), abs=0.051)


def test_a_star_is_not_the_lens() -> None:
    image = frame(lambda x, y: galaxy(x, y, (1.8, 0.0), 4.0), lambda x, y: star(x, y, (-0.3, 0.2), 60.0))
    assert [c.is_star for c in candidates(image, coarse(image))] == [False, True] or any(
        c.is_star for c in candidates(image, coarse(image))
    )
    assert found(image)[0] == pytest.approx((1.8, 0.0), abs=0.051)


def test_arcs_belong_to_the_galaxy_that_they_are_about() -> None:
    """A bright knot nearer the middle than the lens, within an Einstein radius of it."""
    image = frame(lambda x, y: galaxy(x, y, (1.4, 0.0), 6.0), lambda x, y: galaxy(x, y, (0.3, 0.2), 3.0, size=0.25))
    assert found(image)[0] == pytest.approx((1.4, 0.0), abs=0.051)


def test_of_nothing_the_middle() -> None:
    center, how = found(frame(lambda x, y: 0.0 * x, n=61))
    assert np.hypot(*center) <= SEARCH_RADIUS
    assert "no extended object" in how


def test_masked_pixels_are_never_the_center() -> None:
    image = frame(lambda x, y: galaxy(x, y, (0.0, 0.0), 5.0))
    hot = image.data.copy()
    hot[130, 130] = 1e6
    mask = np.ones(hot.shape, dtype=bool)
    mask[130, 130] = False
    assert found(replace(image, data=hot, mask=mask))[0] == pytest.approx((0.0, 0.0), abs=0.051)
    assert brightest(image, (50.0, 50.0), 0.5) == (50.0, 50.0)


@pytest.mark.real_data
def test_real_lenses_in_off_center_cutouts(shared_dir: Path) -> None:
    """The same sky in frames of 6 arcsec whose middle is up to 2 arcsec from the lens: the same center."""
    folders = sorted(path for path in (shared_dir / "data" / "slacs").iterdir() if path.is_dir())
    for folder in folders:
        image = Imaging.from_folder(folder)
        center, _ = found(image)
        assert np.hypot(*center) < 0.06, folder.name
        for right, up in ((20, 0), (-20, 10), (14, -24), (-30, -30), (40, 0)):
            window = (slice(40 + up, 161 + up), slice(40 + right, 161 + right))
            cut = replace(image, data=image.data[window], noise=image.noise[window], mask=image.used[window])
            there = np.add(found(cut)[0], (right * SCALE, up * SCALE))
            assert np.hypot(*(there - center)) < 0.06, (folder.name, right, up)
