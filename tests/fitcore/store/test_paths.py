"""One result's corner: what is saved is loaded, and nothing gets out of it."""

import matplotlib.figure
import numpy as np
import pytest

from fitcore.errors import CanonicalFormError, ConfigError, CorruptResultError, ResultNotFoundError, StoreError
from fitcore.store import Store, durable

DIGEST = "ab" * 32


@pytest.fixture
def paths(tmp_path):
    return Store(tmp_path / "store").paths(DIGEST)


def test_what_is_saved_is_loaded(paths):
    paths.save_json("info", {"a": [1, 2.5, None], "x": np.float64(0.1)})
    assert paths.load_json("info") == {"a": [1, 2.5, None], "x": 0.1}
    assert paths.load_json("info.json") == paths.load_json("info")
    paths.save_array("image", np.arange(6.0).reshape(2, 3))
    assert paths.load_array("image").tolist() == [[0, 1, 2], [3, 4, 5]]
    paths.save_text("notes", "größer")
    assert paths.load_text("notes") == "größer"
    paths.save_text("model.md", "# x")
    assert paths.load_text("model.md") == "# x"
    assert paths.names() == ["image.npy", "info.json", "model.md", "notes.txt"]
    paths.save_json("info", {"a": 2})
    assert paths.load_json("info") == {"a": 2}
    assert paths.output_path.is_dir()
    assert (paths.output_path / "info.json").is_file()


def test_children_do_not_disturb_each_other(paths):
    paths.child("first").save_text("a", "1")
    paths.child("second").save_text("a", "2")
    assert (paths.child("first").load_text("a"), paths.child("second").load_text("a"), paths.names()) == ("1", "2", [])


def test_figures(paths):
    figure = matplotlib.figure.Figure(figsize=(1, 1))
    figure.subplots().plot([1, 2])
    assert paths.save_figure("fit", figure).read_bytes().startswith(b"\x89PNG")
    assert paths.save_figure("fit.pdf", figure).read_bytes().startswith(b"%PDF")
    assert paths.save_figure("fit.v2", figure, dpi=20).name == "fit.v2.png"
    assert paths.load_figure("fit") == (paths.output_path / "fit.png").read_bytes()
    assert paths.load_figure("fit.pdf").startswith(b"%PDF")
    assert paths.load_figure("fit.v2") == paths.load_figure("fit.v2.png")
    with pytest.raises(ResultNotFoundError, match=r"no file other\.png"):
        paths.load_figure("other")


@pytest.mark.parametrize("name", ["../x", "a/b", "/etc/x", "", ".", "..", ".hidden", "a" * 65, "a\x00b", "a b", "ä", "-x", None, "x\n"])
def test_bad_names_are_refused(paths, name):
    for action in (
        lambda: paths.save_json(name, 1),
        lambda: paths.save_array(name, [1]),
        lambda: paths.save_text(name, "x"),
        lambda: paths.load_json(name),
        lambda: paths.load_array(name),
        lambda: paths.load_text(name),
        lambda: paths.child(name),
    ):
        with pytest.raises((ConfigError, TypeError), match=r"cannot be used as a file name|NoneType"):
            action()
    assert not paths.folder.exists()


def test_a_name_that_is_too_long_with_its_ending_is_refused(paths):
    with pytest.raises(ConfigError, match="64 at most"):
        paths.save_json("a" * 62, 1)


def test_no_link_leads_out(paths, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.txt").write_text("secret")
    paths.save_text("x", "y")
    (paths.folder / "way.txt").symlink_to(outside / "secret.txt")
    with pytest.raises(StoreError, match="only plain files are read, no links"):
        paths.load_text("way")
    paths.save_text("way", "new")  # replaces the link, not what it points to
    assert (outside / "secret.txt").read_text() == "secret"
    (paths.folder / "sub").symlink_to(outside)
    child = paths.child("sub")
    for action in (lambda: child.save_text("z", "z"), lambda: child.load_text("secret"), lambda: child.output_path):
        with pytest.raises(StoreError, match="reached through a symbolic link inside the store"):
            action()
    assert [path.name for path in outside.iterdir()] == ["secret.txt"]


def test_a_store_behind_a_link_is_fine(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    paths = Store(tmp_path / "link").paths(DIGEST)
    paths.save_text("x", "y")
    assert paths.load_text("x") == "y"


def test_what_is_missing_or_damaged_is_said(paths):
    with pytest.raises(ResultNotFoundError, match=r"no file a\.json in .*; it has: nothing"):
        paths.load_json("a")
    paths.save_text("b", "x")
    with pytest.raises(ResultNotFoundError, match=r"it has: b\.txt"):
        paths.load_json("a")
    (paths.folder / "a.json").write_text("{")
    with pytest.raises(CorruptResultError, match=r"a\.json is damaged.*run the hooks of the analysis again"):
        paths.load_json("a")


def test_no_pickles(paths):
    with pytest.raises(ConfigError, match="only numbers, booleans and strings"):
        paths.save_array("a", np.array([{}], dtype=object))
    with open(paths.output_path / "a.npy", "wb") as file:
        np.save(file, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(CorruptResultError, match="damaged"):
        paths.load_array("a")
    with pytest.raises(CanonicalFormError, match=r"info\.a is a set"):
        paths.save_json("info", {"a": {1}})


def test_a_failed_write_leaves_the_old_file(paths, monkeypatch):
    paths.save_text("a", "old")

    def write(descriptor, data):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(durable, "write", write)
    with pytest.raises(StoreError, match=r"no space left while saving a\.txt"):
        paths.save_text("a", "new")
    assert paths.load_text("a") == "old"
    assert paths.names() == ["a.txt"]
