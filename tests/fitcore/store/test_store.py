"""Opening a store, and saying early and clearly when it cannot keep results."""

import contextlib
import json
import os
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from fitcore.errors import ConfigError, SchemaVersionError, StoreError
from fitcore.store import Store, StoreWarning, durable
from fitcore.store import store as module

DIGEST = "ab" * 32


def test_a_new_folder_becomes_a_store(tmp_path):
    store = Store(tmp_path / "a" / "b")
    assert json.loads((store.path / "fitcore-store.json").read_text()) == {"format": "fitcore store", "schema_version": 1}
    assert Store(store.path) == store
    assert Store(str(store.path)).path == store.path


def test_opening_again_changes_nothing(tmp_path):
    Store(tmp_path)
    before = [(path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir()]
    Store(tmp_path)
    assert [(path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir()] == before


def test_a_misspelt_argument_is_refused(tmp_path):
    with pytest.raises(TypeError, match="heartbeet"):
        Store(tmp_path, heartbeet=1.0)  # type: ignore[call-arg]


def test_the_key_is_not_shown(tmp_path):
    assert "secret" not in repr(Store(tmp_path, key=b"secret"))


def test_a_store_of_another_version_is_refused(tmp_path):
    Store(tmp_path)
    (tmp_path / "fitcore-store.json").chmod(0o644)
    (tmp_path / "fitcore-store.json").write_text('{"format": "fitcore store", "schema_version": 2}')
    with pytest.raises(SchemaVersionError, match=r"has schema version 2, and this fitcore reads 1: use the fitcore that made it, or name"):
        Store(tmp_path)
    (tmp_path / "fitcore-store.json").write_text("rubbish")
    with pytest.raises(SchemaVersionError, match=r"fitcore-store.json, is damaged: schema version None. It must hold this line .*verify"):
        Store(tmp_path)


def test_a_file_is_no_store(tmp_path):
    (tmp_path / "x").write_text("x")
    for path in (tmp_path / "x", tmp_path / "x" / "y"):
        with pytest.raises(ConfigError, match=r"x is a file, and the store .* must be a folder: name another path"):
            Store(path)


def test_a_folder_of_other_things_is_no_store(tmp_path):
    (tmp_path / "image.fits").write_text("x")
    with pytest.raises(ConfigError, match=r"holds other things \(image\.fits, \.\.\.\).*name a new or empty folder"):
        Store(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["image.fits"]


def test_a_folder_left_by_a_kill_while_it_was_made(tmp_path):
    (tmp_path / ".tmp-0123-fitcore-store.json").write_text("")
    Store(tmp_path).check_writable()


def test_a_good_store_passes_and_keeps_nothing_of_the_probe(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "WARNED_BELOW", 0)
    store = Store(tmp_path)
    store.check_writable()
    assert [path.name for path in tmp_path.iterdir()] == ["fitcore-store.json"]


def test_little_room_warns_and_less_room_refuses(tmp_path, monkeypatch):
    store = Store(tmp_path)
    usage = module.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=100_000_000))
    with pytest.warns(StoreWarning, match="has only 100 MB free: make room soon, or name a store on another disk"):
        store.check_writable()
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage._replace(free=10_000_000))
    with pytest.raises(StoreError, match=r"no space left while checking.*has 10\.0 MB free.*at least 34 MB must be free"):
        store.check_writable()


@pytest.mark.parametrize(("number", "text"), [(13, "Permission denied"), (30, "Read-only file system")])
def test_a_store_that_can_only_be_read(tmp_path, monkeypatch, number, text):
    store = Store(tmp_path)
    store.commit(DIGEST, arrays={"x": np.arange(3)}, attributes={"n": 3}, spec={})

    def open_exclusive(path, mode):
        raise OSError(number, text, str(path))

    monkeypatch.setattr(durable, "open_exclusive", open_exclusive)
    again = Store(tmp_path)
    with pytest.raises(StoreError, match=f"not allowed while checking.*{text}.*Change its permissions or name another store; reading"):
        again.check_writable()
    with pytest.raises(StoreError, match="not allowed while committing"):
        again.commit("cd" * 32, arrays={}, attributes={}, spec={})
    assert again.read(DIGEST).arrays()["x"].tolist() == [0, 1, 2]
    assert again.verify() == []
    assert len(again.table()) == 1


def test_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    def make_one_folder(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(durable, "make_one_folder", make_one_folder)
    with pytest.raises(StoreError, match="not allowed while making the store"):
        Store(tmp_path / "new")


@contextlib.contextmanager
def small_disk(folder: Path, size: str):
    """A file system of its own where this user may mount one."""
    folder.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=False).returncode != 0:
        pytest.skip("a small file system can be mounted by root only")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill_up(store: Store, done: list[str]) -> None:
    """Commit until the disk is full, noting the digests that were committed."""
    rng = np.random.default_rng(1)
    for number in range(1000):
        digest = f"{number:064x}"
        store.commit(digest, arrays={"x": rng.normal(size=20_000)}, attributes={"number": number}, spec={})
        done.append(digest)


def test_a_disk_that_fills_up_loses_nothing_committed(tmp_path):
    with small_disk(tmp_path / "disk", "2m") as disk:
        store = Store(disk / "store")
        done: list[str] = []
        with pytest.raises(
            StoreError, match=r"no space left while committing.* MB free .*Nothing that was committed is lost: free some"
        ) as caught:
            fill_up(store, done)
        assert str(store.path) in str(caught.value)
        assert len(done) >= 5
        assert [finding for finding in store.verify() if finding.is_damage] == []
        assert [row.record.attributes["number"] for row in store.table()] == list(range(len(done)))
        checkpoint = store.checkpoint(DIGEST, fingerprint={})
        with pytest.raises(StoreError, match="no space left while saving the checkpoint"):
            checkpoint.save_arrays({"x": np.zeros(40_000)}, n_calls=1)
        with pytest.raises(StoreError, match="no space left while checking"):
            store.check_writable()
        # Room again: the same command goes on.
        for path in (disk / "store" / "results").glob("*/*"):
            for file in path.iterdir():
                file.unlink()
            break
        store.commit(DIGEST, arrays={"x": np.arange(3)}, attributes={}, spec={})


@pytest.mark.parametrize("cut", [0, 100, 3000, 200_000])
def test_a_write_that_fails_half_way_leaves_no_trace(tmp_path, monkeypatch, cut):
    store = Store(tmp_path)
    store.commit("cd" * 32, arrays={}, attributes={}, spec={})
    room = [cut]
    real = durable.write

    def write(descriptor, data):
        if not room[0]:
            raise OSError(28, "No space left on device")
        written = real(descriptor, data[: room[0]])
        room[0] -= written
        return written

    monkeypatch.setattr(durable, "write", write)
    with pytest.raises(StoreError, match="no space left while committing"):
        store.commit(DIGEST, arrays={"x": np.zeros(30_000)}, attributes={}, spec={})
    monkeypatch.undo()
    assert not list(tmp_path.rglob(".tmp-*"))
    assert [finding for finding in store.verify() if finding.is_damage] == []
    assert store.lookup(DIGEST) is None
    assert store.read("cd" * 32)


def test_a_rerun_reads_summaries_in_milliseconds(tmp_path):
    store = Store(tmp_path)
    rng = np.random.default_rng(1)
    arrays = {"parameters": rng.normal(size=(20_000, 15)), "log_likelihood": rng.normal(size=20_000)}
    store.commit(DIGEST, arrays=arrays, attributes={"log_evidence": 1.0}, spec={})
    best = np.inf
    for _ in range(5):
        start = time.perf_counter()
        assert Store(tmp_path).read(DIGEST).attributes["log_evidence"] == 1.0
        best = min(best, time.perf_counter() - start)
    assert best < 0.1
