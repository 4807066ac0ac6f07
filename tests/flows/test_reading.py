"""`table`, `show`, `verify`, `doctor` and `simulate` on a finished store; the CLI's own process, as they start no other."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore import CorruptResultError, Store
from fitcore.store import encoding, hdf5
from fitcore.stored import n_latent_samples
from flows import cli, doctor

STEERING = "\x1b[2J[/bold]\n=1+1"


@pytest.fixture
def told(installed: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command in this process; what it wrote to standard output."""

    def run(*words: Any, code: int = 0) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(word) for word in words])
        output, errors = capsys.readouterr()
        assert (ended.value.code or 0) == code, errors
        return output

    return run


def test_table_in_three_forms(told: Any, finished: Any) -> None:
    _, store, answer = finished
    run = json.loads(answer.stdout)
    title, row = told("table", "--store", store).splitlines()
    assert title.split()[:3] == ["name", "status", "verdict"]
    assert row.split()[:3] == ["line", "done", "accepted"]
    assert json.loads(told("table", "--store", store, "--format", "json")) == run
    (line,) = csv.DictReader(io.StringIO(told("table", "--store", store, "--format", "csv")))
    assert (line["name"], line["pipeline"], line["verdict"]) == ("line", "toy", "accepted")
    assert float(line["a"]) == run["parameters"]["a"]["median"]
    assert float(line["at_ten_upper"]) == run["latents"]["at_ten"]["upper"]
    assert int(line["n_calls"]) == sum(stage["n_calls"] for stage in run["stages"])
    assert float(line["log_evidence"]) == run["stages"][-1]["log_evidence"]


def test_table_of_a_store_without_runs(told: Any, tmp_path: Path) -> None:
    Store(tmp_path / "store")
    assert told("table", "--store", tmp_path / "store", "--format", "json") == ""
    assert told("table", "--store", tmp_path / "store", "--format", "csv").splitlines() == [
        "name,pipeline,verdict,log_evidence,n_calls,seconds"
    ]
    assert told("table", "--store", tmp_path / "store").split()[0] == "name"


def test_show(told: Any, finished: Any) -> None:
    _, store, answer = finished
    run = json.loads(answer.stdout)
    text = told("show", "line", "--store", store)
    for words in ("parameters", "latents", "  a ", "  at_ten ", "accepted"):
        assert words in text
    assert json.loads(told("show", "line", "--store", store, "--json")) == run
    assert json.loads(told("show", "some/where/line", "--store", store, "--json")) == run
    stage = json.loads(told("show", "line", "--store", store, "--stage", "second"))
    assert stage["digest"] == run["stages"][1]["digest"]
    assert stage["n_calls"] == run["stages"][1]["n_calls"]
    assert stage["stage"] == "second"
    in_force = stage["provenance"]["settings"]
    assert in_force["pipeline"] == {"value": "toy", "from": "option"}
    assert in_force["store"] == {"value": str(store), "from": "option"}
    assert in_force["seed"] == {"value": 0, "from": "default"}
    assert in_force["threads"] == {"value": 1, "from": "environment"}
    assert in_force["search.n_eff"] == {"value": 300, "from": "default"}
    assert stage["provenance"]["dataset"] == "line"


def test_verify_names_what_is_damaged(told: Any, finished: Any, tmp_path: Path) -> None:
    assert told("verify", "--store", finished[1]).endswith(": 0 damaged, 0 other findings\n")
    copy = tmp_path / "store"
    shutil.copytree(finished[1], copy)
    digest = json.loads(finished[2].stdout)["stages"][0]["digest"]
    path = Store(copy).read(digest).path
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    for _ in range(2):  # looking changes nothing
        text = told("verify", "--store", copy, code=1)
        assert f"DAMAGED: {path.parent}" in text
        assert path.name in text
        assert ": 1 damaged, " in text


def test_doctor_tells_each_finding(told: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "DEVICE", "print('cpu')")
    monkeypatch.setenv("FITCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    text = told("doctor", "--store", tmp_path / "store")
    assert [line[:5] for line in text.splitlines()] == ["ok   "] * 12
    (tmp_path / "file").touch()
    assert "BAD  store: " in told("doctor", "--store", tmp_path / "file", code=1)


def test_simulate_into_a_new_or_empty_folder(told: Any, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        assert told("simulate", tmp_path / name, "--pipeline", "toy", "--seed", "4") == f"{tmp_path / name}\n"
    assert (
        json.loads((tmp_path / "new" / "points.json").read_text())["y"] == json.loads((tmp_path / "empty" / "points.json").read_text())["y"]
    )


def test_simulate_where_nothing_can_be_written(installed: None, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as ended:
        cli.app(["simulate", str(tmp_path / "file" / "new"), "--pipeline", "toy"])
    assert ended.value.code == 2
    assert "cannot be written" in capsys.readouterr().err


def test_every_command_has_an_example(told: Any) -> None:
    for command in ("run", "table", "show", "simulate", "verify", "doctor"):
        assert f"Example: fitcore {command}" in told(command, "--help")


def renoted(finished: Any, tmp_path: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of the store with another note of the run, whole by its own hash."""
    copy = tmp_path / "store"
    shutil.copytree(finished[1], copy)
    path = copy / "runs" / "line" / "toy.json"
    note = encoding.unsigned(path.read_bytes())
    change(note["extra"])
    path.unlink()
    path.write_bytes(encoding.signed(note, "run"))
    return copy


@pytest.mark.filterwarnings("default")
def test_a_note_that_cannot_be_shown_is_left_out(
    told: Any, finished: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    store = renoted(finished, tmp_path, lambda extra: extra["summary"].update(latents=5))
    for form in ("text", "csv", "json"):
        assert "accept" not in told("table", "--store", store, "--format", form)
    with pytest.raises(SystemExit) as ended:
        cli.app(["show", "line", "--store", str(store)])
    assert ended.value.code == 2
    assert "extra.summary.latents is 5: Input should be a valid dictionary" in capsys.readouterr().err
    monkeypatch.setattr("flows.launch.supervise", lambda *args, **more: (0, {}))
    told("run", finished[0], "--pipeline", "toy", "--store", store, code=1)  # it goes to the flow, which notes it anew


def test_what_a_note_says_does_not_steer_anything(told: Any, finished: Any, tmp_path: Path) -> None:
    def change(extra: dict[str, Any]) -> None:
        summary = extra["summary"]
        summary.update(verdict="=HYPERLINK(1)" + STEERING, headline=STEERING, reasons=[STEERING])
        summary["parameters"][STEERING] = summary["latents"][STEERING] = {"median": 1.0, "lower": 0.5, "upper": 1.5}

    store = renoted(finished, tmp_path, change)
    for words in (("table",), ("table", "--format", "csv"), ("show", "line")):
        assert "\x1b" not in told(*words, "--store", store)
    rows = list(csv.reader(io.StringIO(told("table", "--store", store, "--format", "csv"))))
    assert len(rows) == 2
    assert rows[1][2] == "'=HYPERLINK(1)\\x1b[2J[/bold]\\n=1+1"
    assert "[/bold]" in told("show", "line", "--store", store)


@pytest.mark.parametrize("name", ["a\nDAMAGED: b", "\udcff", "\u2028x", "\x9b2J"])
def test_names_of_files_stay_on_their_line(told: Any, finished: Any, tmp_path: Path, name: str) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished[1], store)
    (store / name).touch()
    text = told("verify", "--store", store)
    assert len(text.splitlines()) == 2
    assert text.splitlines()[1].endswith("0 damaged, 1 other findings")


def respoiled(store: Path, part: str, arrays: Callable[[dict[str, Any]], Any]) -> None:
    """Other attributes in the second stage's result, or in a part of it, with hashes that are right."""
    (folder,) = [path.parent for path in store.glob("results/*/*/latents.part.h5")]
    path = folder / ("result.h5" if part == "result" else f"{part}.part.h5")
    data = path.read_bytes()
    head, block = ((folder / "manifest.json").read_bytes(), hdf5.SEAL_BYTES) if part == "result" else hdf5.parted(data)
    found, marks = hdf5.contents(data, is_verified=True)
    texts = {name: value.tobytes() for name, value in found.items() if name.endswith(".json")}
    attributes = json.loads(texts["attributes.json"])
    arrays(attributes)
    texts["attributes.json"] = json.dumps(attributes).encode()
    data = hdf5.image({name: value for name, value in found.items() if name not in texts}, texts, marks, block=block)
    own = data if part == "result" else data[block:]
    record = encoding.unsigned(head)
    record["files"] = {path.name: {"sha256": hashlib.sha256(own).hexdigest(), "size": len(own)}}
    head = encoding.signed(record, "manifest")
    contents = {path: data, folder / "manifest.json": head} if part == "result" else {path: hdf5.with_record(head, data, block)}
    for file, content in contents.items():
        file.unlink()
        file.write_bytes(content)


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    ("part", "change", "text"),
    [
        ("result", lambda a: a.pop("summary"), "the result cannot be used: SamplesSummary.from_dict: missing"),
        ("result", lambda a: a["summary"].update(median=5), "median is 5, which no summary holds there"),
        ("result", lambda a: a["summary"]["best"].append(1.0), "best is ["),
        ("latents", lambda a: a.update(n_samples="x"), "does not say how many latent variables it holds"),
    ],
)
def test_whole_files_of_wrong_content(
    told: Any,
    finished: Any,
    tmp_path: Path,
    part: str,
    change: Any,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished[1], store)
    respoiled(store, part, change)
    told("show", "line", "--stage", "second", "--store", store, code=0 if part == "latents" else 2)
    monkeypatch.setattr("flows.launch.supervise", lambda *args, **more: (0, {}))
    with pytest.raises(SystemExit):
        cli.app(["run", str(finished[0]), "--pipeline", "toy", "--store", str(store)])
    if part == "latents":
        with pytest.raises(CorruptResultError, match=text):
            n_latent_samples(Store(store).read(json.loads(finished[2].stdout)["stages"][1]["digest"], part))
    else:
        assert text in capsys.readouterr().err


@pytest.mark.filterwarnings("default")
def test_what_was_asked_is_no_form(told: Any, finished: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = tmp_path / "store"
    shutil.copytree(finished[1], store)
    for path in store.glob("results/*/*/manifest.json"):
        record = encoding.unsigned(path.read_bytes())
        path.unlink()
        path.write_bytes(encoding.signed({**record, "spec": ["dict", [["x"]]]}, "manifest"))
    with pytest.raises(SystemExit) as ended:
        cli.app(["why-miss", "line:first", f"{finished[0]}:first", "--pipeline", "toy", "--store", str(store)])
    assert ended.value.code == 2
    assert "no canonical form of anything" in capsys.readouterr().err
