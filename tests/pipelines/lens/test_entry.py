"""The entry point: names, settings, what it says of a finished chain, and a simulated dataset that it can load."""

from __future__ import annotations

import importlib.metadata
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from fitcore import Store, run_pipeline
from fitcore.errors import ConfigError, DataError
from pipelines.lens.bands import Bands
from pipelines.lens.entry import LENS, QUICK, LensEntry
from pipelines.lens.stages import lens_pipeline
from pipelines.lens.varpro import PARAMETERS


def test_it_is_found_by_name() -> None:
    found = {point.name: point.value for point in importlib.metadata.entry_points(group="fitcore.pipelines")}
    assert found["lens"] == "pipelines.lens.entry:LENS"
    assert LENS.name == "lens"
    assert LENS.stage_names == (*LENS.build({}).stage_names, "bands")
    assert LENS.latent_stage == LENS.build({}).stage_names[-1]


def test_settings_reach_the_searches_and_unknown_ones_are_refused() -> None:
    assert LENS.build({"power_law": {"n_eff": 50}}).stage("power_law").search.n_eff == 50  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ConfigError, match="has no setting 'n_efff'"):
        LENS.build({"power_law": {"n_efff": 50}})
    with pytest.raises(ConfigError, match=r"has no stage 'powerlaw'.*Did you mean 'power_law'"):
        LENS.build({"powerlaw": {"n_eff": 50}})
    with pytest.raises(ConfigError, match="n_eff"):
        LENS.build({"power_law": {"n_eff": "many"}})


def test_a_finished_chain_is_described(ring_chain: SimpleNamespace) -> None:
    told = LENS.describe(ring_chain.dataset, ring_chain.results)
    last = ring_chain.results["power_law"]
    assert set(told["parameters"]) == set(last.model.paths)
    assert told["headline"] in told["latents"]
    radius = told["parameters"]["mass.einstein_radius"]
    assert radius["lower"] < radius["median"] < radius["upper"]
    assert radius["median"] == pytest.approx(1.1, rel=0.02)
    assert told["latents"]["einstein_radius_effective"]["median"] == pytest.approx(1.1, rel=0.01)
    assert told["verdict"] == "accepted", told["reasons"]
    assert json.loads(json.dumps(told)) == told


@pytest.mark.slow
def test_the_chain_finds_the_ring(ring: SimpleNamespace, tmp_path: Path) -> None:
    """The real searches with few samples, from the image to the verdict."""
    dataset = replace(ring.make(), mask_radius=2.0)
    pipeline = LENS.build({"basin": {"n_random": 3, "n_modes": 3}, "isothermal": {"n_eff": 100}, "power_law": {"n_eff": 100}})
    told = LENS.describe(dataset, run_pipeline(pipeline, dataset, Store(tmp_path / "store")))
    assert told["verdict"] == "accepted", told["reasons"]
    assert told["latents"]["einstein_radius_effective"]["median"] == pytest.approx(1.1, rel=0.01)
    for path, value in zip(PARAMETERS, ring.truth, strict=True):
        if path in told["parameters"] and not path.startswith("source"):
            interval = told["parameters"][path]
            assert abs(interval["median"] - value) < 4 * (interval["upper"] - interval["lower"]), path


def test_a_simulated_dataset_loads(tmp_path: Path) -> None:
    folder = LENS.simulate(tmp_path / "made", seed=2)
    image = LENS.load(folder)
    truth = json.loads((folder / "truth.json").read_text(encoding="utf-8"))
    assert image.name == "made"
    assert np.isfinite(image.data).all()
    assert 0.9 <= truth["mass.einstein_radius"] <= 1.4
    with pytest.raises(DataError):
        LENS.simulate(folder, seed=2)


def test_the_chain_is_chosen_by_the_dataset(two_bands: SimpleNamespace) -> None:
    image = two_bands.dataset.reference
    assert LENS.build_for(image, {}).stage_names == LENS.build({}).stage_names
    joint = LENS.build_for(two_bands.dataset, {"bands": {"n_steps": 7}})
    assert joint.stage_names == ("basin", "bands", "isothermal", "power_law")
    assert joint.stage("bands").search.n_steps == 7  # pyright: ignore[reportAttributeAccessIssue]
    assert joint.stage_names[-1] == LENS.latent_stage
    assert QUICK.build_for(two_bands.dataset, {}).stage_names == ("basin",)
    with pytest.raises(ConfigError, match=r"has no stage 'bands'"):
        LENS.build_for(image, {"bands": {"n_steps": 7}})


def test_a_pipeline_of_one_image_refuses_bands(two_bands: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.lens.bands.load", lambda path: two_bands.dataset)
    assert isinstance(LENS.load(Path("lens")), Bands)
    words = r"lens has the bands \['A', 'B'\]; the pipeline 'sie' fits one image\. Give it the folder of one band, or use --pipeline lens"
    with pytest.raises(DataError, match=words):
        LensEntry("sie", lens_pipeline).load(Path("lens"))


def test_a_finished_joint_chain_is_described(joint_chain: SimpleNamespace) -> None:
    told = LENS.describe(joint_chain.dataset, joint_chain.results)
    assert told["verdict"] == "accepted", told["reasons"]
    assert told["parameters"]["bands.B.offset_y"]["median"] == pytest.approx(-0.021, abs=2e-3)
    assert told["latents"]["einstein_radius_effective"]["median"] == pytest.approx(1.1, rel=0.01)
    assert told["latents"]["B.chi2_per_pixel_arc"]["median"] == pytest.approx(1.0, abs=0.3)
    assert json.loads(json.dumps(told)) == told


def test_quick_looks_at_the_first_band(joint_chain: SimpleNamespace) -> None:
    told = QUICK.describe(joint_chain.dataset, {"basin": joint_chain.results["basin"]})
    assert told["verdict"] == "accepted", told["reasons"]
    assert not any("bands" in path for path in told["parameters"])
