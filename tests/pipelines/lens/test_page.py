"""The report of a finished chain: one file that needs nothing else and holds what the results hold."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore import walk
from pipelines.lens import page as module
from pipelines.lens.page import PAGE
from pipelines.lens.report_content import ReportContent


@pytest.fixture(scope="module")
def links(ring_chain: SimpleNamespace) -> list[dict[str, Any]]:
    return [
        {"stage": stage.name, "source": link.source, "kind": link.kind, "what": link.what, "why": link.why}
        for stage in ring_chain.pipeline
        for link in stage.links
    ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset's folder with the truth of some parameters beside it."""
    folder = tmp_path_factory.mktemp("dataset")
    truth = {"mass.einstein_radius": 1.1, "source.center_x": 0.15, "einstein_radius_effective": 1.1, "source.sersic_index": 4.0}
    (folder / "truth.json").write_text(json.dumps(truth), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def written(ring_chain: SimpleNamespace, links: list[dict[str, Any]], folder: Path) -> tuple[str, ReportContent]:
    """The file's text, and what was to be drawn in it."""
    seen: list[ReportContent] = []

    def keep(content: ReportContent, target: Path) -> Any:
        seen.append(content)
        return write(content, target)

    write = module.write_report
    target = folder / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "write_report", keep)
        PAGE.report(
            ring_chain.dataset,
            ring_chain.results,
            walk(ring_chain.pipeline, ring_chain.dataset, ring_chain.store),
            links=links,
            target=target,
            context={"command": "fitcore run ring", "dataset": str(folder), "seed": 0},
        )
    return target.read_text(encoding="utf-8"), seen[0]


def test_the_file_needs_nothing_else(written: tuple[str, ReportContent]) -> None:
    text, _ = written
    assert text.lstrip().lower().startswith("<!doctype html")
    for pattern in (r'(?:src|href)="(?!data:|#)', r"@import", r"url\((?!['\"]?(?:data:|#))", r"<script[^>]*\ssrc"):
        assert re.search(pattern, text) is None, pattern


def test_parameters_links_and_command_are_in_the_file(
    written: tuple[str, ReportContent], ring_chain: SimpleNamespace, links: list[dict[str, Any]]
) -> None:
    text = html.unescape(written[0])
    last = ring_chain.results["power_law"]
    for path in (*last.model.paths, *last.latent_samples.paths):
        group, _, leaf = path.rpartition(".")
        assert re.search(rf"{re.escape(group)}\S{{0,80}}</span>{leaf}", text), path
    assert "fitcore run ring" in text
    for link in links:
        assert link["why"] in text
    for result in ring_chain.results.values():
        assert result.digest[:8] in text


def test_quantities_are_those_of_the_results(written: tuple[str, ReportContent], ring_chain: SimpleNamespace) -> None:
    content, last = written[1], ring_chain.results["power_law"]
    assert [row.path for row in content.parameters] == list(last.model.paths)
    samples, one = last.samples, last.samples.values_at_sigma(1.0)
    for i, row in enumerate(content.parameters):
        assert row.median == pytest.approx(samples.median_pdf()[i])
        assert (row.lower, row.upper) == pytest.approx(tuple(one[i]))
        assert row.lower_3 <= row.lower < row.median < row.upper <= row.upper_3
        assert row.is_at_bound is False
        assert 0 < row.shrinkage < 1.5
    assert next(row for row in content.parameters if row.path == "mass.einstein_radius").shrinkage < 0.1
    units = {row.path: row.unit for row in (*content.parameters, *content.latents)}
    assert units["mass.einstein_radius"] == units["source.main.center_x"] == "arcsec"
    assert units["mass.slope"] == ""
    assert units["mass_pa_e_of_n"] == "deg"
    assert units["einstein_radius_effective"] == "arcsec"
    assert content.headline.log_evidence == last.log_evidence
    assert content.headline.einstein_radius_effective is not None
    assert content.headline.einstein_radius_effective.median == pytest.approx(1.1, rel=0.02)


def test_planes_add_up(written: tuple[str, ReportContent], ring_chain: SimpleNamespace) -> None:
    planes = written[1].planes
    assert planes.model == pytest.approx(planes.lens_light + planes.lensed_source)
    assert np.isinf(planes.noise[~planes.mask]).all()
    chi = ((planes.data - planes.model) / planes.noise)[planes.mask]
    assert (chi**2).mean() == pytest.approx(written[1].headline.chi_squared_per_pixel, rel=1e-6)
    width = planes.extent[1] - planes.extent[0]
    assert width == pytest.approx(planes.data.shape[1] * ring_chain.dataset.pixel_scale)
    assert all(len(curve) for curve in planes.critical_curves)
    mean_radius = np.hypot(*(planes.critical_curves[0] - planes.critical_curves[0][:-1].mean(axis=0)).T).mean()
    assert mean_radius == pytest.approx(1.1, rel=0.05)


def test_the_source_is_where_the_fit_has_it(written: tuple[str, ReportContent]) -> None:
    source = written[1].source
    n_y, n_x = source.image.shape
    row, column = np.unravel_index(np.argmax(source.image), source.image.shape)
    x = np.linspace(source.extent[0], source.extent[1], n_x)[column]
    y = np.linspace(source.extent[2], source.extent[3], n_y)[row]
    assert (x, y) == pytest.approx((0.15, 0.08), abs=0.04)
    assert source.image.max() == pytest.approx(10.0, rel=0.3)


def test_stages_carry_their_own_links(written: tuple[str, ReportContent]) -> None:
    rows = {row.name: row for row in written[1].stages}
    assert list(rows) == ["basin", "isothermal", "power_law"]
    assert [len(row.links) for row in rows.values()] == [0, 6, 3]
    assert {link.source for link in rows["power_law"].links} == {"basin", "isothermal"}
    assert {row.grade for row in rows.values()} == {"A"}
    assert all(row.n_calls > 0 and row.seconds > 0 for row in rows.values())
    assert set(written[1].samples.paths) == {p for p in written[1].samples.paths if p.startswith(("mass.", "shear."))}
    assert "mass.slope" in written[1].samples.paths


def test_known_truth_is_shown_for_what_is_listed(written: tuple[str, ReportContent]) -> None:
    assert written[1].truth == {"mass.einstein_radius": 1.1, "source.main.center_x": 0.15, "einstein_radius_effective": 1.1}


def test_what_was_decided_is_told(written: tuple[str, ReportContent]) -> None:
    facts = written[1].preparation
    decided = {decision.what: decision for decision in written[1].decisions}
    assert (decided["mask radius"].value, decided["mask radius"].how, decided["mask radius"].key) == (
        "2 arcsec",
        "info.yaml",
        "mask_radius",
    )
    assert decided["lens center"].how.startswith("brightest pixel of the only extended bright object")
    assert decided["lens center"].key in written[0]
    assert "What stands out of the galaxy" in written[0]
    assert facts["images of the source"] == 2
    assert facts["mass_in_einstein"] == "left out: the dataset has no redshift_lens and no redshift_source; add it to info.yaml"
    assert "no magnitude_zero_point" in facts["lens_magnitude"]
    assert facts["used pixels"] > facts["arc pixels"] > 0


def test_every_band_is_shown(joint_chain: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[ReportContent] = []
    write = module.write_report
    monkeypatch.setattr(module, "write_report", lambda content, target: seen.append(content) or write(content, target))
    outcomes = walk(joint_chain.pipeline, joint_chain.dataset, joint_chain.store)
    context = {"command": "fitcore run two", "dataset": str(tmp_path), "seed": 0}
    PAGE.report(joint_chain.dataset, joint_chain.results, outcomes, links=[], target=tmp_path / "two.html", context=context)
    (content,) = seen
    assert (content.name, content.band, [band.name for band in content.bands]) == ("two", "A", ["B"])
    (band,) = content.bands
    assert band.offset.startswith("offset from the first band, x and y: +13.")
    assert band.chi_squared_per_pixel == pytest.approx(1.0, abs=0.1)
    assert band.source is not None
    assert content.source is not None
    assert band.source.image.max() / content.source.image.max() == pytest.approx(1.5, rel=0.1)
    shift = np.asarray(band.planes.critical_curves[0]) - np.asarray(content.planes.critical_curves[0])
    np.testing.assert_allclose(shift, np.broadcast_to([0.013, -0.021], shift.shape), atol=3e-3)
    assert np.nanstd(band.planes.residual) == pytest.approx(1.0, abs=0.1)
    units = {latent.path: latent.unit for latent in content.latents}
    assert units["B.source_flux"] == units["source_flux"] == "image units"
    text = (tmp_path / "two.html").read_text(encoding="utf-8")
    assert "<h2>Images: A</h2>" in text
    assert "<h2>Images: B</h2>" in text
    assert text.count("Data less lens light:") == 2


def test_a_preview_has_the_layout_of_the_report(
    written: tuple[str, ReportContent], ring_chain: SimpleNamespace, links: list[dict[str, Any]], tmp_path: Path
) -> None:
    last = ring_chain.results["power_law"]
    done = {name: result for name, result in ring_chain.results.items() if name != "power_law"}
    outcomes = [outcome for outcome in walk(ring_chain.pipeline, ring_chain.dataset, ring_chain.store) if outcome.name in done]
    theta = np.asarray(last.samples_summary.best)
    target = tmp_path / "ring.running.html"
    write = PAGE.preview(
        ring_chain.dataset,
        done,
        outcomes,
        links=links,
        target=target,
        context={"command": "fitcore run ring", "seed": 0},
        best=dict(zip(last.model.paths, theta.tolist(), strict=True)),
        instance=last.model.instance_from_vector(theta),
        running="stage power_law, drawing: 1,234 calls",
    )
    assert not target.exists()
    assert write() == target
    text = target.read_text(encoding="utf-8")
    assert '<div class="banner running">' in text
    assert "stage power_law, drawing: 1,234 calls" in text
    headings, whole = ([h.removesuffix(" and downloads") for h in re.findall(r"<h2>(.*?)</h2>", page)] for page in (text, written[0]))
    assert headings == [heading for heading in whole if heading in {*headings}]
    assert {"Images", "Preparation of the data", "Parameters", "What is left after the fit", "Chain of searches"} <= {*headings}
    assert re.search(r"<style>.*?</style>", text, re.DOTALL)[0] == re.search(r"<style>.*?</style>", written[0], re.DOTALL)[0]  # type: ignore[index]
    assert not re.search(r"\bnan\b", re.sub(r"base64,[^\"]*", "", text))
