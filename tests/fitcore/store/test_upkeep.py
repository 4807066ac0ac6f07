"""A whole store: every damage is named, and only rubbish is removed."""

import os

import numpy as np
import pytest

from fitcore.errors import LeaseHeldError
from fitcore.store import QuarantineWarning, Store

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32
DAY = 86400.0


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store", heartbeat=0.05)
    for digest, number in ((A, 1), (B, 2)):
        store.commit(digest, arrays={"x": np.arange(5.0)}, attributes={"number": number}, spec={"number": number})
    store.commit_part(A, "latents", arrays={"m": np.arange(3.0)}, attributes={})
    store.write_internal(A, b"opaque")
    store.record_run("first", "lens", {"light": A})
    store.paths(A).save_text("note", "x")
    return store


def folder(store, digest, kind="results"):
    return store.path / kind / digest[:2] / digest


def make_old(path, days=2.0):
    for item in [path, *path.rglob("*")] if path.is_dir() else [path]:
        status = os.lstat(item)
        os.utime(item, (status.st_atime - days * DAY, status.st_mtime - days * DAY), follow_symlinks=False)


def everything(store):
    return {str(path.relative_to(store.path)): path.read_bytes() for path in store.path.rglob("*") if path.is_file()}


def test_one_row_for_each_result(store):
    rows = store.table()
    assert list(rows["digest"]) == [A, B]
    assert list(rows["parts"]) == ["latents", ""]
    assert rows[1].record.attributes == {"number": 2}


def test_a_damaged_result_has_no_row(store):
    (folder(store, A) / "result.h5").chmod(0o644)
    (folder(store, A) / "result.h5").write_bytes(b"x")
    with pytest.warns(QuarantineWarning):
        assert [row["digest"] for row in store.table()] == [B]


def test_a_sound_store_has_no_findings(store):
    store.checkpoint(C, fingerprint={}).save_arrays({"x": np.zeros(3)}, n_calls=1)
    before = everything(store)
    assert store.verify() == []
    assert everything(store) == before


@pytest.mark.parametrize("name", ["result.h5", "manifest.json", "latents.part.h5", "internal.part.h5"])
def test_every_damage_is_named_and_nothing_is_moved(store, name):
    path = folder(store, A) / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.chmod(0o644)
    path.write_bytes(data)
    before = everything(store)
    damaged = [finding for finding in store.verify() if finding.is_damage]
    assert damaged
    assert {finding.digest for finding in damaged} == {A}
    assert everything(store) == before


def test_a_damaged_checkpoint_is_named(store):
    checkpoint = store.checkpoint(C, fingerprint={})
    checkpoint.save_arrays({"x": np.zeros(3)}, n_calls=1)
    (path,) = checkpoint.folder.glob("state-*.h5")
    path.write_bytes(b"x")
    (finding,) = store.verify()
    assert (finding.is_damage, finding.path, finding.digest) == (True, path, C)


def test_what_is_not_damage_is_named_too(store):
    (folder(store, B) / "manifest.json").unlink()
    (folder(store, A) / ".tmp-01-result.h5").write_text("half")
    (folder(store, A) / "thesis.pdf").write_text("mine")
    store.record_run("gone", "lens", {"light": C})
    kinds = {finding.kind: finding for finding in store.verify()}
    assert set(kinds) == {"orphan", "temporary", "unknown", "missing"}
    assert not any(finding.is_damage for finding in kinds.values())
    assert kinds["orphan"].path == folder(store, B) / "result.h5"
    assert "its stage light is not in the store" in kinds["missing"].message


def rubbish(store):
    """Rubbish of every kind, and beside it what looks like it but must stay."""
    half = folder(store, A) / ".tmp-01-result.h5"
    half.write_text("half")
    store.checkpoint(A, fingerprint={}).save_arrays({"x": np.zeros(3)}, n_calls=1)  # of a committed result
    with store.lease(A):
        pass
    unfinished = store.checkpoint(C, fingerprint={})
    unfinished.save_arrays({"x": np.zeros(3)}, n_calls=1)
    (unfinished.folder / ".tmp-02-state").write_text("half")
    store.commit("dd" * 32, arrays={}, attributes={}, spec={})
    (folder(store, "dd" * 32) / "manifest.json").unlink()
    return {half, folder(store, A, "work"), unfinished.folder / ".tmp-02-state", folder(store, "dd" * 32) / "result.h5"}


def test_old_rubbish_is_removed_and_nothing_else(store):
    expected = rubbish(store)
    make_old(store.path)
    before = everything(store)
    assert {finding.path for finding in store.collect_garbage()} == expected
    assert everything(store) == before
    found = store.collect_garbage(dry_run=False)
    assert {finding.path for finding in found} == expected
    assert not any(path.exists() for path in expected)
    gone = set(before) - set(everything(store))
    assert all(any((store.path / name).is_relative_to(path) for path in expected) for name in gone)
    assert store.collect_garbage() == []
    assert store.read(A, "latents").arrays()["m"].tolist() == [0, 1, 2]
    assert store.checkpoint(C, fingerprint={}).load_arrays() is not None


def test_young_rubbish_stays(store):
    rubbish(store)
    make_old(store.path, days=0.9)
    assert store.collect_garbage(dry_run=False) == []


def test_nothing_under_a_live_lease_is_touched(store):
    rubbish(store)
    with store.lease(A), store.lease(C), store.lease("dd" * 32):
        make_old(store.path)
        assert store.collect_garbage(dry_run=False) == []
        with pytest.raises(LeaseHeldError):
            store.lease(A, wait=0).__enter__()
    make_old(store.path)
    assert len(store.collect_garbage()) == 4  # the work folder of "dd" is no rubbish: its result is not committed


def test_an_old_clock_here_does_not_make_files_old(store, monkeypatch):
    rubbish(store)
    monkeypatch.setattr("time.time", lambda: 4e9)
    assert store.collect_garbage() == []
