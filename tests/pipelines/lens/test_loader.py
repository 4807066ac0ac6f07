"""Reading dataset folders: every way in which one can be wrong gets its own words. The real images are in `test_loader_real`."""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

from fitcore.errors import DataError
from pipelines.lens import loader
from pipelines.lens.dataset import Imaging

SHAPE = (12, 14)


def planes() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"image": rng.standard_normal(SHAPE), "noise": rng.uniform(0.1, 0.2, SHAPE), "psf": np.ones((3, 3))}


def write(path: Path, plane: np.ndarray | None, header: fits.Header | None = None) -> None:
    fits.PrimaryHDU(plane, header).writeto(path, overwrite=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good dataset to spoil."""
    target = tmp_path / "lens-1"
    target.mkdir()
    for name, plane in planes().items():
        write(target / f"{name}.fits", plane)
    (target / "info.yaml").write_text("pixel_scale: 0.05\n")
    return target


def sky(angle: float = 0.0, scale: float = 0.05) -> fits.Header:
    """Header of a frame whose +y axis points ``angle`` degrees east of north; east is left when north is up."""
    wcs = WCS(naxis=2)
    wcs.wcs.ctype = ["RA---TAN", "DEC--TAN"]
    wcs.wcs.crval, wcs.wcs.crpix = [150.0, 2.0], [7.0, 6.0]
    c, s = np.cos(np.radians(angle)), np.sin(np.radians(angle))
    wcs.wcs.cd = scale / 3600.0 * np.array([[-c, s], [s, c]])
    return wcs.to_header()


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        Imaging.from_folder(folder)
    return str(caught.value)


def test_a_folder_gives_its_planes_and_facts(folder: Path) -> None:
    (folder / "info.yaml").write_text(
        "name: ring\npixel_scale: 0.05\nredshift_lens: 0.3\nredshift_source: 1\nband: F814W\nmask_radius: 0.3\nmask_centre: [0.1, -0.2]\n"
    )
    image = Imaging.from_folder(folder)
    expected = planes()
    assert np.array_equal(image.data, expected["image"])
    assert np.array_equal(image.noise, expected["noise"])
    assert image.psf == pytest.approx(np.full((3, 3), 1 / 9), rel=1e-15)
    assert image.used.all()
    assert (image.name, image.band, image.redshift_lens, image.redshift_source) == ("ring", "F814W", 0.3, 1)
    assert image.mask_radius == 0.3
    assert image.center == (-0.2, 0.1)  # the file says (y, x)


def test_other_file_names_and_json(folder: Path) -> None:
    (folder / "image.fits").rename(folder / "data.fits")
    (folder / "noise.fits").rename(folder / "noise_map.fits")
    (folder / "info.yaml").unlink()
    (folder / "info.json").write_text('{"pixel_scale": 0.07}')
    image = Imaging.from_folder(str(folder))
    assert image.pixel_scale == 0.07
    assert image.name == "lens-1"


@pytest.mark.parametrize("dtype", [">i2", ">i4", ">f4", ">f8", "<f4", "u1"])
def test_any_number_type_becomes_native_float64(folder: Path, dtype: str) -> None:
    plane = np.arange(168).reshape(SHAPE).astype(dtype)
    write(folder / "image.fits", plane)
    data = Imaging.from_folder(folder).data
    assert data.dtype == np.float64
    assert data.dtype.isnative
    assert np.array_equal(data, np.arange(168.0).reshape(SHAPE))


def test_scaled_integers_and_single_layers(folder: Path) -> None:
    hdu = fits.PrimaryHDU(np.arange(168, dtype=np.int16).reshape(1, *SHAPE))
    hdu.header["BSCALE"], hdu.header["BZERO"] = 0.5, 10.0
    hdu.writeto(folder / "image.fits", overwrite=True)
    assert Imaging.from_folder(folder).data[0, 2] == 11.0


def test_compressed_images_are_read(folder: Path) -> None:
    image = np.random.default_rng(3).integers(0, 100, SHAPE).astype(np.int32)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(image)]).writeto(folder / "image.fits", overwrite=True)
    (folder / "noise.fits").write_bytes(gzip.compress((folder / "noise.fits").read_bytes()))
    read = Imaging.from_folder(folder)
    assert np.array_equal(read.data, image)
    assert np.array_equal(read.noise, planes()["noise"])


def test_a_table_before_the_image_is_passed_over(folder: Path) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("flux", "E", array=np.ones(5))])
    fits.HDUList([fits.PrimaryHDU(), table, fits.ImageHDU(planes()["image"], name="SCI")]).writeto(folder / "image.fits", overwrite=True)
    assert np.array_equal(Imaging.from_folder(folder).data, planes()["image"])


@pytest.mark.parametrize("angle", [0.0, 30.0, -75.0, 135.0])
def test_pixel_scale_and_angle_come_from_the_wcs(folder: Path, angle: float) -> None:
    (folder / "info.yaml").unlink()
    write(folder / "image.fits", planes()["image"], sky(angle, 0.13))
    image = Imaging.from_folder(folder)
    assert image.pixel_scale == pytest.approx(0.13, rel=1e-8)
    assert image.position_angle_of_y == pytest.approx(angle, abs=1e-6)
    # astropy says the same of a star one pixel further up
    wcs = WCS(sky(angle, 0.13))
    here, above = wcs.pixel_to_world(6.0, 5.0), wcs.pixel_to_world(6.0, 6.0)
    east_of_north = (here.position_angle(above).deg + 180.0) % 360.0 - 180.0
    assert image.position_angle_of_y == pytest.approx(east_of_north, abs=1e-4)


def test_the_zero_point_is_the_headers_unless_info_says_another(folder: Path) -> None:
    assert Imaging.from_folder(folder).magnitude_zero_point is None
    header = fits.Header({"MAGZERO": 24.6})
    write(folder / "image.fits", planes()["image"], header)
    assert Imaging.from_folder(folder).magnitude_zero_point == 24.6
    with (folder / "info.yaml").open("a") as stream:
        stream.write("\nmagnitude_zero_point: 25.5\n")
    assert Imaging.from_folder(folder).magnitude_zero_point == 25.5
    assert loader.zero_point(fits.Header({"MAGZERO": "unknown"})) == {}


def test_info_goes_before_the_wcs(folder: Path) -> None:
    write(folder / "image.fits", planes()["image"], sky(0.0, 0.13))
    assert Imaging.from_folder(folder).pixel_scale == 0.05


def test_masks_are_joined_and_nonzero_is_masked(folder: Path) -> None:
    first, second = np.zeros(SHAPE), np.zeros(SHAPE, dtype=np.uint8)
    first[1, 2], first[3, 4], second[5, 6] = 1.0, np.nan, 7
    write(folder / "mask.fits", first)
    write(folder / "mask_extra_galaxies.fits", second)
    bad = planes()["image"]
    bad[1, 2] = np.nan
    write(folder / "image.fits", bad)
    used = Imaging.from_folder(folder).used
    assert sorted(map(tuple, np.argwhere(~used).tolist())) == [(1, 2), (3, 4), (5, 6)]
    write(folder / "mask_b.fits", np.zeros((3, 3)))
    assert "mask_b.fits has shape (3, 3), the image (12, 14); they must be the same" in refused(folder)


def multi(path: Path) -> None:
    parts = planes()
    hdus = [fits.PrimaryHDU(), fits.ImageHDU(np.zeros((5, 5)), name="OTHER")]
    hdus += [fits.ImageHDU(parts["image"], sky(), name="VIS"), fits.ImageHDU(parts["noise"], name="RMS")]
    hdus += [fits.ImageHDU(parts["psf"], name="PSF"), fits.BinTableHDU.from_columns([fits.Column("a", "E", array=np.ones(2))], name="CAT")]
    fits.HDUList(hdus).writeto(path, overwrite=True)


@pytest.fixture
def single(tmp_path: Path) -> Path:
    """A dataset in one multi-extension file."""
    target = tmp_path / "single"
    target.mkdir()
    multi(target / "tile.fits")
    return target


@pytest.mark.parametrize("named", ["{image: VIS, noise: RMS, psf: PSF}", "{image: 2, noise: 3, psf: 4}"])
@pytest.mark.parametrize("file", ["tile.fits", "image.fits"])
def test_extensions_are_named_by_the_info(single: Path, named: str, file: str) -> None:
    (single / "tile.fits").rename(single / file)
    (single / "info.yaml").write_text(f"extensions: {named}\n")
    write(single / "mask_b.fits", np.eye(14)[:12])
    image = Imaging.from_folder(single)
    assert np.array_equal(image.noise, planes()["noise"])
    assert image.psf.shape == (3, 3)
    assert image.pixel_scale == pytest.approx(0.05, rel=1e-8)
    assert int((~image.used).sum()) == 12


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ("pixel_scale: 0.05", "has the extensions ['PRIMARY', 'OTHER', 'VIS', 'RMS', 'PSF', 'CAT'], and no info file says which to take"),
        ("extensions: {image: VSI, noise: RMS, psf: PSF}", "has no extension 'VSI' for the image; it has ['PRIMARY', 'OTHER', 'VIS'"),
        ("extensions: {image: 17, noise: RMS, psf: PSF}", "has no extension 17 for the image; it has ['PRIMARY'"),
        ("extensions: {image: CAT, noise: RMS, psf: PSF}", "extension 'CAT', is a table; the image must be an image"),
        ("extensions: {image: 0, noise: RMS, psf: PSF}", "extension 0, declares the size []; the image must be an image of at most"),
        ("extensions: {image: VIS, noise: RMS}", "extensions.psf is missing; add it."),
        (
            "extensions: {image: VIS, noise: RMS, psf: PSF, pfs: 1}",
            "the key 'extensions.pfs' (line 1) is not known; known are ['image', 'noise', 'psf']",
        ),
        ("extensions: {image: VIS, noise: [1], psf: PSF}", "extensions.noise (line 1) is [1]: Input should be a valid string, or: "),
    ],
)
def test_what_can_be_wrong_with_extensions(single: Path, info: str, text: str) -> None:
    (single / "info.yaml").write_text(info)
    assert text in refused(single)


def test_from_fits(single: Path) -> None:
    file = single / "tile.fits"
    image = Imaging.from_fits(image=file, noise=file, psf=str(file), extensions={"image": "VIS", "noise": "RMS", "psf": "PSF"}, name="tile")
    assert np.array_equal(image.data, planes()["image"])
    assert image.name == "tile"
    with pytest.raises(DataError, match=r"The noise file .*nothing.fits does not exist. Put it there"):
        Imaging.from_fits(image=file, noise=single / "nothing.fits", psf=file, extensions={"image": "VIS"})


def test_no_pixel_scale(folder: Path) -> None:
    (folder / "info.yaml").unlink()
    message = refused(folder)
    assert message.startswith(f"No pixel scale for {folder / 'image.fits'}: its header has no celestial WCS. Add 'pixel_scale: 0.05'")


def test_missing_files_are_named(folder: Path, tmp_path: Path) -> None:
    (folder / "noise.fits").unlink()
    assert "has no noise.fits or noise_map.fits; it has ['image.fits', 'info.yaml', 'psf.fits']. Add what is missing" in refused(folder)
    (folder / "psf.fits").unlink()
    (folder / "image.fits").unlink()
    assert "has no image.fits or data.fits, no noise.fits or noise_map.fits, no psf.fits; it has ['info.yaml']" in refused(folder)
    assert f"The dataset {tmp_path / 'none'} is not a folder. Give a folder with image.fits" in refused(tmp_path / "none")
    assert "is not a folder" in refused(folder / "info.yaml")


def test_planes_that_do_not_fit(folder: Path) -> None:
    write(folder / "noise.fits", np.ones((12, 13)))
    assert "lens-1: the noise map has shape (12, 13), the image (12, 14)" in refused(folder)
    write(folder / "noise.fits", np.ones((2, *SHAPE)))
    assert "the noise map has shape (2, 12, 14), the image (12, 14)" in refused(folder)
    write(folder / "noise.fits", np.ones(SHAPE))
    write(folder / "psf.fits", np.ones((4, 4)))
    assert "the PSF has shape (4, 4); both sizes must be odd" in refused(folder)
    write(folder / "psf.fits", None)
    assert "psf.fits has no image: its extensions are ['PRIMARY']. Write the psf as a FITS image." in refused(folder)


def spoiled(path: Path, **cards: Any) -> None:
    """Write cards into a header without astropy's repairs."""
    raw = path.read_bytes()
    for key, value in cards.items():
        card = f"{key:8}= {value:>20}".ljust(80).encode()
        at = raw.index(f"{key:8}=".encode())
        raw = raw[:at] + card + raw[at + 80 :]
    path.write_bytes(raw)


@pytest.mark.parametrize(
    ("cards", "text"),
    [
        (
            {"NAXIS1": 200_000, "NAXIS2": 300_000},
            "declares the size [200000, 300000]; the image must be an image of at most",
        ),
        ({"NAXIS2": 9_000_000_000}, "at most 16777216 pixels. Cut out the part around the lens."),
        ({"NAXIS1": 9_000_000_000_000_000_000}, "is not a FITS file that can be read"),
        ({"NAXIS1": 0}, "declares the size [0, 12]"),
        ({"NAXIS1": 4000, "NAXIS2": 4000}, "is not a FITS file that can be read"),
        ({"NAXIS1": -5}, "image.fits"),
        ({"NAXIS": 999}, "image.fits"),
        ({"NAXIS": "'a'"}, "image.fits"),
        ({"BITPIX": 7}, "is not a FITS file that can be read"),
        ({"BITPIX": "'x'"}, "image.fits"),
        ({"SIMPLE": "F"}, "image.fits"),
    ],
)
def test_absurd_headers_are_refused_before_the_data_are_read(folder: Path, cards: dict[str, Any], text: str) -> None:
    spoiled(folder / "image.fits", **cards)
    start = time.perf_counter()
    assert text in refused(folder)
    assert time.perf_counter() - start < 5.0


@pytest.mark.parametrize(
    "content",
    [b"", b"hello", b"\x00" * 2880, b"\x1f\x8b" + b"\x00" * 100, b"PK\x03\x04" + b"\x00" * 100, b"SIMPLE  =", b"BZh9" + b"x" * 90],
)
def test_what_is_no_fits_file(folder: Path, content: bytes) -> None:
    (folder / "psf.fits").write_bytes(content)
    message = refused(folder)
    assert message.startswith(f"{folder / 'psf.fits'} is not a FITS file that can be read: ")
    assert message.endswith("Write the psf anew, as a plain FITS image.")


@pytest.mark.parametrize("kept", [100, 2879, 2880, 3000, 4000])
def test_truncated_fits(folder: Path, kept: int) -> None:
    path = folder / "noise.fits"
    path.write_bytes(path.read_bytes()[:kept])
    message = refused(folder)
    assert message.startswith(str(path))
    assert "is not a FITS file that can be read" in message


def test_a_folder_in_place_of_a_file(folder: Path) -> None:
    (folder / "psf.fits").unlink()
    (folder / "psf.fits").mkdir()
    assert "has no psf.fits" in refused(folder)


def test_a_name_is_made_of_the_folder(folder: Path) -> None:
    odd = folder.rename(folder.parent / "_odd näme (2)")
    assert Imaging.from_folder(odd).name == "odd_n_me__2_"
    none = odd.rename(folder.parent / "___")
    assert "gives the name ''; a name starts with a letter or digit. Set name in info.yaml." in refused(none)


def test_random_damage_gives_a_data_error_or_an_image(folder: Path) -> None:
    """Bytes of the header are changed, removed and repeated; nothing but DataError may come out, and soon."""
    write(folder / "image.fits", planes()["image"], sky())
    path = folder / "image.fits"
    whole = path.read_bytes()
    rng = np.random.default_rng(20)
    cards = whole.index(b"END" + b" " * 77)
    start = time.perf_counter()
    outcomes = {"image": 0, "refused": 0}
    for trial in range(250):
        raw = bytearray(whole)
        for _ in range(int(rng.integers(1, 6))):
            place = int(rng.integers(0, cards + 3))
            kind = trial % 4
            if kind == 0:
                raw[place] = int(rng.integers(0, 256))
            elif kind == 1:
                raw[place] = int(rng.choice(np.frombuffer(b"0123456789-+.'/= EN", dtype=np.uint8)))
            elif kind == 2:
                del raw[place : place + int(rng.integers(1, 100))]
            else:
                card = 80 * (place // 80)
                raw[card : card + 80] = raw[80 * int(rng.integers(0, cards // 80)) :][:80]
        path.write_bytes(bytes(raw))
        try:
            Imaging.from_folder(folder)
            outcomes["image"] += 1
        except DataError:
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 20, outcomes
    assert time.perf_counter() - start < 60.0


def test_wcs_without_square_pixels_is_not_believed() -> None:
    header = sky()
    header["CDELT1"] = header.get("CDELT1", 1.0) * 3.0
    assert loader.wcs_facts(header) == {}
    assert loader.wcs_facts(fits.Header()) == {}


def test_distortions_and_other_cards_do_not_move_the_scale(folder: Path) -> None:
    """Only the cards that say where the sky is are believed; those of a distortion would take astropy hours."""
    header = sky(angle=25.0)
    wanted = loader.wcs_facts(header)
    assert wanted["position_angle_of_y"] == pytest.approx(25.0)
    for axis, name in enumerate(("RA---TAN-SIP", "DEC--TAN-SIP"), 1):
        header[f"CTYPE{axis}"] = name
    header["A_ORDER"] = header["B_ORDER"] = 5000
    header["CPDIS1"] = "LOOKUP"
    assert loader.wcs_facts(header) == wanted
    header["WCSAXES"] = 10
    assert loader.wcs_facts(header) == {}


@pytest.mark.parametrize("method", ["RICE_1", "GZIP_1", "GZIP_2"])
def test_tiles_that_are_in_use_are_read(folder: Path, method: str) -> None:
    wanted = np.arange(168, dtype=np.int32).reshape(SHAPE)
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(wanted, compression_type=method)]).writeto(folder / "image.fits", overwrite=True)
    assert np.array_equal(Imaging.from_folder(folder).data, wanted)


def test_what_follows_the_last_extension_is_not_looked_at(folder: Path) -> None:
    path = folder / "image.fits"
    path.write_bytes(path.read_bytes() + b"XTENSIOM= 'IMAGE   '" + bytes(10_000))
    assert np.array_equal(Imaging.from_folder(folder).data, planes()["image"])


@pytest.mark.parametrize("text", ["0.05", "+0.05", "5e-2", "5.0e-2", ".05", "5.0E-02"])
def test_numbers_as_people_write_them(folder: Path, text: str) -> None:
    (folder / "info.yaml").write_text(f"pixel_scale: {text}\n")
    if "." not in text:  # YAML 1.1 takes it for a word
        assert "pixel_scale (line 1) is '5e-2'" in refused(folder)
    else:
        assert Imaging.from_folder(folder).pixel_scale == 0.05
