"""What is decided before any search, what a person may decide instead, and what of it is part of a result's identity."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from astropy.io import fits

from fitcore.identity import digest
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.dataset import Imaging
from pipelines.lens.prepare import LARGE_RADII, RADII, binned_frame, full_frame, prepare

PSF = np.outer([0.25, 0.5, 0.25], [0.25, 0.5, 0.25])
WHAT = ("lens center", "mask radius", "neighbors", "sky", "noise factor", "PSF", "pixels not used")


@pytest.fixture(scope="module")
def image(numpy_lens: Any) -> Imaging:
    """A lens with a neighbor at (2.4, -1.5)."""
    made = numpy_lens(n=201)
    axis = (np.arange(201) - 100) * 0.05
    x, y = np.meshgrid(axis, axis)
    data = made.data + 4.0 * np.exp(-0.5 * ((x - 2.4) ** 2 + (y + 1.5) ** 2) / 0.1**2)
    return Imaging(data=data, noise=made.noise, psf=PSF, pixel_scale=0.05)


def masked_at(image: Imaging, mask: Any, at: tuple[float, float]) -> bool:
    return bool(mask[np.hypot(image.x - at[0], image.y - at[1]) < 0.1].all())


def test_everything_is_decided_and_told(image: Imaging) -> None:
    decided = prepare(image)
    assert tuple(decision.what for decision in decided.decisions) == WHAT
    assert decided.center == pytest.approx((0.0, 0.0), abs=0.05)
    assert decided.mask_radius == 3.0
    assert decided.decision("mask radius").value == "3 arcsec"
    assert decided.decision("mask radius").how.startswith("arcs stand out at about 1.")
    assert decided.decision("neighbors").value.startswith("2 at (2.4, -1.5), (3.2, -2.9) arcsec; ")
    assert decided.decision("PSF").how == "its sum was 1; its peak is (+0.00, +0.00) pixels from its middle"
    assert [decision.key for decision in decided.decisions] == [
        "mask_centre",
        "mask_radius",
        "neighbors",
        "",
        "noise_factor",
        "",
        "mask*.fits",
    ]
    assert prepare(image) is decided


def test_neighbors_count_for_nothing_in_both_frames(image: Imaging) -> None:
    decided = prepare(image)
    assert masked_at(image, decided.neighbors, (2.4, -1.5))
    for frame in (full_frame(image, decided), binned_frame(image, decided)):
        x, y = frame.pixel_centers
        weight = np.asarray(frame.weight)
        assert (weight[np.hypot(x - 2.4, y + 1.5) < 0.15] == 0).all()
        assert (weight[np.hypot(x + 2.4, y - 1.5) < 0.15] > 0).all()


def test_a_person_overrules_every_decision(image: Imaging) -> None:
    given = replace(image, center=(0.2, 0.1), mask_radius=2.7, neighbors=((-2.0, 0.0, 0.3),), noise_factor=0.7)
    decided = prepare(given)
    assert (decided.center, decided.mask_radius, decided.noise_factor) == ((0.2, 0.1), 2.7, 0.7)
    assert masked_at(given, decided.neighbors, (-2.0, 0.0))
    assert not decided.neighbors[np.hypot(given.x + 2.0, given.y) > 0.3].any()
    assert [decided.decision(what).how for what in WHAT[:3]] == ["info.yaml"] * 3
    assert decided.decision("noise factor").how.startswith("info.yaml; pixels 5 apart")
    assert not prepare(replace(image, neighbors="none")).neighbors.any()


def test_the_noise_factor_is_applied_only_when_asked(image: Imaging) -> None:
    plain, asked = prepare(image), prepare(replace(image, noise_factor="measured"))
    assert plain.noise_factor == 1.0
    assert asked.noise_factor == plain.noise.factor == pytest.approx(1.0, abs=0.05)
    scaled = replace(image, noise_factor=0.5)
    before, after = (np.asarray(full_frame(each, prepare(each)).weight) for each in (image, scaled))
    assert after == pytest.approx(2.0 * before, rel=1e-12)


@pytest.mark.parametrize(
    "change", [{"center": (0.05, 0.0)}, {"mask_radius": 2.9}, {"neighbors": "none"}, {"noise_factor": 0.9}, {"noise_factor": 0.8}]
)
def test_what_is_decided_is_part_of_the_identity(image: Imaging, change: dict[str, Any]) -> None:
    seen = {digest(LensAnalysis(each).identity()) for each in (image, replace(image, **change))}
    assert len(seen) == 2
    again = replace(image, name="another")
    assert digest(LensAnalysis(again).identity()) == digest(LensAnalysis(image).identity())


@pytest.mark.parametrize(("radius", "scale", "chosen"), [(0.8, 0.05, 2.4), (1.9, 0.05, 3.6), (0.8, 0.2, 3.6), (3.2, 0.1, 6.0)])
def test_the_mask_grows_with_the_ring_and_the_pixels(radius: float, scale: float, chosen: float) -> None:
    n = 2 * round(5.5 / scale) + 1
    axis = (np.arange(n) - n // 2) * scale
    x, y = np.meshgrid(axis, axis)
    away = np.hypot(x, y)
    data = 2.0 * np.exp(-away / 0.3) + 0.5 * np.exp(-0.5 * ((away - radius) / 0.12) ** 2)
    data += 0.02 * np.random.default_rng(2).standard_normal(x.shape)
    decided = prepare(Imaging(data=data, noise=np.full(x.shape, 0.02), psf=PSF, pixel_scale=scale))
    assert decided.mask_radius == chosen
    assert chosen in RADII + LARGE_RADII


def test_a_tiny_image_is_not_looked_at() -> None:
    rng = np.random.default_rng(0)
    decided = prepare(Imaging(data=rng.standard_normal((11, 13)), noise=np.ones((11, 13)), psf=PSF, pixel_scale=0.05))
    assert decided.surroundings is None
    assert decided.decision("neighbors").how == "the frame is too small to look for any"
    assert decided.mask_radius == 3.0


def test_info_yaml_reaches_the_preparation(image: Imaging, tmp_path: Path) -> None:
    for name, plane in {"image": image.data, "noise": image.noise, "psf": image.psf}.items():
        fits.PrimaryHDU(plane).writeto(tmp_path / f"{name}.fits")
    info = {"name": "x", "pixel_scale": 0.05, "neighbors": [[1, 2, 0.5]], "noise_factor": "measured", "mask_centre": [0.1, 0.2]}
    (tmp_path / "info.yaml").write_text(yaml.safe_dump(info))
    read = Imaging.from_folder(tmp_path)
    assert (read.neighbors, read.noise_factor, read.center) == (((1.0, 2.0, 0.5),), "measured", (0.2, 0.1))
    (tmp_path / "info.yaml").write_text(yaml.safe_dump({**info, "neighbors": "none", "noise_factor": 0.8}))
    assert (Imaging.from_folder(tmp_path).neighbors, Imaging.from_folder(tmp_path).noise_factor) == ("none", 0.8)
    (tmp_path / "info.yaml").write_text(yaml.safe_dump({**info, "neighbors": "automatic"}))
    assert Imaging.from_folder(tmp_path).neighbors is None
