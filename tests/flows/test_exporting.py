"""`fitcore export` and `fitcore bib` on a finished store: which result, which files, nothing written over, hostile notes."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fitcore import Samples, Store, run_pipeline
from fitcore.board import About
from fitcore.chain import outcome_of
from fitcore.references import reference
from fitcore.store import encoding
from flows import cli
from flows.records import record

PLUGIN = Path(__file__).resolve().parent / "plugin"
STEERING = "\x1b[2J</script>\n=1+1日本" + "x" * 10_000


@pytest.fixture(scope="module")
def toy() -> Iterator[Any]:
    sys.path.insert(0, str(PLUGIN))
    try:
        import toyline

        yield toyline.TOY
    finally:
        sys.path.remove(str(PLUGIN))


@pytest.fixture(scope="module")
def made(toy: Any, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The toy chain without Prefect, noted as the flow notes it: ``folder`` of the data, ``store``, ``results``."""
    base = tmp_path_factory.mktemp("exporting")
    folder, store = toy.simulate(base / "line", 3), Store(base / "store")
    points = toy.load(folder)
    results = run_pipeline(toy.build({}), points, store)
    outcomes = [outcome_of(name, result, store) for name, result in results.items()]
    request = {"dataset": str(folder), "seed": 0, "settings": {}, "target": "", "why": {}}
    record(store, toy, points, results, outcomes, request)
    return SimpleNamespace(folder=folder, store=store.path, results=results)


@pytest.fixture
def told(installed: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., SimpleNamespace]:
    """Runs a command in this process; what it said on either stream."""

    def run(*words: Any, code: int = 0) -> SimpleNamespace:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(word) for word in words])
        output, errors = capsys.readouterr()
        assert (ended.value.code or 0) == code, errors
        return SimpleNamespace(output=output, errors=errors)

    return run


class Pictures:
    """What a pipeline of another science might hand over."""

    formats = ("picture",)
    conventions = ("a is above b",)

    def meaning(self, path: str) -> About:
        return About(latex=r"\alpha", unit="m") if path == "a" else About()

    def drawn(self, paths: Any) -> tuple[str, ...]:
        return ("a",)

    def files(self, form: str, dataset: Any, results: Any, *, stem: str, folder: Path, about: Any) -> dict[str, bytes]:
        return {f"{stem}.{form}": f"{dataset.name} {list(results)} {folder.name} {about['digest']}".encode()}

    def references(self, spec: Any) -> list[Any]:
        return [reference("gauss1809", author="Gauss", year="1809").because("least squares")]


def test_the_last_stage_by_default(told: Any, made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    answer = told("export", "line", "--to", "csv, getdist", "--store", made.store)
    written = answer.output.split()
    ends = ("csv", "columns.csv", "txt", "paramnames", "ranges", "properties.ini", "about.json")
    assert written == [f"exports/line/line-second.{end}" for end in ends]
    assert sorted(path.name for path in (tmp_path / "exports" / "line").iterdir()) == sorted(f"line-second.{end}" for end in ends)
    back = Samples.from_csv((tmp_path / written[0]).read_text())
    result = made.results["second"]
    assert back.paths == ("a", "b", "at_ten")  # latent variables go with the parameters, under the same weights
    np.testing.assert_array_equal(back.parameters[:, :2], result.samples.parameters)
    np.testing.assert_array_equal(back.column("at_ten"), result.latent_samples.column("at_ten"))
    np.testing.assert_array_equal(back.weight, result.samples.weight)
    assert back.log_evidence == result.log_evidence
    about = json.loads((tmp_path / written[-1]).read_text())
    assert (about["name"], about["stage"], about["digest"], about["verdict"]) == ("line", "second", result.digest, "accepted")
    assert about["command"].startswith(f"fitcore run {made.folder} --pipeline toy")
    assert [(column["name"], column["kind"]) for column in about["columns"]] == [
        ("a", "parameter"), ("b", "parameter"), ("at_ten", "derived"),
    ]  # fmt: skip
    assert (tmp_path / written[4]).read_text().splitlines()[0] == "a -2.0 2.0"


def test_a_stage_a_folder_and_every_sample_format(told: Any, made: SimpleNamespace, tmp_path: Path) -> None:
    words = ("export", made.folder, "--stage", "first", "--to", "corner,getdist,anesthetic,arviz,csv", "--store", made.store)
    answer = told(*words, "--output", tmp_path / "new" / "folder")
    names = {Path(line).name for line in answer.output.splitlines()}
    assert {"line-first.nc", "line-first.anesthetic.csv", "line-first.corner.pdf", "line-first.corner.png", "line-first.txt"} <= names
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == names


def test_nothing_is_written_over(told: Any, made: SimpleNamespace, tmp_path: Path) -> None:
    words = ("export", "line", "--to", "csv", "--store", made.store, "--output", tmp_path)
    first = told(*words).output
    assert told(*words).output == first  # the same content is no other file
    table = tmp_path / "line-second.csv"
    table.write_text("mine")
    answer = told(*words, code=2)
    assert f"error: {tmp_path} has line-second.csv already, with another content. --force writes them anew; --output" in answer.errors
    assert table.read_text() == "mine"
    assert answer.output == ""
    told("export", "line", "--to", "getdist", "--store", made.store, "--output", tmp_path)  # another format beside it
    told(*words, "--force")
    assert table.read_text() != "mine"
    table.unlink()
    table.mkdir()
    assert "is a folder, so no file can be written there" in told(*words, "--force", code=2).errors


def test_a_link_is_not_followed(told: Any, made: SimpleNamespace, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "line-second.csv").symlink_to(victim)
    words = ("export", "line", "--to", "csv", "--store", made.store, "--output", tmp_path / "out")
    told(*words, code=2)
    told(*words, "--force")
    assert victim.read_text() == "precious"
    written = tmp_path / "out" / "line-second.csv"
    assert not written.is_symlink()
    written.rename(tmp_path / "elsewhere")
    written.symlink_to(tmp_path / "elsewhere")  # of the same content: a link all the same
    told(*words, code=2)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("line", "--to", "getdisst"), "There is no format 'getdisst'; there are corner, getdist, anesthetic, arviz, csv. Did you mean"),
        (("line", "--to", ","), "--to names no format; there are corner"),
        (("line", "--to", "fits"), "There is no format 'fits'"),
        (("line", "--to", "csv", "--stage", "secnd"), "line has no stage 'secnd' with pipeline 'toy'; it has"),
        (("lime", "--to", "csv"), "no run of 'lime' in the store"),
        (("line", "--to", "csv", "--pipeline", "lens"), "no run of 'line' with pipeline 'lens'"),
        (("line", "line2", "--to", "csv", "--dataset", "."), "--dataset . is the folder of one dataset, and 2 are named. Name one."),
    ],
)  # fmt: skip
def test_mistakes_are_told_with_the_remedy(told: Any, made: SimpleNamespace, tmp_path: Path, words: Any, text: str) -> None:
    answer = told("export", *words, "--store", made.store, "--output", tmp_path / "out", code=2)
    assert text in answer.errors
    assert not (tmp_path / "out").exists()


def test_another_pipeline_has_formats_of_its_own(
    told: Any, made: SimpleNamespace, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(toy), "exports", Pictures(), raising=False)
    told("export", "line", "--to", "picture,getdist", "--store", made.store, "--output", tmp_path)
    digest = made.results["second"].digest
    assert (tmp_path / "line-second.picture").read_text() == f"line ['first', 'second'] line {digest}"
    assert (tmp_path / "line-second.paramnames").read_text().splitlines()[0] == "a\t\\alpha\\ [\\mathrm{m}]"
    assert json.loads((tmp_path / "line-second.about.json").read_text())["conventions"] == ["a is above b"]
    told("export", "line", "--to", "picture", "--stage", "first", "--store", made.store, "--output", tmp_path)
    assert "line ['first'] line" in (tmp_path / "line-first.picture").read_text()
    text = "there are corner, getdist, anesthetic, arviz, csv, picture. Did you mean 'picture'?"
    assert text in told("export", "line", "--to", "pictur", "--store", made.store, code=2).errors
    assert "% least squares\n@article{gauss1809," in told("bib", "line", "--store", made.store).output


def test_other_data_are_refused(told: Any, made: SimpleNamespace, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(toy), "exports", Pictures(), raising=False)
    other = toy.simulate(tmp_path / "line", 4)
    words = ("export", "line", "--to", "picture", "--store", made.store, "--output", tmp_path / "out", "--dataset")
    assert "is not what was fitted as 'line': stage 'first' differs in" in told(*words, other, code=2).errors
    assert f"are to be in {tmp_path / 'nowhere'}, and there is no such folder." in told(*words, tmp_path / "nowhere", code=2).errors
    assert not (tmp_path / "out").exists()


def renoted(made: SimpleNamespace, folder: Path, change: Callable[[dict[str, Any]], Any]) -> Path:
    """A copy of the store with another note of the run, whole by its own hash."""
    shutil.copytree(made.store, folder)
    path = folder / "runs" / "line" / "toy.json"
    note = encoding.unsigned(path.read_bytes())
    change(note["extra"])
    path.unlink()
    path.write_bytes(encoding.signed(note, "run"))
    return folder


def test_a_note_of_an_older_version(told: Any, made: SimpleNamespace, toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not say where the data are: samples go all the same, the rest asks for the folder."""
    monkeypatch.setattr(type(toy), "exports", Pictures(), raising=False)
    monkeypatch.chdir(tmp_path)
    store = renoted(made, tmp_path / "store", lambda extra: extra.pop("dataset"))
    told("export", "line", "--to", "csv", "--store", store, "--output", tmp_path / "out")
    answer = told("export", "line", "--to", "picture", "--store", store, "--output", tmp_path / "out", code=2)
    assert "Where the data of 'line' are was not noted: an earlier fitcore ran it. Name their folder by --dataset." in answer.errors
    told("export", "line", "--to", "picture", "--store", store, "--output", tmp_path / "out", "--dataset", made.folder)
    told("export", made.folder, "--to", "picture", "--store", store, "--output", tmp_path / "out2")  # the name as a folder does as well


def test_a_hostile_note_steers_nothing(told: Any, made: SimpleNamespace, tmp_path: Path) -> None:
    def change(extra: dict[str, Any]) -> None:
        extra["dataset"] = "../" + STEERING
        extra["summary"]["verdict"] = STEERING

    store = renoted(made, tmp_path / "store", change)
    words = ("export", "line", "--to", "csv,getdist,anesthetic,arviz,corner", "--store", store, "--output", tmp_path / "out")
    answer = told(*words)
    assert "\x1b" not in answer.output + answer.errors
    for path in (tmp_path / "out").iterdir():
        assert re.fullmatch(r"line-second(\.[a-z]+)+", path.name)
        if path.suffix not in (".png", ".pdf", ".nc"):
            assert b"\x1b" not in path.read_bytes(), path
    assert json.loads((tmp_path / "out" / "line-second.about.json").read_text())["verdict"] == STEERING  # escaped, and whole


def test_one_that_fails_does_not_keep_the_others(told: Any, made: SimpleNamespace, toy: Any, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(made.store, store)
    note = encoding.unsigned((store / "runs" / "line" / "toy.json").read_bytes())
    (store / "runs" / "gone").mkdir()
    note |= {"name": "gone", "stages": [[stage, "0" * 64] for stage, _ in note["stages"]]}
    (store / "runs" / "gone" / "toy.json").write_bytes(encoding.signed(note, "run"))
    answer = told("export", "gone", "line", "--to", "csv", "--store", store, "--output", tmp_path / "out", code=1)
    assert "error: gone: " in answer.errors
    assert (tmp_path / "out" / "line-second.csv").exists()


def test_masked_latent_variables_are_told(told: Any, made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import flows.exporting as module

    def some_unknown(store: Any, digest: str, number: Any) -> Samples:
        latents = made.results["second"].latent_samples
        return Samples.from_arrays(
            latents.to_arrays() | {"parameters": np.where(np.arange(len(latents))[:, None] == 5, np.nan, latents.parameters)}
        )

    monkeypatch.setattr(module, "read_latents", some_unknown)
    answer = told("export", "line", "--to", "csv,getdist", "--store", made.store, "--output", tmp_path)
    assert answer.errors == "note: line-second: at_ten left out of getdist, which know no masked values: NaN in samples\n"
    assert (tmp_path / "line-second.paramnames").read_text().split() == ["a", r"\mathrm{a}", "b", r"\mathrm{b}"]
    assert "at_ten" in (tmp_path / "line-second.csv").read_text().splitlines()[0]


def test_latent_variables_of_other_samples_have_files_of_their_own(
    told: Any, made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where a stage computes them for some draws alone."""
    import flows.exporting as module

    few = made.results["second"].latent_samples
    arrays = {name: array[:50] if np.ndim(array) and name != "paths" else array for name, array in few.to_arrays().items()}
    monkeypatch.setattr(Store, "parts", lambda self, digest: ["result", "latents-50"])
    monkeypatch.setattr(module, "read_latents", lambda store, digest, number: Samples.from_arrays(arrays) if number == 50 else None)
    answer = told("export", "line", "--to", "csv", "--store", made.store, "--output", tmp_path)
    assert "line-second-latents-50.csv" in answer.output
    assert Samples.from_csv((tmp_path / "line-second-latents-50.csv").read_text()).paths == ("at_ten",)
    assert Samples.from_csv((tmp_path / "line-second.csv").read_text()).paths == ("a", "b")


def test_a_pipeline_that_is_not_installed(told: Any, made: SimpleNamespace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flows.catalogue.entry_points", lambda group: ())
    told("export", "line", "--to", "csv,getdist", "--store", made.store, "--output", tmp_path)
    assert (tmp_path / "line-second.csv").exists()


def test_bib(told: Any, made: SimpleNamespace) -> None:
    text = told("bib", "line", made.folder, "--store", made.store).output
    keys = re.findall(r"^@\w+\{(\S+),$", text, flags=re.MULTILINE)
    assert len(keys) == len(set(keys))
    assert {"fitcore", "harris2020array", "jax2018github", "lange2023nautilus", "owen2000safe", "vehtari2024pareto", "prefect"} <= set(keys)
    assert not {"hoffman2014nuts", "speagle2020dynesty"} & set(keys)
    assert text.count("\n% ") + text.startswith("% ") == len(keys)  # each says why
    assert re.search(r"^% arrays, version [\d.]+$", text, flags=re.MULTILINE)


def test_commands_have_examples(told: Any) -> None:
    for command in ("export", "bib"):
        assert f"Example: fitcore {command}" in told(command, "--help").output
