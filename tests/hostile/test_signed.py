"""Stores with a key: every record is signed, and what is not signed with it is neither served nor moved. Without a key all is as before."""

from __future__ import annotations

import io
import json
import stat
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from damage import DONE, FINGERPRINT, RUNNING, commit, fill, seen

from fitcore.errors import ConfigError, StoreError
from fitcore.store import CheckpointWarning, QuarantineWarning, Store, StoreWarning, encoding, hdf5
from flows import settings
from flows.command import existing
from flows.worker import Worker

KEY, OTHER = b"0123456789abcdef", b"another key, as long"
REMEDY = "Give the key it was signed with, use the store without a key if you trust all who can write to it, or name another store"


def everything(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def signed(tmp_path: Path) -> Path:
    fill(Store(tmp_path / "store", key=KEY))
    return tmp_path / "store"


def records(folder: Path) -> list[Path]:
    return [
        *folder.glob("results/*/*/manifest.json"),
        *folder.glob("results/*/*/*.part.h5"),
        *folder.glob("work/*/*/state-*.json"),
        *folder.glob("runs/*/*.json"),
    ]


def record_of(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    return encoding.unsigned(hdf5.parted(data)[0] if path.name.endswith(".part.h5") else data)


def test_every_record_is_signed_and_served_to_the_key_and_to_none(signed: Path) -> None:
    assert len(records(signed)) == 8
    for path in records(signed):
        assert len(record_of(path)["hmac"]) == 64
    assert KEY not in b"".join(everything(signed).values())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert Store(signed, key=KEY).verify() == []
        assert seen(Store(signed, key=KEY)) == seen(Store(signed))
        assert Store(signed).verify() == []


def refused_everything(folder: Path, key: bytes, how: str) -> None:
    before, store = everything(folder), Store(folder, key=key)
    reads: list[Callable[[], Any]] = [lambda: store.lookup(DONE), lambda: store.read(DONE, "latents")]
    reads += [lambda: store.read_internal(DONE, trust=True), lambda: commit(store), store.rebuild_runs]
    for read in reads:
        with pytest.raises(StoreError) as caught:
            read()
        assert "was not signed with this store's key: it is not read, and nothing was moved" in str(caught.value)
        assert how in str(caught.value)
        assert REMEDY in str(caught.value)
        assert not caught.value.retryable
    with pytest.warns(StoreWarning, match="It is left out"), pytest.raises(StoreError, match="was not signed"):
        store.table()
    with pytest.warns(CheckpointWarning, match="is not used, and the search starts anew: state-.*was not signed with this store's key"):
        assert store.checkpoint(RUNNING, fingerprint=FINGERPRINT).load_arrays() is None
    with pytest.warns(StoreWarning, match=r"runs/points/small\.json, was not signed .* It is left out"):
        assert store.runs() == []
    assert {finding.path.parent.name for finding in store.verify() if finding.is_damage} == {DONE, RUNNING, "points"}
    assert everything(folder) == before


def test_another_key_serves_nothing_and_moves_nothing(signed: Path) -> None:
    refused_everything(signed, OTHER, "it was signed with another key")


def test_what_is_not_signed_is_not_served(tmp_path: Path) -> None:
    fill(Store(tmp_path / "store"))
    refused_everything(tmp_path / "store", KEY, "it is not signed at all")


def test_no_field_of_a_signed_record_can_be_changed(signed: Path) -> None:
    """With its seal made right again, as anyone can: the signature is what notices it."""
    for path in records(signed):
        record = record_of(path)
        is_manifest = path.name == "manifest.json" or path.name.endswith(".part.h5")
        kind = "manifest" if is_manifest else "checkpoint record" if path.name.startswith("state") else "run"
        assert encoding.signature_fault(record, kind, KEY) == ""
        for name in record:
            changed = {**record, name: "x" if name != "sha256_of_file" else "0" * 64}
            assert encoding.signature_fault(encoding.unsigned(encoding.signed(changed, kind)), kind, KEY) != "", (path, name)
        for other in {"manifest", "checkpoint record", "run"} - {kind}:
            assert encoding.signature_fault(record, other, KEY) != ""  # no record stands for one of another kind


def test_a_result_under_another_digest_is_not_believed(signed: Path) -> None:
    other = "ef" * 32
    target = signed / "results" / "ef" / other
    target.parent.mkdir()
    (signed / "results" / "ab" / DONE).rename(target)
    with pytest.warns(QuarantineWarning, match="belongs to another result"):
        assert Store(signed, key=KEY).lookup(other) is None


def test_a_file_that_was_planted_is_not_signed(tmp_path: Path) -> None:
    """A result without its commit record is adopted in a store without a key; with one, our signature would make it ours."""
    store = Store(tmp_path, key=KEY)
    commit(Store(tmp_path / "elsewhere"))
    planted = tmp_path / "results" / "ab" / DONE / "result.h5"
    planted.parent.mkdir(parents=True)
    Store(tmp_path / "third").commit(DONE, arrays={"x": np.zeros(3)}, attributes={"evil": 1}, spec=None)
    planted.write_bytes((tmp_path / "third" / "results" / "ab" / DONE / "result.h5").read_bytes())
    with pytest.warns(QuarantineWarning, match="is not what this store's key is about to sign"):
        commit(store)
    record = store.read(DONE)
    assert "evil" not in record.attributes
    assert not record.manifest["is_adopted"]


def test_states_of_another_key_stay(signed: Path) -> None:
    """A wrong key costs work that is repeated, not work that is saved."""
    mine = set((signed / "work" / "cd" / RUNNING).glob("state-*.json"))
    checkpoint = Store(signed, key=OTHER).checkpoint(RUNNING, fingerprint=FINGERPRINT)
    for n in range(4):
        checkpoint.save_arrays({"n": n}, n_calls=n)
    assert mine <= set((signed / "work" / "cd" / RUNNING).glob("state-*.json"))
    assert checkpoint.load_arrays() == {"n": 3}


@pytest.mark.parametrize("key", [b"", "text", 5])
def test_a_key_that_is_none(tmp_path: Path, key: Any) -> None:
    with pytest.raises(ConfigError, match=r"the key of the store is (empty|of type (str|int)): give bytes, or None"):
        Store(tmp_path, key=key)


def test_committed_files_are_read_only_from_their_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from fitcore.store import durable

    modes: list[int] = []
    link = durable.link

    def looking(source: Path, target: Path) -> None:
        link(source, target)
        modes.append(stat.S_IMODE(target.stat().st_mode))

    monkeypatch.setattr(durable, "link", looking)
    fill(Store(tmp_path))
    assert len(modes) >= 7
    assert set(modes) == {0o444}
    for path in [*tmp_path.glob("results/*/*/*"), tmp_path / "fitcore-store.json"]:
        assert stat.S_IMODE(path.stat().st_mode) == 0o444, path


# ---- the command line ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def key_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "key"
    path.write_bytes(KEY + b"\n")
    path.chmod(0o600)
    monkeypatch.setenv("FITCORE_KEY_FILE", str(path))
    return path


def test_the_key_is_read_from_its_file_and_shown_nowhere(key_file: Path, signed: Path) -> None:
    found = settings.read()
    assert found.key == KEY
    assert "0123456789" not in repr(found)
    assert "0123456789" not in repr(existing(signed))
    assert existing(signed).key == KEY
    child = settings.child_environment(found)
    assert child["FITCORE_KEY_FILE"] == str(key_file)
    assert not any("0123456789abcdef" in value for value in child.values())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o610])
def test_a_key_that_others_may_see_is_refused(key_file: Path, mode: int) -> None:
    key_file.chmod(mode)
    with pytest.raises(settings.SettingsError, match=rf"others can read or change \(mode {mode:04o}.*chmod 600.*make a new key"):
        settings.read()


def test_a_short_key_is_refused(key_file: Path) -> None:
    key_file.write_bytes(KEY[:15] + b"\n")
    with pytest.raises(settings.SettingsError, match=r"holds 15 bytes; a key has 16 to 4096. Make one.*openssl rand"):
        settings.read()


def test_the_worker_opens_the_store_with_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[bytes | None] = []

    class Entry:
        name, latent_stage = "x", "first"

        def load(self, path: Path) -> Any:
            return SimpleNamespace(name="lens")

        def build(self, settings: Any) -> Any:
            return type("Pipeline", (), {"stage_names": ("first",), "needs": None})()

    monkeypatch.setattr("flows.worker.catalogue.find", lambda name: Entry())
    monkeypatch.setattr("flows.worker.Store", lambda path, key=None: asked.append(key) or SimpleNamespace(reports=tmp_path))
    output = io.StringIO()
    request = {"operation": "stages", "pipeline": "x", "dataset": str(tmp_path), "store": str(tmp_path), "seed": 0, "settings": {}}
    Worker(output, threads=1, key=KEY).serve(iter([json.dumps(request)]))  # type: ignore[arg-type]
    assert json.loads(output.getvalue())["answer"]["stages"] == ["first"]
    assert asked == [KEY]
