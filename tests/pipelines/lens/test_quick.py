"""The pipeline `quick`: the stage of `lens`, found by `lens` in the store, with a name, a row and a report of its own."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from importlib.metadata import entry_points
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from fitcore import Pipeline, Store, run_pipeline
from fitcore.chain import request_of, walk
from fitcore.errors import ConfigError
from flows import catalogue
from pipelines.lens.entry import LENS, QUICK
from pipelines.lens.page import PAGE

ROOT = Path(__file__).resolve().parents[3]


def test_it_is_found_by_name() -> None:
    assert {point.name: point.value for point in entry_points(group="fitcore.pipelines")}["quick"] == "pipelines.lens.entry:QUICK"
    assert (QUICK.name, QUICK.stage_names, QUICK.latent_stage) == ("quick", ("basin",), "basin")
    assert catalogue.page("quick") is PAGE


def test_it_asks_for_what_lens_asks_for_first(ring: SimpleNamespace) -> None:
    """The same digest for each seed and setting, so that either answers the other."""
    dataset = replace(ring.make(), mask_radius=2.0)
    for seed, settings in ((0, {}), (5, {"basin": {"n_random": 3}})):
        asked = []
        for entry in (QUICK, LENS):
            pipeline = entry.build(settings)
            asked.append(request_of(pipeline, pipeline.stage("basin"), dataset, {}, pipeline.stage_seed(seed, "basin")).digest)
        assert asked[0] == asked[1]


def test_settings_reach_the_search_and_unknown_ones_are_refused() -> None:
    assert QUICK.build({"basin": {"n_random": 2}}).stage("basin").search.n_random == 2  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(ConfigError, match="Pipeline 'quick' has no stage 'power_law'"):
        QUICK.build({"power_law": {"n_eff": 5}})


def test_the_chain_finds_its_first_stage_done(ring_chain: SimpleNamespace, tmp_path: Path) -> None:
    first = ring_chain.pipeline.stage("basin")
    store = Store(tmp_path / "store")
    alone = run_pipeline(Pipeline("quick", [first]), ring_chain.dataset, store)
    rows = walk(ring_chain.pipeline, ring_chain.dataset, store)
    assert [(row.name, row.cached) for row in rows][:1] == [("basin", True)]
    told = QUICK.describe(ring_chain.dataset, alone)
    assert told["verdict"] == "accepted", told["reasons"]
    assert told["parameters"]["mass.einstein_radius"]["median"] == pytest.approx(1.1, rel=0.02)
    assert set(told["parameters"]) == set(alone["basin"].model.paths)
    target = tmp_path / "quick" / "ring.html"
    PAGE.report(ring_chain.dataset, alone, rows[:1], links=[], target=target, context={"command": "", "dataset": "", "seed": 0})
    assert "Preparation of the data" in target.read_text(encoding="utf-8")


def test_a_pipeline_in_a_file_of_ones_own(ring_chain: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example of the documentation, as its reader would install it."""
    code, toml = re.findall(r"```(?:python|toml)\n(.*?)```", (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "mylens.py").write_text(code)
    installed = tmp_path / "mylens-0.1.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: mylens\nVersion: 0.1\n")
    groups = re.findall(r'\[project.entry-points."(.*?)"\]\n(\w+) = "(.*?)"', toml)
    assert [group for group, _, _ in groups] == [catalogue.GROUP, catalogue.REPORTS]
    (installed / "entry_points.txt").write_text("".join(f"[{group}]\n{name} = {value}\n\n" for group, name, value in groups))
    monkeypatch.syspath_prepend(tmp_path)
    entry: Any = catalogue.find("sie")
    assert {"lens", "quick", "sie"} <= set(catalogue.names())
    assert entry.stage_names == ("basin", "isothermal")
    assert entry.build({"isothermal": {"n_eff": 50}}).stage("isothermal").search.n_eff == 50
    assert catalogue.page("sie") is PAGE
    two = {name: ring_chain.results[name] for name in entry.stage_names}
    assert entry.describe(ring_chain.dataset, two)["verdict"] == "accepted"
    sys.modules.pop("mylens", None)
