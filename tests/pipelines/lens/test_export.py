"""What a lens hands over, by the object that the flows ask: all formats, all stages, all bands; meanings and references."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits

from fitcore.errors import ConfigError
from pipelines.lens.export import EXPORTS
from pipelines.lens.page import PAGE
from pipelines.lens.references import references_of


def test_the_report_carries_the_exports(ring_chain: SimpleNamespace, exported: SimpleNamespace) -> None:
    assert PAGE.exports is EXPORTS
    more = {"stem": "s", "folder": exported.folder, "about": exported.about}
    names = {form: sorted(EXPORTS.files(form, ring_chain.dataset, ring_chain.results, **more)) for form in ("fits", "ds9")}
    assert names == {"fits": ["s.fits"], "ds9": ["s.fk5.reg", "s.image.reg", "s.source.reg"]}
    assert "s.coolest.json" in EXPORTS.files("coolest", ring_chain.dataset, ring_chain.results, **more)
    with pytest.raises(ConfigError, match=r"A lens has no format 'png'; it has \['fits', 'ds9', 'coolest'\]"):
        EXPORTS.files("png", ring_chain.dataset, ring_chain.results, **more)


def test_an_earlier_stage_is_exported_as_well(ring_chain: SimpleNamespace, exported: SimpleNamespace) -> None:
    results = {name: ring_chain.results[name] for name in ("basin", "isothermal")}
    told = json.loads(EXPORTS.files("coolest", ring_chain.dataset, results, stem="s", folder=exported.folder, about={})["s.coolest.json"])
    (gamma,) = (
        part["parameters"]["gamma"] for entity in told["lensing_entities"] for part in entity["mass_model"] if part["type"] == "PEMD"
    )
    assert gamma["point_estimate"]["value"] == 2.0
    assert gamma["fixed"] is True
    assert set(gamma["posterior_stats"].values()) == {None}


def test_each_band_has_files_of_its_own(exported: SimpleNamespace, joint_chain: SimpleNamespace, tmp_path: Path) -> None:
    for name, image in zip(joint_chain.dataset.names, joint_chain.dataset.members, strict=True):
        (tmp_path / name).mkdir()
        for role, plane in (("image", image.data), ("noise", image.noise), ("psf", image.psf)):
            fits.PrimaryHDU(plane).writeto(tmp_path / name / f"{role}.fits")
    more = {"stem": "s", "folder": tmp_path, "about": exported.about}
    files = EXPORTS.files("fits", joint_chain.dataset, joint_chain.results, **more)
    assert sorted(files) == ["s-B.fits", "s.fits"]
    for name, image in zip(("s.fits", "s-B.fits"), joint_chain.dataset.members, strict=True):
        with fits.open(io.BytesIO(files[name])) as hdus:
            np.testing.assert_array_equal(hdus["DATA"].data, image.data)
            used = hdus["MASK"].data == 1
            assert (hdus["RESIDUAL"].data[used] ** 2).mean() == pytest.approx(1.0, abs=0.2)
    regions = EXPORTS.files("ds9", joint_chain.dataset, joint_chain.results, **more)
    center = re.compile(rb"^point\(([^)]*)\) .*center of mass", re.MULTILINE)
    first, second = (np.array(center.findall(regions[f"{name}.image.reg"])[0].split(b","), dtype=float) for name in ("s", "s-B"))
    shift = (second - first) * joint_chain.dataset.reference.pixel_scale
    assert shift == pytest.approx((0.013, -0.021), abs=2e-3)


def test_meanings(ring_chain: SimpleNamespace) -> None:
    last = ring_chain.results["power_law"]
    for path in (*last.model.paths, *last.latent_samples.paths):
        assert EXPORTS.meaning(path).latex, path
        assert EXPORTS.meaning(path).description, path
    labels = [EXPORTS.meaning(path).latex for path in (*ring_chain.results["basin"].model.paths, *last.model.paths)]
    assert len(set(labels)) == len({*ring_chain.results["basin"].model.paths, *last.model.paths})  # no two parameters look alike
    assert EXPORTS.meaning("mass.einstein_radius").unit == "arcsec"
    assert "intermediate axis" in EXPORTS.meaning("mass.einstein_radius").description
    assert "east of north" in EXPORTS.meaning("mass_pa_e_of_n").description
    assert EXPORTS.meaning("B.source_flux").unit == "image units"
    assert EXPORTS.meaning("<b>.\x1b") == EXPORTS.meaning("nothing.known")
    assert EXPORTS.drawn(last.model.paths) == tuple(path for path in last.model.paths if path.startswith(("mass.", "shear.")))
    assert any("east of north" in sentence for sentence in EXPORTS.conventions)


def test_labels_can_be_set(ring_chain: SimpleNamespace) -> None:
    """By matplotlib, which knows less mathematics than LaTeX."""
    from matplotlib.mathtext import MathTextParser

    for path in (*ring_chain.results["basin"].model.paths, *ring_chain.results["power_law"].latent_samples.paths):
        MathTextParser("path").parse(f"${EXPORTS.meaning(path).latex}$")


def test_references_are_of_what_was_used(ring_chain: SimpleNamespace) -> None:
    spec = {name: ring_chain.store.read(result.digest).spec for name, result in ring_chain.results.items()}
    first, last = ({entry.key for entry in references_of(spec[name])} for name in ("basin", "power_law"))
    assert {"kormann1994isothermal", "cappellari2002mge", "lawson1974solving", "astropy2022"} <= first
    assert {"tessore2015elliptical", "cappellari2002mge"} <= last
    assert "tessore2015elliptical" in last
    assert not {"navarro1997universal", "sersic1968atlas"} & (first | last)
    assert references_of(["str", "x"]) == []
