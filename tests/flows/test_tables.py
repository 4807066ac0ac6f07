"""`fitcore table`: filters, order, columns, grades, and each format read back by another program."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitcore import ConfigError, Store
from fitcore.board import About
from fitcore.table import Table
from flows import cli, grades, table_formats

DIGEST = "0" * 64
HOSTILE = "=1+1 <b>\x1b[2J & 100% \\input{x} $y$ #_{~^} 漢字"


def note(radius: float, verdict: str = "accepted", **more: Any) -> dict[str, Any]:
    three = {"median": radius, "lower": radius - 0.01, "upper": radius + 0.02}
    stage = {"cached": False, "n_calls": 80, "log_evidence": -1.5, "log_evidence_error": 0.1, "seconds": 10 * radius, "grade": "A"}
    summary = {"verdict": verdict, "headline": "radius", "reasons": [], "parameters": {"a": three}, "latents": {"radius": three}, **more}
    return {"summary": summary, "outcomes": [{"name": "only", "digest": DIGEST, **stage}], "seed": 5, "settings": {}, "report": "r.html"}


@pytest.fixture
def store(tmp_path: Path) -> Path:
    store = Store(tmp_path / "store")
    store.commit(DIGEST, arrays={}, attributes={}, spec={})
    for name, radius, verdict in (("J1", 1.25, "accepted"), ("J2", 0.75, "review"), ("J3", 2.5, "failed"), ("J4", 1.5, "accepted")):
        store.record_run(name, "toy", {"only": DIGEST}, note(radius, verdict, measures={"peak": radius * 2}, blame="mask"))
    return store.path


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*words: Any, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.app(["table", *(str(word) for word in words)])
        output, errors = capsys.readouterr()
        assert (ended.value.code or 0) == code, errors
        return output if code == 0 else errors

    return run


def names(text: str) -> list[str]:
    return [line["name"] for line in csv.DictReader(io.StringIO(text))]


def test_filters_and_order(told: Any, store: Path) -> None:
    base = ("--store", store, "--format", "csv")
    assert names(told(*base)) == ["J1", "J2", "J3", "J4"]
    assert names(told(*base, "--verdict", "accepted", "--verdict", "review", "--sort", "-radius")) == ["J4", "J1", "J2"]
    assert names(told(*base, "--where", "radius<2 and peak>1.6", "--sort", "seconds")) == ["J1", "J4"]
    assert names(told(*base, "--pipeline", "toy", "--where", "name=J[34]")) == ["J3", "J4"]
    assert [json.loads(line)["name"] for line in told("--store", store, "--format", "json", "--sort", "-name").splitlines()] == [
        *("J4", "J3", "J2", "J1")
    ]
    assert told("--store", store, "--where", "radius>2").splitlines()[1].split()[:3] == ["J3", "done", "failed"]


def test_columns(told: Any, store: Path) -> None:
    assert told("--store", store, "--columns", "name,radius,blame", "--where", "name=J1").splitlines()[1].split() == [
        *("J1", "1.250", "+0.020", "-0.010", "mask")
    ]
    (row,) = [
        json.loads(line)
        for line in told("--store", store, "--columns", "radius,seed", "--format", "json", "--where", "name=J1").splitlines()
    ]
    assert row == {"radius": {"median": 1.25, "lower": 1.24, "upper": 1.27}, "seed": 5}
    head = told("--store", store, "--format", "csv").splitlines()[0]
    three = "a,a_lower,a_upper,radius,radius_lower,radius_upper,peak"
    assert head == f"name,pipeline,verdict,log_evidence,n_calls,seconds,{three}"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--format", "cvs"), "'cvs' is not a format. Did you mean 'csv'?"),
        (("--format", "fits"), "A fits table is not text for a terminal. Name a file for it: --output table.fits"),
        (("--output", "t.xls"), "the ending '.xls' says no format"),
        (("--columns", "radios"), "There is no column 'radios'. Did you mean 'radius'?"),
        (("--sort", "-radios"), "There is no column 'radios'. Did you mean 'radius'?"),
        (("--where", "radius"), "The condition 'radius' is none"),
        (("--verdict", "acepted"), "No chain of this store has the verdict 'acepted'. Did you mean 'accepted'?"),
        (("--pipeline", "tou"), "No chain of this store has the pipeline 'tou'. Did you mean 'toy'?"),
        (("--grades", "none.csv"), "The grades none.csv cannot be read: No such file"),
    ],
)
def test_what_cannot_be_asked(told: Any, store: Path, words: tuple[str, ...], text: str) -> None:
    assert text in told("--store", store, *words, code=2)


def test_a_file_is_written_all_at_once(told: Any, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "t.csv"
    assert told("--store", store, "-o", target) == ""
    assert names(target.read_text()) == ["J1", "J2", "J3", "J4"]

    def full(*args: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fitcore.store.durable.write", full)
    assert "no space left while writing the table" in told("--store", store, "-o", target, code=2)
    assert names(target.read_text()) == ["J1", "J2", "J3", "J4"]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".tmp")] == []


def test_fits_is_read_by_astropy(told: Any, store: Path, tmp_path: Path, installed: None, monkeypatch: pytest.MonkeyPatch) -> None:
    from astropy.io import fits
    from astropy.table import Table as Astropy

    from flows import catalogue

    board = catalogue.PLAIN.__class__(about={"radius": About(unit="arcsec", description="how large, in ″")})
    monkeypatch.setattr(catalogue, "board", lambda entry: board)
    told("--store", store, "-o", tmp_path / "t.fits")
    found = Astropy.read(tmp_path / "t.fits")
    np.testing.assert_array_equal(found["radius_upper"], [1.27, 0.77, 2.52, 1.52])
    assert [str(found[name].unit) for name in ("radius", "radius_lower", "seconds")] == ["arcsec", "arcsec", "s"]
    with fits.open(tmp_path / "t.fits") as file:
        header = file[1].header
        place = next(i for i in range(1, 40) if header[f"TTYPE{i}"] == "radius")
        assert header[f"TCOMM{place}"] == r"how large, in \u2033"


@pytest.mark.parametrize("form", ["fits", "latex"])
def test_units_of_a_pipeline_cost_no_jax(store: Path, tmp_path: Path, form: str) -> None:
    """3,000 lenses as FITS took 7 s and 312 MB while the units came with all that fits lenses."""
    Store(store).record_run("J5", "lens", {"only": DIGEST}, note(1.25))
    code = "import sys\nfrom flows import cli\ntry:\n    cli.app(sys.argv[1:])\nfinally:\n    print(*sys.modules, file=sys.stderr)"
    words = ["table", "--store", str(store), "--pipeline", "lens", "--format", form, "--output", str(tmp_path / "t")]
    answer = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=True)
    assert (tmp_path / "t").stat().st_size > 100
    assert {"pipelines.lens.board", "jax", "scipy"} & set(answer.stderr.split()) == {"pipelines.lens.board"}


def test_latex_holds_every_text_and_number() -> None:
    columns = {"name": [HOSTILE], "r": [1.25], "r_lower": [1.24], "r_upper": [1.27], "n": np.array([3]), "x": [np.nan]}
    about = {"r": About(unit="arcsec", latex=r"\theta"), "n": About(title="a_b")}
    text = table_formats.latex_bytes(Table(columns, quantities=["r"], about=about)).decode()
    first, *lines = text.splitlines()
    assert first == table_formats.LATEX_OTHER
    assert lines[0] == r"\begin{tabular}{lrrr}"
    assert lines[2] == r"name & $\theta$ & a\_b & x \\"
    assert lines[3] == r" & arcsec &  &  \\"
    escaped = r"\textbackslash{}x1b[2J \& 100\% \textbackslash{}input\{x\} \$y\$ \#\_\{\textasciitilde{}\textasciicircum{}\} "
    escaped += r"\fitcoreletter{漢}{6F22}\fitcoreletter{字}{5B57}"
    assert lines[5] == rf"=1+1 \textless{{}}b\textgreater{{}}{escaped} & $1.250^{{+0.020}}_{{-0.010}}$ & $3$ & \ldots \\"
    assert text.count("{") == text.count("}")


@pytest.mark.parametrize(
    ("three", "text"),
    [
        ((1.0421, 1.0411, 1.0433), "$1.0421^{+0.0012}_{-0.0010}$"),
        ((2.0, 2.0, 2.0), "$2$"),
        ((2.85258e11, 2.80504e11, 2.9029e11), "$(2.853^{+0.050}_{-0.048}) \\times 10^{11}$"),
        ((-3e-7, -3.1e-7, -2.8e-7), "$(-3.00^{+0.20}_{-0.10}) \\times 10^{-7}$"),
        ((1234.5, 1200.0, 1300.0), "$1234^{+66}_{-34}$"),
        ((np.inf, 1.0, 2.0), r"$\infty$"),
        ((1.5, np.nan, 1.6), "$1.5$"),
    ],
)
def test_rounding(three: tuple[float, float, float], text: str) -> None:
    assert table_formats.latex_number(*three) == text


def test_letters_of_other_alphabets() -> None:
    assert table_formats.latex_text("Łódź é ß Ñ") == r"\L{}\'{o}d\'{z} \'{e} \ss{} \~{N}"
    assert table_formats.latex_text("ψą") == r"\fitcoreletter{ψ}{03C8}\fitcoreletter{ą}{0105}"
    assert not table_formats.latex_bytes(Table({"name": ["é"]})).startswith(b"\\provide")


def test_csv_and_json_of_hostile_texts(told: Any, tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    store.commit(DIGEST, arrays={}, attributes={}, spec={})
    store.record_run("J1", "toy", {"only": DIGEST}, note(1.0, HOSTILE * 200))
    for words in (("--format", "csv"), ("--columns", "verdict"), ()):
        text = told("--store", store.path, *words)
        assert not re.search("[\x00-\x09\x0b-\x1f]", text)
    (row,) = csv.DictReader(io.StringIO(told("--store", store.path, "--format", "csv")))
    assert row["verdict"].startswith("'=1+1 <b>\\x1b[2J")
    assert json.loads(told("--store", store.path, "--format", "json"))["verdict"] == HOSTILE * 200
    told("--store", store.path, "-o", tmp_path / "t.fits")


def test_parquet_without_its_package(told: Any, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    real = importlib.import_module

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("pyarrow"):
            raise ImportError("No module named 'pyarrow'")
        return real(name, *rest)

    monkeypatch.setattr(importlib, "import_module", without)
    assert "Install it: pip install 'fitcore[parquet]'" in told("--store", store, "-o", tmp_path / "t.parquet", code=2)
    assert not (tmp_path / "t.parquet").exists()


def test_parquet_is_read_by_pyarrow(told: Any, store: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    told("--store", store, "-o", tmp_path / "t.parquet")
    found = parquet.read_table(tmp_path / "t.parquet")
    assert found["radius_upper"].to_pylist() == [1.27, 0.77, 2.52, 1.52]
    assert found["name"].to_pylist() == ["J1", "J2", "J3", "J4"]
    assert found.schema.field("seconds").metadata == {b"unit": b"s", b"description": b"time of all stages, when they were computed"}


def test_grades_become_a_column(told: Any, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "grades.csv"
    file.write_bytes(b'name,pipeline,grade,time\r\nJ1,toy,success,2026\r\nJ1,toy,"failure: lens light",2026\r\nJ9,toy,unsure,2026\r\n')
    base = ("--store", store, "--grades", file)
    rows = list(csv.DictReader(io.StringIO(told(*base, "--format", "csv"))))
    assert [row["grade_given"] for row in rows] == ["failure: lens light", "", "", ""]
    assert names(told(*base, "--format", "csv", "--where", "grade_given=failure*")) == ["J1"]
    assert json.loads(told(*base, "--format", "json").splitlines()[0])["grade_given"] == "failure: lens light"
    with pytest.raises(SystemExit):
        cli.app(["table", "--store", str(store), "--grades", str(file)])
    assert f"1 grades of {file} belong to no chain of this store" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"", "have no column 'name'"),
        (b"name,grade\nJ1,x\n", "have no column 'pipeline'"),
        (b"\xff\xfe", "no CSV in UTF-8"),
        (b'name,pipeline,grade\nJ1,toy,"x', "no CSV in UTF-8"),
        (b"name,pipeline,grade\nJ1,toy\n", "line 2, has 2 fields"),
        (b"name,pipeline,grade\n../x,toy,success\n", "line 2: ['../x', 'toy', 'success'] names no dataset"),
        (b"name,pipeline,grade\nJ1,toy," + b"x" * 100 + b"\n", "or its grade is too long"),
    ],
)
def test_files_that_are_no_grades(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "g.csv").write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(text)):
        grades.read(tmp_path / "g.csv")
