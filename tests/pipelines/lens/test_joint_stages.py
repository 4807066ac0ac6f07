"""The chain of several bands: its first stage is that of one image, what the others hold and pass on, and what it finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore import Store
from fitcore.chain import asked, request_of, run_stage, walk
from fitcore.errors import ConfigError
from pipelines.lens.bands import Bands
from pipelines.lens.entry import LENS
from pipelines.lens.joint_search import JointDescent
from pipelines.lens.joint_stages import joint_pipeline
from pipelines.lens.stages import lens_pipeline


def test_the_first_stage_asks_for_what_one_image_asks_for(two_bands: SimpleNamespace) -> None:
    """The same digest: either chain, and `quick`, answers the other."""
    reference = two_bands.dataset.reference
    for seed in (0, 5):
        digests = {
            request_of(pipeline, pipeline.stage("basin"), dataset, {}, seed).digest
            for pipeline, dataset in (
                (joint_pipeline(), two_bands.dataset),
                (lens_pipeline(), reference),
                (lens_pipeline(), two_bands.dataset),
            )
        }
        assert len(digests) == 1


def test_the_stages_hold_every_light_and_fit_every_offset(joint_chain: SimpleNamespace) -> None:
    results = joint_chain.results
    assert list(results) == ["basin", "bands", "isothermal", "power_law"]
    assert [result.model.n_dim for result in results.values()] == [21, 29, 13, 14]
    assert set(results["power_law"].model.paths) - set(results["isothermal"].model.paths) == {"mass.slope"}
    assert {path for path in results["isothermal"].model.paths if path.startswith("bands.")} == {"bands.B.offset_x", "bands.B.offset_y"}
    lower, upper = results["bands"].model.priors["mass.einstein_radius"].support
    assert (lower, upper) == pytest.approx((0.75 * 1.1, 1.25 * 1.1), rel=0.01)
    assert results["isothermal"].model.priors["mass.einstein_radius"] == results["bands"].model.priors["mass.einstein_radius"]


def test_a_finished_chain_is_answered_and_another_band_is_asked_anew(joint_chain: SimpleNamespace) -> None:
    rows = walk(joint_chain.pipeline, joint_chain.dataset, joint_chain.store)
    assert [(row.name, row.cached) for row in rows] == [(name, True) for name in joint_chain.results]
    first, second = joint_chain.dataset.members
    other = Bands(name="two", names=("A", "B"), members=(first, replace(second, data=second.data * 1.001)))
    requests = asked(joint_chain.pipeline, other, joint_chain.store)
    assert list(requests) == ["basin", "bands"]
    assert requests["basin"].digest == rows[0].digest
    assert requests["bands"].digest != rows[1].digest


def test_settings_reach_the_searches_and_unknown_ones_are_refused() -> None:
    assert joint_pipeline({"bands": {"n_steps": 3}}).stage("bands").search == JointDescent(n_steps=3)
    with pytest.raises(ConfigError, match=r"no stage 'band'.*Did you mean 'bands'\?"):
        joint_pipeline({"band": {"n_steps": 3}})


@pytest.fixture(scope="module")
def found(two_bands: SimpleNamespace, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The real searches, with few samples: the joint chain up to `isothermal`, and the reference's alone, in one store."""
    store = Store(tmp_path_factory.mktemp("found") / "store")
    few = {"basin": {"n_random": 3, "n_modes": 3}, "isothermal": {"n_eff": 200}}
    joint, alone = LENS.build_for(two_bands.dataset, few), LENS.build(few)
    rows = [run_stage(joint, stage, two_bands.dataset, store) for stage in ("basin", "bands", "isothermal")]
    single = [run_stage(alone, stage, two_bands.dataset.reference, store) for stage in ("basin", "isothermal")]
    summaries = [store.read(row.digest).attributes["summary"] for row in (rows[-1], single[-1])]
    return SimpleNamespace(rows=rows, single=single, joint=columns(summaries[0]), alone=columns(summaries[1]))


def columns(summary: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Median and error of each parameter."""
    triples = zip(summary["paths"], summary["median"], summary["lower_1_sigma"], summary["upper_1_sigma"], strict=True)
    return {path: (median, 0.5 * (upper - lower)) for path, median, lower, upper in triples}


@pytest.mark.slow
def test_the_known_ring_and_its_offset_are_recovered(found: SimpleNamespace, two_bands: SimpleNamespace, ring: SimpleNamespace) -> None:
    truth = {**two_bands.start, **{f"bands.B.offset_{axis}": shift for axis, shift in zip("xy", two_bands.offset, strict=True)}}
    # The source's errors are conditional: its second set, which the ring has not, is held where noise has put it.
    asked = {path: pair for path, pair in found.joint.items() if path.startswith(("mass.", "shear.", "bands."))}
    assert len(asked) == 9
    pulls = {path: (median - truth[path]) / error for path, (median, error) in asked.items()}
    assert {path: pull for path, pull in pulls.items() if abs(pull) > 3.0} == {}
    assert all(found.joint[f"bands.B.offset_{axis}"][1] < 1e-3 for axis in "xy")


@pytest.mark.slow
def test_two_bands_say_more_than_one(found: SimpleNamespace) -> None:
    """The second band's source is half as bright again; mass and shear are known better by both."""
    ratios = [found.joint[path][1] / found.alone[path][1] for path in found.alone if path.startswith(("mass.", "shear."))]
    assert np.max(ratios) < 0.8, ratios
    assert found.single[0].cached
    assert found.single[0].digest == found.rows[0].digest


@pytest.mark.real_data
@pytest.mark.slow
def test_the_bands_of_a_real_ring_agree(shared_dir: Path, tmp_path: Path) -> None:
    """The COSMOS-Web ring, published at 0.77 arcsec; each band alone gives 0.786 and 0.779."""
    for band in ("F277W", "F444W"):
        (tmp_path / band).symlink_to(shared_dir / "data" / "cosmos_web_ring" / band)
    (tmp_path / "info.yaml").write_text("name: ring\nbands: [F277W, F444W]\n")
    dataset = LENS.load(tmp_path)
    store = Store(tmp_path / "store")
    pipeline = LENS.build_for(dataset, {})
    rows = [run_stage(pipeline, stage, dataset, store) for stage in ("basin", "bands")]
    best = columns(store.read(rows[-1].digest).attributes["summary"])
    assert best["mass.einstein_radius"][0] == pytest.approx(0.78, abs=0.01)
