"""Regions for DS9: they lie where the fit has them, in pixels and on the sky; the package regions reads them."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from pipelines.lens.export_ds9 import ds9_files
from pipelines.lens.exported import Scene
from pipelines.lens.magnification import inverse_magnification
from pipelines.lens.tracing import ray_trace

NORTH = 35.0
HOSTILE = "<b>\x1b[2J日本'\"\n{}" + "x" * 10_000


@pytest.fixture
def scene(exported: SimpleNamespace) -> Scene:
    return exported.scene


def shapes(text: bytes) -> list[tuple[str, np.ndarray, str]]:
    """Shape, numbers and text of every region."""
    found = re.findall(r"^(\w+)\(([^)]*)\) #.*text=\{([^}]*)\}$", text.decode("ascii"), flags=re.MULTILINE)
    return [(shape, np.array([float(number.strip('"')) for number in numbers.split(",")]), words) for shape, numbers, words in found]


def test_regions_in_pixels(scene: Scene, exported: SimpleNamespace) -> None:
    found = shapes(ds9_files(scene, "s", exported.about)["s.image.reg"])
    kinds = {words: shape for shape, _, words in found}
    assert kinds["tangential critical curve"] == "polygon"
    assert kinds["mask"] == "circle"
    points = next(numbers for _, numbers, words in found if words == "tangential critical curve").reshape(-1, 2)
    n = scene.dataset.shape[0]
    x, y = ((points - 1.0 - 0.5 * (n - 1)) * scene.dataset.pixel_scale).T  # DS9 counts from one
    assert np.abs(inverse_magnification(scene.masses, x, y)).max() < 1e-3
    circle = next(numbers for shape, numbers, _ in found if shape == "circle")
    assert circle[2] * scene.dataset.pixel_scale == pytest.approx(scene.preparation.mask_radius, rel=1e-5)
    images = np.array([numbers for _, numbers, words in found if words.startswith("image ")])
    x, y = ((images - 1.0 - 0.5 * (n - 1)) * scene.dataset.pixel_scale).T
    beta = np.array(ray_trace(scene.masses, x, y)).T
    assert len(images) in (2, 4)
    np.testing.assert_allclose(beta, np.tile(scene.source_center, (len(images), 1)), atol=1e-4)


def test_neighbors_and_unused_pixels_are_outlined(scene: Scene, exported: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    mask = np.zeros(scene.dataset.shape, dtype=bool)
    mask[30:34, 40:47] = True
    decided = replace(scene.preparation, neighbors=mask)
    monkeypatch.setattr(Scene, "preparation", decided)
    marked = replace(scene, seen=replace(scene.seen, dataset=scene.dataset.apply_mask(~np.roll(mask, 3, axis=0))))
    found = shapes(ds9_files(marked, "s", exported.about)["s.image.reg"])
    for words, rows in (("neighbor, left out", (30, 34)), ("pixels not used", (33, 37))):
        (numbers,) = (numbers for _, numbers, own in found if own == words)
        x, y = (numbers.reshape(-1, 2) - 1.0).T
        assert (x.min(), x.max(), y.min(), y.max()) == pytest.approx((39.5, 46.5, rows[0] - 0.5, rows[1] - 0.5))


@pytest.mark.parametrize(("north", "east"), [(0.0, -1), (NORTH, -1), (NORTH, 1)])
def test_regions_are_read_back(scene: Scene, exported: SimpleNamespace, north: float, east: int, tmp_path: Path) -> None:
    """By the package regions: on the sky they are where they are in pixels."""
    regions = pytest.importorskip("regions", reason="the package regions reads DS9 files; nothing else needs it")
    own = exported.turned(scene, north, east)
    files = ds9_files(own, "s", exported.about | {"name": HOSTILE})
    read = {}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        read[name] = list(regions.Regions.read(tmp_path / name, format="ds9"))
    assert sorted(read) == ["s.fk5.reg", "s.image.reg", "s.source.reg"]
    assert len(read["s.fk5.reg"]) == len(read["s.image.reg"]) == len(shapes(files["s.image.reg"]))
    for on_sky, on_image in zip(read["s.fk5.reg"], read["s.image.reg"], strict=True):
        assert on_sky.meta["text"] == on_image.meta["text"]
        pixel = on_sky.to_pixel(own.wcs)
        if hasattr(on_image, "vertices"):
            np.testing.assert_allclose(pixel.vertices.xy, on_image.vertices.xy, atol=2e-4)
        else:
            np.testing.assert_allclose(pixel.center.xy, on_image.center.xy, atol=2e-4)
        if hasattr(on_image, "radius"):
            assert pixel.radius == pytest.approx(on_image.radius, rel=1e-4)
    x, y = scene.source_center
    center = next(region for region in read["s.source.reg"] if region.meta["text"] == "source").center
    assert (center.x, center.y) == pytest.approx(
        ((x - own.source.x[0]) / own.source.scale, (y - own.source.y[0]) / own.source.scale), abs=1e-4
    )


def test_regions_without_a_sky(scene: Scene, exported: SimpleNamespace) -> None:
    assert sorted(ds9_files(replace(scene, header=fits.Header()), "s", exported.about)) == ["s.image.reg", "s.source.reg"]
