"""HTML, scripts, markup and escape sequences in every text that a report or a terminal shows: they are shown, and do nothing."""

from __future__ import annotations

import dataclasses
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from rich.console import Console

from fitcore.errors import StoreError
from fitcore.store import Store
from flows.command import guarded
from flows.commands.verify import verify
from flows.console import Display, printable, rows_table
from flows.records import unfinished_row
from pipelines.lens.loader import read_folder
from pipelines.lens.pictures import ImagePlanes, Posterior
from pipelines.lens.report import render
from pipelines.lens.report_content import Headline, Link, Quantity, ReportContent, StageRow

HOSTILE = "<script>alert(1)</script>\" onload='x' <img src=x onerror=alert(1)> {{ 7*7 }} [bold]b[/bold] \x1b[2J\x1b]0;t\x07\x00\u202eturned"
TEXTS = {"kind": "fixed", "verdict": "review"}  # one of a few words, checked when they are made


def spoiled(cls: type, **given: Any) -> Any:
    """An instance whose every text is hostile: fields that are added later are seen too."""
    values: dict[str, Any] = {}
    for item in dataclasses.fields(cls):
        kind = str(item.type)
        if item.name in given:
            values[item.name] = given[item.name]
        elif item.name in TEXTS:
            values[item.name] = TEXTS[item.name]
        elif kind in ("str", "<class 'str'>"):
            values[item.name] = HOSTILE
        elif "Sequence[str]" in kind:
            values[item.name] = (HOSTILE,)
        elif "Mapping[str, str]" in kind or "Mapping[str, Any]" in kind or "typing.Mapping[str, typing.Any]" in kind:
            values[item.name] = {HOSTILE: HOSTILE}
    return cls(**values)


class Tags(HTMLParser):
    """The names of a page's tags and attributes, as a browser sees them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        self.attributes |= {name for name, _ in attrs}


def test_a_report_shows_every_text_and_runs_none() -> None:
    numbers = {"median": 1.0, "lower": 0.9, "upper": 1.1}
    quantity = spoiled(Quantity, **numbers)
    plane = np.ones((7, 7))
    planes = spoiled(ImagePlanes, data=plane, noise=plane, mask=plane > 0, model=plane, extent=(-1.0, 1.0, -1.0, 1.0), pixel_scale=0.1)
    stage = spoiled(StageRow, links=[spoiled(Link)])
    content = spoiled(
        ReportContent,
        planes=planes,
        headline=Headline(einstein_radius_effective=quantity),
        parameters=[quantity],
        latents=[quantity],
        stages=[stage],
        samples=Posterior(paths=("a", "b"), parameters=np.random.default_rng(1).normal(size=(50, 2))),
        truth={HOSTILE: 1.0},
    )
    page = render(content)
    assert page.count("&lt;script&gt;") > 15
    assert "<script" not in page
    assert "<img src=x" not in page
    seen = Tags(page)
    assert "script" not in seen.names
    assert not [name for name in seen.attributes if name.startswith("on")]
    assert "{{ 7*7 }}" in page
    assert not re.search("[\x00\x07\x1b\u202e]", page)


def test_a_terminal_is_not_steered() -> None:
    text = io.StringIO()
    display = Display(quiet=False, no_color=True)
    display.console = Console(file=text, width=4000, highlight=False, soft_wrap=True)
    display.hear({"event": "warning", "kind": HOSTILE, "text": HOSTILE})
    display.hear({"event": "ended", "name": HOSTILE, "status": "failed", "error": HOSTILE})
    display.console.print(rows_table([unfinished_row(HOSTILE, HOSTILE, "failed", HOSTILE)]))
    assert not re.search("[\x00\x07\x1b\u202e]", text.getvalue())
    assert r"\x1b[2J" in text.getvalue()
    assert "[bold]b[/bold]" in text.getvalue()
    assert printable("plain text, naïve 漢字\n\tnext") == "plain text, naïve 漢字\n\tnext"


def test_a_file_with_an_escape_sequence_in_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "store")
    (store.path / "\x1b[2Jx").touch()
    with pytest.raises(typer.Exit):
        verify(store=store.path)
    assert "\x1b" not in (output := capsys.readouterr().out)
    assert r"\x1b[2Jx" in output


def test_an_error_with_an_escape_sequence(capsys: pytest.CaptureFixture[str]) -> None:
    def command() -> None:
        raise StoreError(HOSTILE)

    with pytest.raises(typer.Exit):
        guarded(command)()
    assert not re.search("[\x00\x07\x1b\u202e]", capsys.readouterr().err)


@pytest.mark.parametrize("name", ["<script>alert(1)<", "[bold]x[", "\x1b[2Jx", "a b;rm", "'\"&"])
def test_a_folder_with_a_hostile_name_gets_a_harmless_one(tmp_path: Path, name: str) -> None:
    from astropy.io import fits

    folder = tmp_path / name
    folder.mkdir()
    for plane in ("image", "noise"):
        fits.PrimaryHDU(np.ones((6, 6))).writeto(folder / f"{plane}.fits")
    fits.PrimaryHDU(np.ones((3, 3))).writeto(folder / "psf.fits")
    (folder / "info.yaml").write_text(f"pixel_scale: 0.05\nband: {'x' * 5}\n" + ("name: plain\n" if name == "'\"&" else ""))
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", read_folder(folder)["name"])
