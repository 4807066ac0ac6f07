"""The real images load."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from fitcore.errors import DataError
from pipelines.lens.dataset import Imaging
from pipelines.lens.prepare import prepare


@pytest.mark.real_data
def test_all_slacs_lenses_load(shared_dir: Path) -> None:
    folders = sorted(path for path in (shared_dir / "data" / "slacs").iterdir() if path.is_dir())
    assert len(folders) == 16
    for path in folders:
        image = Imaging.from_folder(path)
        assert image.name == path.name
        assert image.shape == (201, 201)
        assert image.psf.shape == (15, 15)
        assert image.psf.sum() == pytest.approx(1.0, rel=1e-12)
        assert image.pixel_scale == 0.05
        assert 0.05 < image.used.mean() <= 1.0
        assert image.noise[image.used].max() < 1e3
        assert image.redshift_lens is not None
        assert image.redshift_source is not None
        assert image.redshift_source > image.redshift_lens
        assert abs(image.position_angle_of_y) < 1.0


@pytest.mark.real_data
@pytest.mark.parametrize("band", ["F277W", "F444W"])
def test_cosmos_web_ring_loads(shared_dir: Path, band: str) -> None:
    image = Imaging.from_folder(shared_dir / "data" / "cosmos_web_ring" / band)
    assert image.pixel_scale == 0.06
    assert image.redshift_source == 5.1043
    assert 0 < int((~image.used).sum()) < image.used.size
    assert np.all(np.isfinite(image.data))


@pytest.mark.real_data
def test_euclid_tile_loads_by_its_extensions(shared_dir: Path) -> None:
    folder = shared_dir / "data" / "euclid_q1_102018665"
    with pytest.raises(DataError, match=r"has the extensions .*VIS.* and no info file says which to take"):
        Imaging.from_folder(folder)
    path = next(folder.glob("1*.fits"))
    with fits.open(path) as hdus:
        names = [hdu.name for hdu in hdus]
    vis = {"image": next(n for n in names if "VIS" in n and "BGSUB" in n), "noise": next(n for n in names if "VIS" in n and "RMS" in n)}
    vis["psf"] = next(n for n in names if "VIS" in n and "PSF" in n)
    image = Imaging.from_fits(image=path, noise=path, psf=path, extensions=vis)
    assert image.magnitude_zero_point == 24.6
    assert image.masked["absurd noise"] == 51
    assert image.pixel_scale == pytest.approx(0.1, rel=1e-3)
    assert image.noise[image.used].max() < 1e3


@pytest.mark.real_data
def test_a_folder_whose_info_names_the_extensions(shared_dir: Path, tmp_path: Path) -> None:
    """What a person has to write for a Euclid tile: three names. Scale, zero point and bad pixels are in the file."""
    source = next((shared_dir / "data" / "euclid_q1_102018665").glob("1*.fits"))
    (tmp_path / source.name).symlink_to(source)
    info = {"name": "tile", "extensions": {"image": "VIS_BGSUB", "noise": "VIS_RMS", "psf": "VIS_PSF"}}
    (tmp_path / "info.json").write_text(json.dumps(info))
    image = Imaging.from_folder(tmp_path)
    assert (image.name, image.shape, image.magnitude_zero_point) == ("tile", (100, 100), 24.6)
    assert image.pixel_scale == pytest.approx(0.1, rel=1e-3)
    decided = prepare(image)
    assert decided.center == pytest.approx((-0.05, -0.05), abs=0.01)
    assert decided.mask_radius == 2.4
    assert not decided.neighbors.any()
    (tmp_path / "info.json").write_text(json.dumps({**info, "magnitude_zero_point": 25.0}))
    assert Imaging.from_folder(tmp_path).magnitude_zero_point == 25.0
