"""The calls under everything: whole files, the first one wins, and errors that say what to do."""

import errno
import os
import stat

import pytest

from fitcore.errors import ConfigError, StoreError
from fitcore.store import durable


def no_links(monkeypatch, number=errno.EOPNOTSUPP):
    def link(source, target):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(durable, "link", link)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_create_never_overwrites(tmp_path):
    durable.create(tmp_path / "a", b"one")
    with pytest.raises(FileExistsError):
        durable.create(tmp_path / "a", b"two")
    assert (tmp_path / "a").read_bytes() == b"one"


def test_create_goes_on_after_a_short_write(tmp_path, monkeypatch):
    real = durable.write
    monkeypatch.setattr(durable, "write", lambda descriptor, data: real(descriptor, data[:3]))
    durable.create(tmp_path / "a", b"0123456789")
    assert (tmp_path / "a").read_bytes() == b"0123456789"


def test_create_cleans_up_its_own_file_only(tmp_path, monkeypatch):
    path = tmp_path / "a"

    def write(descriptor, data):
        # While we were writing, someone moved our file away and put another there.
        path.rename(tmp_path / "moved")
        path.write_bytes(b"another's")
        raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(durable, "write", write)
    with pytest.raises(OSError, match="full"):
        durable.create(path, b"mine")
    assert path.read_bytes() == b"another's"


def test_the_order_of_the_calls(tmp_path, monkeypatch):
    """Content to the disk before its name, the name before we say that it is done."""
    calls = []
    for name in ("open_exclusive", "write", "fsync", "link", "rename", "unlink", "fsync_folder"):
        real = getattr(durable, name)
        monkeypatch.setattr(durable, name, lambda *arguments, name=name, real=real: (calls.append(name), real(*arguments))[1])
    durable.publish_first(tmp_path / "a", b"x")
    assert calls == ["open_exclusive", "write", "fsync", "link", "unlink", "fsync_folder"]
    calls.clear()
    durable.replace(tmp_path / "a", b"y")
    assert calls == ["open_exclusive", "write", "fsync", "rename", "fsync_folder"]


def test_new_folders_are_forced_to_the_disk(tmp_path, monkeypatch):
    forced = []
    monkeypatch.setattr(durable, "fsync_folder", forced.append)
    durable.make_folder(tmp_path / "a" / "b")
    durable.make_folder(tmp_path / "a" / "b")
    assert forced == [tmp_path, tmp_path / "a"]


@pytest.mark.parametrize("has_links", [True, False])
@pytest.mark.parametrize("small", [True, False])
def test_the_first_one_wins(tmp_path, monkeypatch, has_links, small):
    if not has_links:
        no_links(monkeypatch)
    assert durable.publish_first(tmp_path / "a", b"first", small=small)
    assert not durable.publish_first(tmp_path / "a", b"second", small=small)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert names(tmp_path) == ["a"]


def test_a_link_whose_answer_was_lost_still_counts(tmp_path, monkeypatch):
    real = durable.link

    def link(source, target):
        real(source, target)
        raise FileExistsError(errno.EEXIST, "File exists")  # what a network file system says when it repeats the request

    monkeypatch.setattr(durable, "link", link)
    assert durable.publish_first(tmp_path / "a", b"first")
    assert not durable.publish_first(tmp_path / "a", b"second")


def test_a_real_trouble_of_link_is_not_taken_for_missing_links(tmp_path, monkeypatch):
    no_links(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="Input/output error"):
        durable.publish_first(tmp_path / "a", b"x")
    assert names(tmp_path) == []


def test_what_does_not_read_back_is_not_published(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "read_bytes", lambda path, at_most: b"other")
    with pytest.raises(OSError, match="does not read back"):
        durable.publish_first(tmp_path / "a", b"x")
    assert names(tmp_path) == []


def test_only_plain_files_of_a_sane_size_are_read(tmp_path):
    (tmp_path / "a").write_bytes(b"0123456789")
    assert durable.read_bytes(tmp_path / "a", at_most=10) == b"0123456789"
    with pytest.raises(OSError, match="10 bytes, more than the 9 allowed"):
        durable.read_bytes(tmp_path / "a", at_most=9)
    (tmp_path / "link").symlink_to(tmp_path / "a")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("link", "pipe", "folder"):
        with pytest.raises(OSError):  # noqa: PT011 - the system's own words differ
            durable.read_bytes(tmp_path / name, at_most=10)


def test_files_are_readable_by_others(tmp_path):
    mask = os.umask(0o022)
    try:
        durable.replace(tmp_path / "a", b"x")
    finally:
        os.umask(mask)
    assert stat.S_IMODE(os.stat(tmp_path / "a").st_mode) == 0o644


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (
            errno.ENOSPC,
            r"no space left while saving: the disk that holds .* MB free .*free some space there .* or name a store on another disk",
        ),
        (errno.EDQUOT, "no space left while saving"),
        (errno.EACCES, "not allowed while saving: .* Change its permissions or name another store; reading results from it still works"),
        (errno.EROFS, "not allowed while saving"),
        (errno.EIO, "the disk failed while saving: .* Check the disk"),
    ],
)
def test_errors_name_the_place_and_the_remedy(tmp_path, number, text):
    place = tmp_path / "not" / "there"
    with pytest.raises(StoreError, match=text) as caught, durable.explaining(place, "saving"):
        raise OSError(number, os.strerror(number))
    assert str(place) in str(caught.value)


def test_our_own_errors_pass_as_they_are(tmp_path):
    with pytest.raises(ConfigError, match=r"^mine$"), durable.explaining(tmp_path, "saving"):
        raise ConfigError("mine")
