"""Wrong input: exit code 2 before any sampling, one message that says what, what is allowed, and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import cli, launch


def forbidden(*words: Any, **more: Any) -> None:
    raise AssertionError("something was started")


@pytest.fixture
def refused(installed: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must be refused before anything is started; its one message."""
    monkeypatch.setattr(launch, "supervise", forbidden)

    def run(*words: Any) -> str:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(word) for word in words])
        output, errors = capsys.readouterr()
        assert ended.value.code == 2, errors
        assert output == ""
        return errors.strip()

    return run


def test_unknown_pipeline(refused: Any, make_points: Any, tmp_path: Path) -> None:
    text = refused("run", make_points(), "--pipeline", "toyy", "--store", tmp_path / "store")
    assert text == "error: There is no pipeline 'toyy'; installed are ['fork', 'lens', 'quick', 'toy']. Did you mean 'toy'?"


@pytest.mark.parametrize(
    ("item", "says"),
    [
        (
            "secnd.n_eff=10",
            "--set 'secnd.n_eff=10': pipeline 'toy' has no stage 'secnd'; it has ['first', 'second']. Did you mean 'second'?",
        ),
        ("second.n_ef=10", "has no setting 'n_ef'; it has"),
        ("second.n_ef=10", "Did you mean 'n_eff'?"),
        ("second.n_eff=abc", "Importance: n_eff is 'abc'; it must be"),
        ("second.n_eff=true", "Importance: n_eff is True; it must be"),
        ("second.n_eff=-1", "Importance: n_eff is -1; it must be"),
        ("second.n_eff", "--set 'second.n_eff' is not of the form stage.field=value, such as second.n_eff=1000."),
        ("n_eff=3", "is not of the form stage.field=value"),
        ("second.n_eff=[1, 2]", "the value is [1, 2]; it must be a number, a word, true or false."),
        ("second.n_eff={", "the value cannot be read:"),
        ("second.n_eff=", "the value is None; it must be a number, a word, true or false."),
    ],
)
def test_wrong_setting(refused: Any, make_points: Any, tmp_path: Path, item: str, says: str) -> None:
    assert says in refused("run", make_points(), "--pipeline", "toy", "--store", tmp_path / "store", "--set", item)


def test_unknown_option_and_missing_argument(refused: Any, make_points: Any) -> None:
    assert "No such option: --sed" in refused("run", make_points(), "--sed", "1")
    assert "Missing argument" in refused("run")
    assert "No such command 'rum'" in refused("rum")
    assert "Invalid value for '--seed': Input should be greater than or equal to 0" in refused("run", make_points("b"), "--seed", "-1")


def test_dataset_that_is_not_there(refused: Any, tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    text = refused("run", missing, "--pipeline", "toy", "--store", tmp_path / "store")
    assert text == f"error: {missing} has no points.json. Write one with name, x and y."


def test_only_bad_datasets(refused: Any, tmp_path: Path) -> None:
    text = refused("run", tmp_path / "a", tmp_path / "b", "--pipeline", "toy", "--store", tmp_path / "store")
    assert f"{tmp_path / 'a'} has no points.json." in text
    assert f"{tmp_path / 'b'} has no points.json." in text
    assert text.endswith("error: None of the 2 datasets can be read; the reasons are above.")


def test_two_datasets_of_one_name(refused: Any, make_points: Any, tmp_path: Path) -> None:
    one, two = make_points("same"), make_points("same", folder="other")
    text = refused("run", one, two, "--pipeline", "toy", "--store", tmp_path / "store")
    assert f"{one} and {two} both have the name 'same'; results are listed by name. Set another name in one's info" in text


def test_store_that_cannot_be_written(refused: Any, make_points: Any, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a store")
    text = refused("run", make_points(), "--pipeline", "toy", "--store", file)
    assert f"{file} is a file, and the store {file} must be a folder: name another path" in text
    text = refused("run", make_points("b"), "--pipeline", "toy", "--store", file / "below")
    assert f"{file} is a file" in text
    folder = tmp_path / "things"
    folder.mkdir()
    (folder / "thesis.tex").touch()
    text = refused("run", make_points("c"), "--pipeline", "toy", "--store", folder)
    assert f"the folder {folder} holds other things (thesis.tex, ...)" in text
    assert file.read_text() == "not a store"


def test_folder_of_the_lens_pipeline_without_images(refused: Any, tmp_path: Path) -> None:
    (tmp_path / "lens").mkdir()
    text = refused("run", tmp_path / "lens", "--store", tmp_path / "store")
    assert str(tmp_path / "lens") in text


def test_reading_commands(refused: Any, finished: Any, tmp_path: Path) -> None:
    _, store, _ = finished
    text = refused("show", "lime", "--store", store)
    assert "'lime'" in text
    assert "line" in text
    assert "line has no stage 'third'; it has ['first', 'second']" in refused("show", "line", "--stage", "third", "--store", store)
    assert "'xml' is not a format. Valid formats: 'text', 'csv', 'json'" in refused("table", "--format", "xml", "--store", store)
    assert not (tmp_path / "none").exists()
    for command in ("table", "verify"):
        text = refused(command, "--store", tmp_path / "none")
        assert str(tmp_path / "none") in text
        assert not (tmp_path / "none").exists()


def test_simulating_into_a_folder_that_holds_something(refused: Any, make_points: Any) -> None:
    folder = make_points()
    before = (folder / "points.json").read_bytes()
    for pipeline in ("toy", "lens"):
        text = refused("simulate", folder, "--pipeline", pipeline)
        assert str(folder) in text
    assert (folder / "points.json").read_bytes() == before
