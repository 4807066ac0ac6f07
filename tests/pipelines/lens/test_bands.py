"""A folder of bands: what it gives, and what is refused with which words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from astropy.io import fits

from fitcore.errors import DataError
from pipelines.lens.bands import Bands, load, reference_of
from pipelines.lens.dataset import Imaging
from pipelines.lens.prepare import prepare

Write = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path, ring: SimpleNamespace) -> Write:
    """Writes a folder of bands; ``facts`` are those of each band's info file."""
    image = ring.make()

    def write(info: str, facts: dict[str, dict[str, Any]]) -> Path:
        for band, known in facts.items():
            folder = tmp_path / "lens" / band
            folder.mkdir(parents=True)
            for name in ("data", "noise", "psf"):
                fits.writeto(folder / f"{'image' if name == 'data' else name}.fits", np.asarray(getattr(image, name)))
            (folder / "info.json").write_text(json.dumps({"pixel_scale": image.pixel_scale, **known}))
        (tmp_path / "lens" / "info.yaml").write_text(info)
        return tmp_path / "lens"

    return write


TWO = {"F277W": {"redshift_lens": 2.0}, "F444W": {}}


def test_the_bands_are_read_in_the_order_that_is_named(written: Write) -> None:
    dataset = load(written("name: ring\nbands: [F444W, F277W]\n", TWO))
    assert isinstance(dataset, Bands)
    assert (dataset.name, dataset.names) == ("ring", ("F444W", "F277W"))
    assert reference_of(dataset) is dataset.members[0]
    assert [image.redshift_lens for image in dataset.members] == [None, 2.0]


def test_without_a_name_it_is_called_as_the_folder(written: Write) -> None:
    assert load(written("bands: [F277W, F444W]\n", TWO)).name == "lens"


def test_a_folder_without_bands_is_one_image(written: Write) -> None:
    image = load(written("bands: [F277W, F444W]\n", TWO) / "F277W")
    assert isinstance(image, Imaging)
    assert reference_of(image) is image


def test_an_image_is_not_read_from_a_folder_of_bands(written: Write) -> None:
    with pytest.raises(DataError, match=r"is no image but has the bands \['F277W', 'F444W'\].*Give one of these"):
        Imaging.from_folder(written("bands: [F277W, F444W]\n", TWO))


def test_what_the_further_bands_do_not_say_is_as_in_the_first(ring: SimpleNamespace) -> None:
    first, plain, own = replace(ring.make(), mask_radius=2.0), ring.make(), replace(ring.make(), mask_radius=1.7, center=(0.1, 0.0))
    images = Bands(name="x", names=("A", "B", "C"), members=(first, plain, own)).images
    assert [image.mask_radius for image in images] == [2.0, 2.0, 1.7]
    assert images[0] is first
    assert [image.center for image in images[1:]] == [prepare(first).center, (0.1, 0.0)]


@pytest.mark.parametrize(
    ("info", "facts", "words"),
    [
        ("bands: [F277W]\n", TWO, r"has one band, 'F277W'; at least 2 are fitted jointly\. Run the folder of that band itself"),
        ("bands: []\n", TWO, r"has 0 bands; 2 to 8 are allowed\. Name their folders in info\.yaml"),
        ("bands: [a, b, c, d, e, f, g, h, i]\n", TWO, r"has 9 bands; 2 to 8 are allowed"),
        (
            "bands: [F277W, F814W]\n",
            TWO,
            r"no folder for the band 'F814W'; it has the folders \['F277W', 'F444W'\]\. Add it, or mend bands",
        ),
        ("bands: [F277W, F277W]\n", TWO, r"has the same band twice: F277W, F277W\. Name each once: the same data would count twice"),
        ("bands: [F277W, f277w]\n", TWO, r"has the same band twice: F277W, f277w\. Name each once"),
        ("bands: [../lens/F277W, F444W]\n", TWO, r"the band '\.\./lens/F277W' is not allowed; it is the name of a folder inside"),
        ("bands: [/etc, F444W]\n", TWO, r"the band '/etc' is not allowed"),
        ("bands: ['.', F444W]\n", TWO, r"the band '\.' is not allowed"),
        ("bands: F277W\n", TWO, r"bands \(line 1\) is 'F277W': Input should be a valid list"),
        (
            "bands: [F277W, F444W]\nredshift_lens: 2.0\nmask_radius: 2.0\n",
            TWO,
            r"has bands, and beside it \['mask_radius', 'redshift_lens'\]; only \['name', 'bands'\] are allowed there.*say it there",
        ),
        (
            "bands: [A, B]\n",
            {"A": {"redshift_lens": 2.0}, "B": {"redshift_lens": 0.5}},
            r"redshift_lens is 2\.0 in A and 0\.5 in B; the bands",
        ),
        (
            "bands: [A, B]\n",
            {"A": {"redshift_source": 2.0}, "B": {"redshift_source": 3.5}},
            r"redshift_source is 2\.0 in A and 3\.5 in B; the bands must be of one lens\. Mend one info file",
        ),
        ("bands: [A, B]\n", {"A": {}, "B": {"bands": ["C", "D"]}}, r"B has bands itself; a band is one image\. Name the innermost folders"),
    ],
)
def test_what_cannot_be_fitted_is_refused(written: Write, info: str, facts: dict[str, dict[str, Any]], words: str) -> None:
    with pytest.raises(DataError, match=words):
        load(written(info, facts))


def test_one_folder_by_two_links_is_the_same_band(written: Write) -> None:
    folder = written("bands: [F277W, other]\n", TWO)
    (folder / "other").symlink_to(folder / "F277W")
    with pytest.raises(DataError, match=r"the bands 'F277W' and 'other' are the same folder, .*F277W\. Name it once"):
        load(folder)


def test_only_parallel_frames_are_fitted_together(ring: SimpleNamespace) -> None:
    image = ring.make()
    near = Bands(name="x", names=("A", "B"), members=(replace(image, position_angle_of_y=359.8), replace(image, position_angle_of_y=0.1)))
    assert near.names == ("A", "B")
    with pytest.raises(DataError, match=r"x: B is turned by 30\.00 degrees against A; at most 0\.5 is allowed.*parallel axes"):
        Bands(name="x", names=("A", "B"), members=(image, replace(image, position_angle_of_y=30.0)))
    with pytest.raises(DataError, match=r"B is turned by 0\.00 degrees and mirrored against A"):
        Bands(name="x", names=("A", "B"), members=(image, replace(image, is_mirrored=True)))
    with pytest.raises(DataError, match=r"2 bands are named and 1 images given"):
        Bands(name="x", names=("A", "B"), members=(image,))


def test_a_folder_that_is_not_there_is_refused_as_for_one_image(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is not a folder"):
        load(tmp_path / "nothing")
