"""Info files of datasets: every way in which one can be wrong gets its own words, quickly."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from fitcore.errors import DataError
from pipelines.lens.dataset import Imaging


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A good dataset to spoil."""
    target = tmp_path / "lens-1"
    target.mkdir()
    for name, plane in {"image": np.ones((12, 14)), "noise": np.full((12, 14), 0.1), "psf": np.ones((3, 3))}.items():
        fits.PrimaryHDU(plane).writeto(target / f"{name}.fits")
    (target / "info.yaml").write_text("pixel_scale: 0.05\n")
    return target


def refused(folder: Path) -> str:
    with pytest.raises(DataError) as caught:
        Imaging.from_folder(folder)
    return str(caught.value)


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ("pixel_scael: 0.05", "the key 'pixel_scael' (line 1) is not known; known are ['name', 'pixel_scale'"),
        ("band: x\npixel_scael: 0.05", "(line 2) is not known"),
        ("pixel_scael: 0.05", "Did you mean 'pixel_scale'?"),
        ("filename: 3\nname: [1]\npixel_scale: 0.05", "name (line 2) is [1]: Input should be a valid string"),
        ("pixel_scale: small", "pixel_scale (line 1) is 'small': Input should be a valid number"),
        ("pixel_scale: '0.05'", "pixel_scale (line 1) is '0.05': Input should be a valid number"),
        ("pixel_scale: true", "pixel_scale (line 1) is True"),
        ("pixel_scale: -1", "pixel_scale (line 1) is -1: Input should be greater than 0"),
        ("pixel_scale: 100", "Input should be less than 60"),
        ("pixel_scale: .nan", "pixel_scale (line 1) is nan"),
        ("pixel_scale: 1\nmask_radius: .inf", "mask_radius (line 2) is inf: Input should be a finite number"),
        ("pixel_scale: 1\nmask_centre: [1]", "mask_centre (line 2) is"),
        ("pixel_scale: 1\nmask_centre: [.inf, 1]", "mask_centre (line 2) is inf"),
        ("neighbors: some", "neighbors (line 1) is 'some': Input should be 'automatic' or 'none', or:"),
        ("neighbors: [[1, 2]]", "neighbors (line 1) is"),
        ("neighbors: [[1, 2, 0]]", "greater than 0"),
        ("neighbours: none", "Did you mean 'neighbors'?"),
        ("noise_factor: -1", "Input should be greater than 0"),
        ("noise_factor: much", "noise_factor (line 1) is 'much': Input should be 'measured'"),
        ("name: ../evil", "name (line 1) is '../evil': String should match pattern"),
        ("pixel_scale: 0.05\npixel_scale: 0.06", "cannot be read: line 2: the key 'pixel_scale' is there twice; keep one."),
        ("pixel_scale: &a 0.05\nredshift_lens: *a", "line 2: aliases are not allowed; write the value out."),
        ("pixel_scale: !!python/object/apply:os.system [ls]", "could not determine a constructor for the tag"),
        ("pixel_scale: [0.05", "cannot be read: while parsing a flow sequence"),
        ("- 0.05", "holds list; it must hold keys and values. Known keys are ['name'"),
        ("hello", "holds str; it must hold keys and values"),
        ("? [1, 2]\n: 3", "cannot be read:"),
        ("name: !!timestamp x", "cannot be read:"),
        ("name: !!bool x", "cannot be read:"),
        ("name: " + "[" * 5000, "cannot be read:"),
        ("name: \x00", "cannot be read:"),
        ("7: 3", "the key '7' (line 1) is not known"),
        ("band: x\n---\nband: y", "cannot be read: expected a single document"),
        ("\n".join(f"key_{i}: 1" for i in range(1000)), "And 995 more."),
        ("k" * 1000 + ": 1", "the key 'kkkkkkkkkkkk...kkkkkkkkkkkkk' (line 1) is not known"),
    ],
)
def test_what_can_be_wrong_with_the_info(folder: Path, info: str, text: str) -> None:
    (folder / "info.yaml").write_text(info)
    message = refused(folder)
    assert text in message
    assert message.startswith(str(folder / "info.yaml"))
    assert len(message) < 3000


@pytest.mark.parametrize(
    ("info", "text"),
    [
        ('{"pixel_scale": 0.05, "pixel_scale": 0.06}', "cannot be read: the keys ['pixel_scale'] are there twice; keep one of each."),
        ('{"pixel_scale": 0.05', "cannot be read: Expecting ',' delimiter"),
        ("[1]", "holds list"),
        ('{"pixel_scale": NaN}', "pixel_scale (line 1) is nan"),
        ("[" * 90_000, "cannot be read: "),
        ('{\n"redshift": 1}', "the key 'redshift' (line 2) is not known"),
    ],
)
def test_what_can_be_wrong_with_json(folder: Path, info: str, text: str) -> None:
    (folder / "info.yaml").unlink()
    (folder / "info.json").write_text(info)
    assert text in refused(folder)


@pytest.mark.parametrize("name", ["info.yaml", "info.json"])
def test_a_large_info_file_is_not_parsed(folder: Path, name: str) -> None:
    (folder / "info.yaml").unlink()
    (folder / name).write_text("#" * 100_001)
    message = refused(folder)
    assert f"{name} cannot be read: 100001 bytes are too many; such a file has at most 100000: keep the few facts it is for." in message


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("info.yaml", "\n".join(f"k{i}: 1" for i in range(9_000))),
        ("info.yaml", "a: " + "[" * 20_000 + "1" + "]" * 20_000),
        ("info.json", json.dumps({f"k{i}": 1 for i in range(6_000)})),
    ],
)
def test_parsing_is_quick_whatever_stands_there(folder: Path, name: str, content: str) -> None:
    (folder / "info.yaml").unlink()
    (folder / name).write_text(content)
    start = time.perf_counter()
    refused(folder)
    assert time.perf_counter() - start < 20.0
