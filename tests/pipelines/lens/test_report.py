"""The report: rounding, words, escaping, self-containment, and what is written."""

from __future__ import annotations

import base64
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore.errors import ConfigError, StoreError
from pipelines.lens.movement import Moved
from pipelines.lens.pictures import ImagePlanes, Posterior, SourcePlane
from pipelines.lens.report import render, write_report
from pipelines.lens.report_content import BandContent, Download, Headline, Link, Quantity, ReportContent, StageRow
from pipelines.lens.report_words import Measured, measured, plain, sigmas, size
from pipelines.lens.search_pictures import SearchHealth

HOSTILE = '<script>alert(\'x\')</script>" onload="y" {{ 7*7 }} {% raw %} \x1b[31mred\x00 \u202eturned \ud800 & שלום 漢字'
VOID = {"meta", "img", "path", "circle", "br", "hr"}


class Page(HTMLParser):
    """Tags, attributes and text of a page, checking that what opens also closes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open, f"never closed: {self._open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.text += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def radius(**changes: Any) -> Quantity:
    quantity = Quantity(
        path="mass.einstein_radius", unit="arcsec", prior="Uniform(0.2, 3)", median=1.40123, lower=1.39681, upper=1.40470, lower_3=1.3871,
        upper_3=1.4153, best=1.40017, shrinkage=0.0058,
    )  # fmt: skip
    return replace(quantity, **changes)


@pytest.fixture(scope="module")
def bare(numpy_lens: Callable[..., SimpleNamespace]) -> ReportContent:
    """The least that a report can be made of."""
    lens = numpy_lens(31, mask_radius=0.7)
    planes = ImagePlanes(data=lens.data, noise=lens.noise, mask=lens.mask, model=lens.model, extent=lens.extent, pixel_scale=0.05)
    return ReportContent(name="bare", verdict="review", planes=planes)


@pytest.fixture(scope="module")
def full(numpy_lens: Callable[..., SimpleNamespace]) -> ReportContent:
    """Everything that a report can say, at the size of a real lens."""
    lens = numpy_lens(161)
    rng = np.random.default_rng(4)
    slope = Quantity(path="mass.slope", median=2.03, lower=1.96, upper=2.1, shrinkage=0.24, is_at_bound=True)
    latent = radius(path="einstein_radius_effective", prior="", shrinkage=None)
    return ReportContent(
        name="J1250+0523",
        verdict="accepted",
        reasons=["residuals are noise"],
        headline=Headline(
            einstein_radius_effective=latent, chi_squared_per_pixel=0.99321, chi_squared_per_pixel_arcs=1.01319, log_evidence=12036.0194,
            log_evidence_error=0.0417,
        ),
        command="fitcore run data/J1250+0523 --seed 3",
        version="0.1.0",
        seed=3,
        digests={"basin": "a" * 64, "power_law": "b" * 64},
        planes=ImagePlanes(
            data=lens.data, noise=lens.noise, mask=lens.mask, model=lens.model, lens_light=lens.lens_light,
            lensed_source=lens.lensed_source, extent=lens.extent, pixel_scale=0.05, position_angle_of_y=-35.0,
            unit="e/s", critical_curves=[lens.critical],
        ),
        source=SourcePlane(image=lens.source, extent=lens.source_extent, caustics=[lens.caustic]),
        parameters=[radius(), slope],
        latents=[latent, Quantity(path="magnification", median=np.nan, lower=np.nan, upper=np.nan)],
        preparation={"mask": "circle of 3 arcsec", "pixels used": 11304, "is centered": True, "sky": 0.0012345},
        stages=[
            StageRow(name="basin", search="VariableProjection", n_calls=612, seconds=5.31, grade="B", diagnostics={"starts": 24}),
            StageRow(
                name="power_law", search="Importance", is_cached=True, n_calls=5120, log_evidence=12036.0194, log_evidence_error=0.0417,
                grade="A", seconds=132.9,
                links=[Link(kind="proposal", what="mass and shear", why="the data are the same", source="basin")],
            ),
        ],
        samples=Posterior(paths=("mass.einstein_radius", "mass.slope"), parameters=rng.normal(size=(2000, 2))),
        provenance={"jax": "0.10.2", "host": "node17"},
        truth={"mass.einstein_radius": 1.45, "einstein_radius_effective": 1.4, "nowhere": 1.0},
    )  # fmt: skip


@pytest.fixture(scope="module")
def full_page(full: ReportContent) -> str:
    return render(full)


# ---- numbers -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "minus", "plus", "expected"),
    [
        (1.40123, 0.00442, 0.00347, Measured(value="1.4012", plus="0.0035", minus="0.0044")),
        (12036.0194, 0.0417, 0.0417, Measured(value="12,036.019", plus="0.042")),
        (-0.02013, 0.0057, 0.00569, Measured(value="\N{MINUS SIGN}0.0201", plus="0.0057")),
        (5.0, 0.0996, 0.0996, Measured(value="5.00", plus="0.10")),
        (5.0, 0.99, 0.996, Measured(value="5.00", plus="1.00", minus="0.99")),
        (-0.0001, 0.11, 0.11, Measured(value="0.00", plus="0.11")),
        (123456.0, 1234.0, 1234.0, Measured(value="123,500", plus="1,200")),
        (2.412e11, 1.2e9, 1.3e9, Measured(value="2.412", plus="0.013", minus="0.012", power="11")),
        (3.21e-12, 4e-14, 4e-14, Measured(value="3.210", plus="0.040", power="\N{MINUS SIGN}12")),
        (1.5, 0.0, 0.0, Measured(value="1.5000")),
        (1.5, np.nan, np.nan, Measured(value="1.5000")),
        (np.nan, 0.1, 0.1, Measured(value="—")),
        (-np.inf, 0.1, 0.1, Measured(value="\N{MINUS SIGN}∞")),
        (0.0, np.nan, 0.1, Measured(value="0.00", plus="0.10", minus="—")),
    ],
)
def test_errors_keep_two_significant_digits(value: float, minus: float, plus: float, expected: Measured) -> None:
    assert measured(value, minus, plus) == expected


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.01319, "1.0132"),
        (99999.7, "100,000"),
        (-2.5e-7, "\N{MINUS SIGN}2.5000 \N{MULTIPLICATION SIGN} 10⁻⁷"),
        (2.41e11, "2.4100 \N{MULTIPLICATION SIGN} 10¹¹"),
        (np.inf, "∞"),
    ],
)
def test_plain_numbers(value: float, text: str) -> None:
    assert plain(value) == text


# ---- the page ------------------------------------------------------------------------------------------------------------------------


def test_everything_is_said(full_page: str) -> None:
    page = Page(full_page)
    text = re.sub(r"\s+", " ", page.text).replace("\N{MINUS SIGN}", "-").replace("\N{GREEK SMALL LETTER SIGMA}", "s")
    for words in (
        "J1250+0523", "accepted", "residuals are noise", "fitcore run data/J1250+0523 --seed 3", "version 0.1.0, seed 3", "a" * 64,
        "0.9932", "1.013",
        "12,036.019 ± 0.042", "1.4012 +0.0035 -0.0044", "1.3871 … 1.4153", "Uniform(0.2, 3)", "0.0058", "at bound", "2 min 18 s",
        "5,732 likelihood calls", "from the store", "VariableProjection", "the data are the same", "proposal", "starts24",
        "circle of 3 arcsec",
        "pixels used11,304", "is centeredyes", "sky0.0012345", "node17", "1.4500", "-14.1s", "truth 1.4000, +0.3s",
    ):  # fmt: skip
        assert words in text, words
    assert len(page.named("img")) == 7 + 4
    assert all(image["alt"] for image in page.named("img"))


def test_a_far_truth_is_marked_and_a_near_one_is_not(full_page: str) -> None:
    assert Page(full_page).named("span").count({"class": "pull far"}) == 1


def test_the_page_is_self_contained_and_small(full_page: str) -> None:
    page = Page(full_page)
    assert len(full_page.encode()) < 3_000_000
    assert not re.search(r"https?://|url\(|@import", full_page)
    forbidden = {"script", "link", "iframe", "object", "embed", "base", "form"}
    assert not forbidden & {tag for tag, _ in page.tags}
    for _, attributes in page.tags:
        assert (attributes.get("src") or "data:").startswith("data:")
        assert (attributes.get("href") or "data:text/csv;base64,").startswith("data:text/csv;base64,")
        assert not {"srcset", "action", "background"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    policy = next(meta["content"] for meta in page.named("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert policy == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"


@pytest.mark.parametrize(("verdict", "icon"), [("accepted", "M7 12.5"), ("review", "M12 6.5"), ("failed", "M8 8")])
def test_the_verdict_has_word_icon_and_color(bare: ReportContent, verdict: str, icon: str) -> None:
    text = render(replace(bare, verdict=verdict))
    page = Page(text)
    assert {"class": f"banner {verdict}"} in page.named("div")
    assert f"<strong>{verdict}</strong>" in text
    assert next(path["d"] for path in page.named("path")).startswith(icon)  # type: ignore[union-attr]


def test_the_least_content_makes_a_page(bare: ReportContent) -> None:
    page = Page(render(bare))
    assert len(page.named("img")) == 3 + 4
    assert page.text.count("not available") == 3
    for absent in (
        "Parameters",
        "Derived quantities",
        "Posterior of the mass",
        "Chain of searches",
        "Preparation",
        "Provenance",
        "truth",
        "nan",
    ):
        assert absent not in page.text


def test_every_string_is_escaped(bare: ReportContent) -> None:
    quantity = radius(path=HOSTILE, unit=HOSTILE, prior=HOSTILE)
    link = Link(kind="fixed", what=HOSTILE, why=HOSTILE, source=HOSTILE)
    stage = StageRow(name=HOSTILE, search=HOSTILE, grade=HOSTILE, links=[link], diagnostics={HOSTILE: HOSTILE})
    content = replace(
        bare, name=HOSTILE, reasons=[HOSTILE], command=HOSTILE, version=HOSTILE, digests={HOSTILE: HOSTILE}, parameters=[quantity],
        headline=Headline(einstein_radius_effective=quantity), latents=[quantity], preparation={HOSTILE: [HOSTILE]}, stages=[stage],
        provenance={HOSTILE: {HOSTILE: HOSTILE}}, truth={HOSTILE: 1.4}, planes=replace(bare.planes, unit=HOSTILE),
    )  # fmt: skip
    text = render(content)
    page = Page(text)
    assert "script" not in {tag for tag, _ in page.tags}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert text.count("&lt;script&gt;") > 20
    assert "{{ 7*7 }}" in page.text  # shown, never evaluated
    assert "שלום 漢字" in page.text
    assert not re.search("[\x00\x1b\u202e\ud800]", text)
    text.encode("utf-8")


def test_a_name_of_ten_thousand_characters_is_kept(bare: ReportContent) -> None:
    page = render(replace(bare, name="x" * 10_000))
    assert "x" * 10_000 in page
    assert len(re.search(r"<title>(.*)</title>", page).group(1)) < 130  # type: ignore[union-attr]


def test_the_same_content_gives_the_same_bytes(full: ReportContent, full_page: str) -> None:
    assert render(full) == full_page


def test_wrong_words_are_refused(bare: ReportContent) -> None:
    with pytest.raises(ConfigError, match="verdict 'maybe': allowed are accepted, review, failed"):
        replace(bare, verdict="maybe")
    with pytest.raises(ConfigError, match="a link of the kind 'guess': allowed are fixed, priors, proposal"):
        Link(kind="guess", what="", why="", source="")


# ---- the file ------------------------------------------------------------------------------------------------------------------------


def test_it_is_written_whole_or_not_at_all(bare: ReportContent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "new" / "folder" / "report.html"
    assert write_report(bare, target) == target
    assert target.read_text(encoding="utf-8") == render(bare)
    before = target.read_bytes()

    def full_disk(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fitcore.store.durable.fsync", full_disk)
    with pytest.raises(StoreError, match="no space left while writing the report"):
        write_report(replace(bare, name="other"), target)
    assert target.read_bytes() == before
    assert [path.name for path in target.parent.iterdir()] == ["report.html"]


def test_no_state_of_pyplot_is_used(full_page: str) -> None:
    assert full_page
    assert not sys.modules["matplotlib.pyplot"].get_fignums()  # corner imports it; no figure may be registered there


def test_a_further_band_has_its_pictures_and_numbers_and_is_escaped(bare: ReportContent) -> None:
    assert "Images: " not in render(bare)
    band = BandContent(
        name="F444W<b>", offset="offset <i>", planes=bare.planes, chi_squared_per_pixel=0.98765, chi_squared_per_pixel_arcs=1.5
    )
    page = render(replace(bare, band="F277W", bands=[band]))
    assert "<h2>Images: F277W</h2>" in page
    assert "<h2>Images: F444W&lt;b&gt;</h2>" in page
    assert "offset &lt;i&gt;" in page
    assert "0.9877" in page
    assert "1.500" in page
    assert page.count('alt="Residual') == 2


def words_of(page: str) -> str:
    return re.sub(r"\s+", " ", Page(page).text).replace("\N{GREEK SMALL LETTER SIGMA}", "s")


def test_an_accepted_lens_says_why(bare: ReportContent) -> None:
    assert "every measure lies within its limits" in words_of(render(replace(bare, verdict="accepted")))
    assert "every measure" not in words_of(render(bare))


def test_a_stage_says_why_it_ran_and_how_far_it_moved(bare: ReportContent) -> None:
    steps = [
        Moved(path="mass.center_x", before=0.1, after=0.5, in_earlier=4.0, in_later=-2.04),
        *(Moved(path=f"p{i}", before=1.0, after=1.1, in_earlier=0.2, in_later=np.nan) for i in range(3)),
    ]
    stage = StageRow(
        name="two",
        search="S",
        why="It ran: nearest <b> differs.",
        before="one",
        moved=steps,
        diagnostics={"pareto_k": 0.12344, "odd.key": 7},
    )
    page = render(replace(bare, stages=[stage]))
    text = words_of(page)
    assert "It ran: nearest <b> differs." in text
    assert "&lt;b&gt;" in page
    assert "in errors of one: mass.center_x +4.0s, p0 +0.2s, p1 +0.2s, the rest less" in text
    assert Page(page).named("span").count({"class": "num pull far"}) == 1
    assert "\N{MINUS SIGN}2.0s" in text
    assert "Pareto k 0.1234" in text
    assert "how heavy the tail of the weights is" in text
    assert "1 more, by their keys in the result's file" in text
    assert len(Page(page).named("details")) == 3


def test_the_searches_tell_their_time_or_that_it_was_not_recorded(bare: ReportContent) -> None:
    known = SearchHealth(
        name="one", n_calls=1234, log_likelihood=np.array([-1.0, -2.0, -1.5]), log_weight=np.zeros(3), seconds=30.0, seconds_compiling=5.0,
        seconds_likelihood=20.0, peak_memory=1.5e9, device="cpu",
    )  # fmt: skip
    old = SearchHealth(name="two", n_calls=10, log_likelihood=np.array([-1.0, -2.0]), log_weight=np.zeros(2))
    page = render(replace(bare, health=[known, old]))
    text = words_of(page)
    for words in ("Health of the searches", "1,234", "30.0 s", "5.0 s", "20.0 s", "1.50 GB", "3 samples of 1,234 calls"):
        assert words in text, words
    assert text.count("not recorded") == 4
    assert len(Page(page).named("img")) == 7 + 2


def test_files_are_carried_as_data_and_commands_write_the_others(bare: ReportContent) -> None:
    file = Download(name='p".csv', what="parameters <i>", text="name,median\nä,1.0\n")
    page = render(replace(bare, downloads=[file], exports={"images": "fitcore export 'a b' --to fits"}))
    (link,) = Page(page).named("a")
    assert link["download"] == 'p".csv'
    head, _, data = str(link["href"]).partition(",")
    assert head == "data:text/csv;base64"
    assert base64.b64decode(data).decode() == file.text
    assert "fitcore export 'a b' --to fits writes images" in words_of(page)
    assert "Provenance and downloads" in words_of(page)


def test_steps_and_sizes_in_words() -> None:
    steps = [sigmas(value).replace("\N{GREEK SMALL LETTER SIGMA}", "s") for value in (0.26, -3.14, 0.01, np.nan)]
    assert steps == ["+0.3s", "\N{MINUS SIGN}3.1s", "0.0s", "—"]
    assert [size(value) for value in (1.834e9, 4.12e8, np.nan)] == ["1.83 GB", "412 MB", "—"]


def test_a_column_of_nothing_is_left_out(bare: ReportContent) -> None:
    row = Quantity(path="q", median=1.0, lower=0.9, upper=1.1)
    assert "Best" not in words_of(render(replace(bare, latents=[row])))
    assert "Best" in words_of(render(replace(bare, latents=[replace(row, best=1.0)])))
