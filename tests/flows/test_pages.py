"""The campaign page: what is on it, that no text of the store does anything there, and when it is written."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitcore import Store, StoreError
from fitcore.board import About, Board, Grade
from flows import catalogue, cli, launch, pages
from flows.console import Display
from flows.page_state import Trouble
from flows.settings import read

DIGEST = "0" * 64
HOSTILE = "<script>alert(1)</script>\" onload='x' <img src=x onerror=alert(1)> {{ 7*7 }} \x1b[2J\x00\u202eturned 漢字 naïve"
BOARD = Board(
    about={"radius": About(unit="arcsec", title="Radius", description=HOSTILE), "peak": About(title=HOSTILE)},
    columns=("radius", "peak", "absent"),
    histograms=("radius", "absent"),
    grades=(Grade(word="good", key="g", title="Good"), Grade(word="</script>", key="b", title=HOSTILE)),
    pictures=("data", "model"),
    blame=lambda reasons: reasons[0].partition(":")[0] if reasons else "",
)


class Page(HTMLParser):
    """A page as a browser sees it: its tags, its texts, and the rows of its table."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.whole = path.read_text(encoding="utf-8")
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(self.whole)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    @property
    def rows(self) -> list[str]:
        return [str(attributes["data-k"]) for tag, attributes in self.tags if tag == "tr" and "data-k" in attributes]


def note(radius: float, verdict: str, reasons: list[str], **more: Any) -> dict[str, Any]:
    three = {"median": radius, "lower": radius - 0.01, "upper": radius + 0.02}
    stage = {"cached": False, "n_calls": 80, "log_evidence": -1.5, "log_evidence_error": 0.1, "seconds": 10 * radius, "grade": "A"}
    summary = {"verdict": verdict, "headline": "radius", "reasons": reasons, "parameters": {}, "latents": {"radius": three}, **more}
    return {"summary": summary, "outcomes": [{"name": "only", "digest": DIGEST, **stage}], "seed": 5, "settings": {}, "report": "r.html"}


def put(store: Store, name: str, radius: float = 1.0, verdict: str = "accepted", reasons: list[str] | None = None, **more: Any) -> None:
    store.record_run(name, "toy", {"only": DIGEST}, note(radius, verdict, reasons or [], **more))


@pytest.fixture
def store(tmp_path: Path, installed: None, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(catalogue, "board", lambda entry: BOARD)
    store = Store(tmp_path / "store")
    store.commit(DIGEST, arrays={}, attributes={}, spec={})
    for i in range(12):
        put(store, f"J{i}", 1.0 + 0.01 * i, measures={"peak": 3.0})
    put(store, "far", 9.0, "review", ["mask: it is far off"])
    put(store, "bad", 1.05, "failed", ["source: none"], blame="lens light")
    return store


def test_everything_is_on_it(store: Store) -> None:
    reports = store.reports / "toy"
    reports.mkdir(parents=True)
    (reports / "J1.html").write_text("x")
    (reports / "J1.webp").write_bytes(b"x")
    page = Page(pages.write_page(store))
    assert len(page.rows) == 14
    assert re.search(r"<strong>12</strong>.*accepted", page.whole)
    assert page.whole.count("<figure>") == 2  # of the radius and the time: none of what is not there
    assert "absent" not in page.text
    (link,) = {attributes["href"] for tag, attributes in page.tags if tag == "a"}
    assert link == "toy/J1.html"
    pictures = [attributes for tag, attributes in page.tags if tag == "img" and attributes.get("src")]
    assert [(p["src"], p["loading"], p["width"], p["alt"]) for p in pictures] == [("toy/J1.webp", "lazy", "80", "data, model")]
    values = np.array([*(1.0 + 0.01 * np.arange(12)), 9.0, 1.05])
    far = (9.0 - np.median(values)) / (1.4826 * np.median(np.abs(values - np.median(values))))
    assert f"+{far:.1f}" in page.text
    assert re.findall(r'data-v="(mask|lens light)" data-label="Look first at"', page.whole) == ["lens light", "mask"]
    assert "This is the first page" in page.text
    assert 'data-e="+0.020&#10;\N{MINUS SIGN}0.010">1.010' in page.whole


def test_what_changed_since_the_page_before(store: Store) -> None:
    pages.write_page(store)
    put(store, "J1", 1.01, "review", measures={"peak": 3.0})
    put(store, "new", 1.0)
    text = Page(pages.write_page(store)).text
    assert "1 new, 1 changed, 0 fitted again" in text
    assert re.search(r"J1\s+accepted\s+to\s+review", text)
    again = Page(pages.write_page(store)).text
    assert "1 new, 1 changed" in again  # of the same session


def test_no_text_does_anything(store: Store) -> None:
    put(store, "word", 1.0, "w" * 10_000)
    put(store, "long", 1.0, HOSTILE, [HOSTILE + "x" * 10_000], measures={HOSTILE: 1.0}, blame=HOSTILE)
    trouble = Trouble(name=HOSTILE + "y" * 10_000, state=HOSTILE, text=HOSTILE, time="2026")
    path = pages.write_page(store, troubles=[trouble])
    page = Page(path)
    assert [tag for tag, _ in page.tags if tag in ("script", "style", "img")].count("script") == 2
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert {attributes.get("src") for tag, attributes in page.tags if tag == "img"} <= {None}
    assert not re.search("[\x00\x1b\u202e]", page.whole)
    assert "{{ 7*7 }}" in page.text
    assert "漢字 naïve" in page.text
    for letter in "xyw":
        assert letter * 300 not in page.whole
    assert "w" * 30 not in page.whole  # a verdict is a word
    (kept,) = re.findall(r'<script type="application/json" id="grades">(.*?)</script>', page.whole, re.DOTALL)
    assert [grade["word"] for grade in json.loads(kept)] == ["good", "</script>"]


def test_only_its_own_script_may_run(store: Store) -> None:
    page = Page(pages.write_page(store))
    (policy,) = [str(attributes["content"]) for tag, attributes in page.tags if attributes.get("http-equiv") == "Content-Security-Policy"]
    (script,) = re.findall(r"<script>(.*?)</script>", page.whole, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page.whole)


def test_an_empty_store_has_a_page(tmp_path: Path) -> None:
    page = Page(pages.write_page(Store(tmp_path / "store")))
    assert "No chain is finished yet" in page.text
    assert "Distributions" not in page.text
    assert not [tag for tag, _ in page.tags if tag == "script"]


def test_a_pipeline_that_is_not_installed(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.commit(DIGEST, arrays={}, attributes={}, spec={})
    store.record_run("J1", "gone", {"only": DIGEST}, note(1.5, "accepted", []))
    page = Page(pages.write_page(store))
    assert ">1.500</td>" in page.whole  # its headline
    assert "Unsure" in page.text


def test_the_command(store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def told(*words: Any, code: int) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.app(["page", "--store", str(store.path), *map(str, words)])
        output, errors = capsys.readouterr()
        assert (ended.value.code or 0) == code, errors
        return output + errors

    assert told(code=0) == f"{store.path / 'reports' / 'campaign.html'}\n"
    assert store.verify() == []
    assert len(Page(Path(told("-o", tmp_path / "p.html", "--pipeline", "toy", code=0).strip())).rows) == 14
    assert "Did you mean 'toy'?" in told("--pipeline", "tox", code=2)
    assert "a page ends in .html" in told("-o", tmp_path / "p.json", code=2)


def test_a_run_of_several_datasets_writes_it(
    store: Store, make_points: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = {"one": {"status": "failed", "kind": "X", "error": HOSTILE}, "two": {"status": "failed", "kind": "X", "error": "no light"}}
    monkeypatch.setattr(launch, "supervise", lambda *args, **more: (0, ended))
    common = {"pipeline_name": "toy", "store": store, "seed": 0, "overrides": [], "settings": read()}
    folders = [make_points("one"), make_points("two")]
    launch.run_datasets(folders[:1], display=Display(quiet=False, no_color=True), **common)
    path = store.reports / "campaign.html"
    assert not path.exists()  # one dataset has its report
    launch.run_datasets(folders, display=Display(quiet=False, no_color=True), **common)
    assert f"all results on one page: {path}" in capsys.readouterr().err
    page = Page(path)
    assert re.search(r"<strong>2</strong><b>could not be fitted</b>", page.whole)
    assert "no light" in page.text
    put(store, "two")
    assert "no light" not in Page(pages.write_page(store)).text  # it has been finished since

    def refuse(*args: Any, **more: Any) -> Path:
        raise StoreError("the disk is full")

    monkeypatch.setattr(pages, "write_page", refuse)
    code, rows = launch.run_datasets(folders, display=Display(quiet=True, no_color=True), **common)
    assert (code, len(rows)) == (1, 2)  # as without a page
    assert "the campaign page could not be written: the disk is full" in capsys.readouterr().err


def test_grades_of_the_script_are_read_back(store: Store, tmp_path: Path) -> None:
    """The form that `csv` in campaign.js writes."""
    from flows import grades

    script = (Path(pages.__file__).parent / "templates" / "campaign.js").read_text(encoding="utf-8")
    (head,) = re.findall(r'const lines = \["(.*?)"\]', script)
    text = io.StringIO()
    csv.writer(text).writerows([head.split(","), ["J1", "toy", "failure: lens light", "2026"]])
    (tmp_path / "g.csv").write_text(text.getvalue(), newline="")
    assert grades.read(tmp_path / "g.csv") == {("J1", "toy"): "failure: lens light"}
