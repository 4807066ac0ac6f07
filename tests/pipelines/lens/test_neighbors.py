"""Neighbors are left out, and arcs never are: on made lenses, on real ones, and on a lens with what could be mistaken."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.lens.dataset import Imaging
from pipelines.lens.galaxy import Sky, coarse
from pipelines.lens.neighbors import Surroundings, find_surroundings
from pipelines.lens.prepare import prepare

PSF = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])


def sky_of(numpy_lens: Any, extra: Any = None, arcs: bool = True) -> tuple[Sky, np.ndarray]:
    """The made lens on coarse pixels, and its lensed source."""
    made = numpy_lens(n=201)
    axis = (np.arange(201) - 100) * 0.05
    x, y = np.meshgrid(axis, axis)
    data = made.data if arcs else made.data - made.lensed_source
    data = data if extra is None else data + extra(x, y)
    images = [Imaging(data=plane, noise=made.noise, psf=PSF, pixel_scale=0.05) for plane in (data, made.lensed_source)]
    return coarse(images[0]), coarse(images[1]).data


def spot(at: tuple[float, float], peak: float = 3.0, sigma: float = 0.08) -> Any:
    return lambda x, y: peak * np.exp(-0.5 * ((x - at[0]) ** 2 + (y - at[1]) ** 2) / sigma**2)


def masked_at(sky: Sky, found: Surroundings, at: tuple[float, float]) -> bool:
    return bool(found.neighbors[np.hypot(sky.x - at[0], sky.y - at[1]) < 0.1].all())


def test_the_neighbor_is_masked_and_the_arcs_are_not(numpy_lens: Any) -> None:
    sky, source = sky_of(numpy_lens)
    found = find_surroundings(sky, (0.0, 0.0))
    own = [thing for thing in found.things if thing.is_neighbor]
    assert len(own) == 1
    assert (own[0].x, own[0].y) == pytest.approx((3.2, -2.9), abs=0.05)
    assert masked_at(sky, found, (3.2, -2.9))
    assert not (found.neighbors & (source > 0.03)).any()
    assert not (found.neighbors & found.arcs).any()
    assert found.arc_radius == pytest.approx(1.4, abs=0.2)
    assert not found.is_large_ring


@pytest.mark.parametrize("angle", [0.3, 2.0, 4.0, 5.5])
def test_a_star_at_two_and_a_half_arcsec_is_masked(numpy_lens: Any, angle: float) -> None:
    at = (2.5 * np.cos(angle), 2.5 * np.sin(angle))
    sky, source = sky_of(numpy_lens, spot(at))
    found = find_surroundings(sky, (0.0, 0.0))
    assert masked_at(sky, found, at)
    assert not (found.neighbors & (source > 0.03)).any()


def test_what_is_within_the_zone_of_the_arcs_stays(numpy_lens: Any) -> None:
    sky, _ = sky_of(numpy_lens, spot((1.5, 0.9)))
    found = find_surroundings(sky, (0.0, 0.0))
    assert not found.neighbors[np.hypot(sky.x, sky.y) < 2.2].any()


def test_what_is_drawn_out_about_the_lens_stays(numpy_lens: Any) -> None:
    """An arc at 2.6 arcsec, 2 arcsec long; a round object there goes, and so does one that points at the lens."""

    def arc(x: Any, y: Any) -> Any:
        return 1.5 * np.exp(-0.5 * ((np.hypot(x, y) - 2.6) / 0.1) ** 2 - 0.5 * (np.arctan2(y, x) - 1.0) ** 2 / 0.25**2)

    def spoke(x: Any, y: Any) -> Any:
        return 1.5 * np.exp(-0.5 * (((x + 2.7) / 0.25) ** 2 + (y / 0.1) ** 2))

    sky, _ = sky_of(numpy_lens, lambda x, y: arc(x, y) + spoke(x, y))
    found = find_surroundings(sky, (0.0, 0.0))
    assert not found.neighbors[arc(sky.x, sky.y) > 0.1].any()
    assert masked_at(sky, found, (-2.7, 0.0))


def test_the_mask_of_a_wide_neighbor_stops_before_the_arcs(numpy_lens: Any) -> None:
    sky, source = sky_of(numpy_lens, lambda x, y: 4.0 * np.exp(-np.hypot(x - 2.5, y - 0.6) / 0.3))
    found = find_surroundings(sky, (0.0, 0.0))
    assert masked_at(sky, found, (2.5, 0.6))
    assert not (found.neighbors & (source > 0.03)).any()
    assert not found.neighbors[np.hypot(sky.x, sky.y) < 1.9].any()


@pytest.mark.parametrize("at", [(2.6, 0.0), (1.8, 1.8), (0.0, -2.6)])
def test_without_arcs_objects_that_may_be_the_images_stay(numpy_lens: Any, at: tuple[float, float]) -> None:
    sky, _ = sky_of(numpy_lens, spot(at), arcs=False)
    found = find_surroundings(sky, (0.0, 0.0))
    assert not found.neighbors[np.hypot(sky.x, sky.y) < 3.2].any()
    assert masked_at(sky, found, (3.2, -2.9))


def test_a_wide_ring_is_told_from_an_uneven_galaxy(numpy_lens: Any) -> None:
    def ring(x: Any, y: Any) -> Any:
        return 0.6 * np.exp(-0.5 * ((np.hypot(x, y) - 3.2) / 0.12) ** 2)

    sky, _ = sky_of(numpy_lens, ring, arcs=False)
    found = find_surroundings(sky, (0.0, 0.0))
    assert found.is_large_ring
    assert found.arc_radius == pytest.approx(3.2, abs=0.1)
    assert not found.neighbors[ring(sky.x, sky.y) > 0.1].any()


def test_a_galaxy_that_is_uneven_far_out_is_told(numpy_lens: Any) -> None:
    """Two wide arms of a disc, which are no arcs."""

    def arms(x: Any, y: Any) -> Any:
        away, angle = np.hypot(x, y), np.arctan2(y, x)
        return 0.3 * (1.2 + np.cos(2.0 * angle - away)) * np.exp(-0.5 * ((away - 3.3) / 0.9) ** 2)

    sky, _ = sky_of(numpy_lens, arms)
    assert find_surroundings(sky, (0.0, 0.0)).is_uneven
    assert not find_surroundings(sky_of(numpy_lens)[0], (0.0, 0.0)).is_uneven


def test_nothing_is_found_in_noise() -> None:
    axis = (np.arange(80) - 40) * 0.1
    x, y = np.meshgrid(axis, axis)
    noise = np.random.default_rng(3).standard_normal(x.shape)
    found = find_surroundings(Sky(data=noise, noise=np.ones(x.shape), x=x, y=y, scale=0.1), (0.0, 0.0))
    assert not found.neighbors.any()
    assert np.isnan(found.arc_radius)


@pytest.mark.real_data
def test_no_arc_of_a_real_lens_is_masked(shared_dir: Path) -> None:
    """Within 1.7 published Einstein radii, where the arcs of all of these lenses are."""
    folder = shared_dir / "data" / "slacs"
    with (folder / "published.csv").open(encoding="utf-8") as file:
        published = {row["name"]: float(row["b_sie"]) for row in csv.DictReader(file)}
    assert len(published) == 16
    for name, radius in published.items():
        image = Imaging.from_folder(folder / name)
        decided = prepare(image)
        assert decided.surroundings is not None
        away = np.hypot(image.x - decided.center[0], image.y - decided.center[1])
        assert not decided.neighbors[away < 1.7 * radius].any(), name
        assert decided.mask_radius >= 1.5 * radius, name
        assert decided.surroundings.is_uneven == (name == "J0841+3824"), name
        assert 0.85 < decided.surroundings.arc_radius / radius < 1.55, name


@pytest.mark.real_data
@pytest.mark.parametrize("band", ["F277W", "F444W"])
def test_the_neighbor_of_the_ring_is_the_one_that_a_person_masked(shared_dir: Path, band: str) -> None:
    folder = shared_dir / "data" / "cosmos_web_ring" / band
    image = Imaging.from_fits(image=folder / "data.fits", noise=folder / "noise_map.fits", psf=folder / "psf.fits", pixel_scale=0.06)
    by_hand = ~Imaging.from_folder(folder).used
    decided = prepare(image)
    assert decided.neighbors.sum() > 400
    assert by_hand[decided.neighbors].mean() > 0.9
    assert decided.mask_radius == 2.4
