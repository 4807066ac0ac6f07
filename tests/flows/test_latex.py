"""What `fitcore table --format latex` writes is compiled by a real LaTeX, with names that would be commands, comments or errors there."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from fitcore import Store
from fitcore.board import About
from fitcore.table import Table
from flows import cli, table_formats

from .test_tables import note

DIGEST = "0" * 64
ENGINES = ("pdflatex", "xelatex", "lualatex", "tectonic")
NAMES = (
    "100%_sure & #1 $x$ \\input{/etc/passwd} ~^{} \\end{tabular}",
    "a--b---c ``x'' <<y>> \"q\" | [1] *",
    "漢字 Ωmega Łódź ñ é ß ψ ą \U0001f600 \u2212 \u200b \ufb00",
    "\x1b[2J tab\tnew\nline \u202e \ud800",
    "\\" * 3 + "%" * 3,
    "x" * 300,
)
SETUPS = ("", r"\usepackage[T1]{fontenc}", r"\usepackage{booktabs,longtable}\usepackage[T1]{fontenc}\usepackage[english]{babel}")

pytestmark = pytest.mark.slow


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    if shutil.which(request.param) is None:
        pytest.skip(f"{request.param} is not installed (Debian: texlive-latex-base and texlive-latex-recommended have pdflatex)")
    return request.param


def compiled(engine: str, folder: Path, table: bytes, setup: str = "") -> str:
    """Why a document with this table does not compile; empty where it does."""
    (folder / "table.tex").write_bytes(table)
    text = f"\\documentclass{{article}}\n{setup}\n\\begin{{document}}\n\\input{{table}}\nEND\n\\end{{document}}\n"
    (folder / "paper.tex").write_text(text, encoding="utf-8")
    (folder / "paper.pdf").unlink(missing_ok=True)
    words = [engine, "paper.tex"] if engine == "tectonic" else [engine, "-interaction=nonstopmode", "-halt-on-error", "paper.tex"]
    ended = subprocess.run(words, cwd=folder, capture_output=True, check=False, timeout=120)
    if ended.returncode == 0 and (folder / "paper.pdf").stat().st_size > 1000:
        return ""
    return (ended.stdout + ended.stderr).decode(errors="replace")[-2000:]


@pytest.mark.parametrize("setup", SETUPS, ids=["plain", "T1", "packages"])
def test_hostile_names_compile(engine: str, tmp_path: Path, setup: str) -> None:
    n = len(NAMES)
    columns = {"name": NAMES, "n": np.arange(n), "r": np.geomspace(1e-9, 1e12, n), "x": [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e300]}
    ends = {"r_lower": 0.9 * columns["r"], "r_upper": 1.2 * columns["r"]}
    about = {"r": About(unit="Msun", latex=r"\theta_{\rm E}"), "x": About(title="χ² & 50%", unit="µm/√s_#")}
    assert compiled(engine, tmp_path, table_formats.latex_bytes(Table({**columns, **ends}, quantities=["r"], about=about)), setup) == ""


def test_a_name_that_is_not_escaped_does_not(engine: str, tmp_path: Path) -> None:
    """The test above would notice."""
    whole = table_formats.latex_bytes(Table({"name": ["a_b"]}))
    assert compiled(engine, tmp_path, whole) == ""
    assert "Missing $" in compiled(engine, tmp_path, whole.replace(rb"a\_b", b"a_b"))


def test_the_command_writes_what_compiles(engine: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path / "store")
    store.commit(DIGEST, arrays={}, attributes={}, spec={})
    for name, pipeline in (("J1_a", "toy"), ("J2-b", "lens")):
        store.record_run(name, pipeline, {"only": DIGEST}, note(1.25, "50% & _more_"))
    with pytest.raises(SystemExit):
        cli.app(["table", "--store", str(store.path), "--format", "latex"])
    text = capsys.readouterr().out
    assert r"J1\_a & 50\% \& \_more\_" in text
    assert compiled(engine, tmp_path, text.encode()) == ""
