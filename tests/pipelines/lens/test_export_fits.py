"""The images of a fit as FITS, read by astropy: the planes add up, the sky of the input is kept, headers are ASCII."""

from __future__ import annotations

import io
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from pipelines.lens.export_fits import PLANES, ascii_text, fits_file
from pipelines.lens.exported import Scene

HOSTILE = "<b>\x1b[2J日本'\"\n" + "x" * 10_000


@pytest.fixture
def scene(exported: SimpleNamespace) -> Scene:
    return exported.scene


@pytest.fixture(scope="module")
def images(exported: SimpleNamespace) -> Any:
    return fits.open(io.BytesIO(fits_file(exported.scene, exported.about)))


def test_the_planes(images: Any, scene: Scene, ring_chain: SimpleNamespace) -> None:
    images.verify("exception")
    assert [hdu.name for hdu in images] == ["PRIMARY", *PLANES, "SOURCE_PLANE"]
    plane = {hdu.name: hdu.data for hdu in images[1:]}
    np.testing.assert_array_equal(plane["DATA"], ring_chain.dataset.data)
    used = plane["MASK"] == 1
    assert used.sum() == scene.seen.frame.n_used
    x, y = ring_chain.dataset.x, ring_chain.dataset.y
    inside = np.hypot(x - scene.preparation.center[0], y - scene.preparation.center[1]) <= scene.preparation.mask_radius
    np.testing.assert_array_equal(used, inside & ~scene.preparation.neighbors & ring_chain.dataset.used)
    assert (plane["RESIDUAL"][used] ** 2).mean() == pytest.approx(scene.seen.chi_squared, rel=1e-9)
    assert np.isnan(plane["RESIDUAL"][~used]).all()
    np.testing.assert_allclose(plane["MODEL"][used], (plane["LENS_LIGHT"] + plane["LENSED_SOURCE"])[used], rtol=1e-12)
    np.testing.assert_allclose(plane["NO_LENS"][used], (plane["DATA"] - plane["LENS_LIGHT"])[used], rtol=1e-12)
    np.testing.assert_allclose(((plane["DATA"] - plane["MODEL"]) / plane["NOISE"])[used], plane["RESIDUAL"][used], rtol=1e-9, atol=1e-12)
    assert np.corrcoef(plane["MODEL"][used], plane["DATA"][used])[0, 1] > 0.99  # it lies on the data, and is no picture turned over


def test_the_sky_of_the_input_is_kept(images: Any, exported: SimpleNamespace) -> None:
    own = WCS(fits.getheader(exported.folder / "image.fits"))
    for name in PLANES:
        kept = WCS(images[name].header)
        for x, y in ((0.0, 0.0), (70.0, 3.0), (12.5, 44.25)):
            assert kept.pixel_to_world(x, y).separation(own.pixel_to_world(x, y)).arcsec < 1e-9
        assert images[name].header["RADESYS"] == "FK5"
        assert "OBJECT" not in images[name].header
    assert images["DATA"].header["BUNIT"] == images["NOISE"].header["BUNIT"] == "ELECTRONS/S"
    assert images["RESIDUAL"].header["BUNIT"] == "sigma"
    assert "BUNIT" not in images["MASK"].header


def test_offsets_are_an_alternative_sky(images: Any, scene: Scene) -> None:
    offsets = WCS(images["DATA"].header, key="A")
    x, y = offsets.wcs_pix2world([[10.0, 20.0]], 0)[0]
    assert (x, y) == pytest.approx((scene.dataset.x[20, 10], scene.dataset.y[20, 10]), abs=1e-12)
    source = WCS(images["SOURCE_PLANE"].header)
    row, column = np.unravel_index(np.argmax(images["SOURCE_PLANE"].data), images["SOURCE_PLANE"].data.shape)
    peak = source.wcs_pix2world([[float(column), float(row)]], 0)[0]
    assert peak == pytest.approx((0.15, 0.08), abs=0.04)


def test_provenance_is_in_the_header(images: Any) -> None:
    header = images[0].header
    assert (header["FC_NAME"], header["FC_STAGE"], header["FC_DIGES"], header["FC_SEED"]) == ("ring", "power_law", "ab" * 32, 3)
    assert "fitcore run ring" in str(header["HISTORY"])
    assert [str(line) for line in header["COMMENT"]] == ["one", "two"]


def test_headers_are_ascii_whatever_the_names_are(scene: Scene, exported: SimpleNamespace) -> None:
    data = fits_file(scene, dict.fromkeys(exported.about, HOSTILE) | {"conventions": [HOSTILE], "seed": 1})
    with fits.open(io.BytesIO(data)) as hdus:
        hdus.verify("exception")
        text = repr(hdus[0].header) + str(hdus[0].header["HISTORY"])
    assert text.isascii()
    assert "\x1b" not in text
    assert r"\x1b[2J\u65e5" in text
    assert len(ascii_text(HOSTILE)) == 68
    strange = replace(scene, header=fits.Header({"BUNIT": "x" * 60}))
    assert strange.wcs is None
    assert fits.open(io.BytesIO(fits_file(strange, {})))["DATA"].header["BUNIT"] == "x" * 60
    assert replace(scene, header=fits.Header({"BUNIT": 3.0})).unit == ""


def test_large_images_are_in_single_precision(scene: Scene, exported: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.lens.export_fits.MOST_PIXELS_IN_FULL", 100)
    with fits.open(io.BytesIO(fits_file(scene, exported.about))) as hdus:
        assert hdus["MODEL"].data.dtype.itemsize == 4
        assert hdus["SOURCE_PLANE"].data.dtype.itemsize == 8
