"""A store that is only looked at, and quick looks at its commit records and checkpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fitcore import ConfigError, Store, StoreError, canonical, digest
from fitcore.store import QuarantineWarning

FINGERPRINT = {"numpy": "2"}


def committed(store: Store, number: int) -> str:
    spec = {"n": number}
    key = digest(spec)
    store.commit(
        key,
        arrays={"x": np.arange(3.0)},
        attributes={"a": 1},
        spec=canonical(spec),
        provenance={"name": f"chain.{number}", "seconds": 2.0},
    )
    path = store.path / "results" / key[:2] / key / "manifest.json"
    os.utime(path, (1e9 + number, 1e9 + number))
    return key


def test_glimpses_are_the_newest_first_and_leave_out_what_cannot_be_read(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    keys = [committed(store, number) for number in range(4)]
    assert [found.digest for found in store.glimpses()] == keys[::-1]
    assert [found.name for found in store.glimpses(most=2)] == ["chain.3", "chain.2"]
    assert next(iter(store.glimpses())).spec == canonical({"n": 3})
    broken = store.path / "results" / keys[3][:2] / keys[3] / "manifest.json"
    broken.chmod(0o644)
    broken.write_text("{}")
    assert keys[3] not in [found.digest for found in store.glimpses()]
    assert list(Store(tmp_path / "store", key=b"k" * 16).glimpses()) == []  # none of them is signed


def test_what_is_saved_and_whether_it_would_be_used(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    key = digest({"n": 1})
    assert store.saved(key, FINGERPRINT) is None
    store.checkpoint(key, fingerprint=FINGERPRINT).save_arrays({"u": np.zeros(2)}, n_calls=40)
    found = store.saved(key, FINGERPRINT)
    assert found is not None
    assert (found.n_calls, found.difference) == (40, "")
    store.checkpoint(key, fingerprint={"numpy": "3"}).save_arrays({"u": np.zeros(2)}, n_calls=60)
    other = store.saved(key, {"numpy": "4"})
    assert other is not None
    assert (other.n_calls, other.difference) == (60, "numpy was '3' and is '4'")


def writes(store: Store) -> list[Any]:
    key = digest({"n": 9})
    return [
        store.check_writable,
        lambda: store.commit(key, arrays={}, attributes={}, spec=canonical({"n": 9})),
        lambda: store.record_run("a", "b", {}),
        lambda: store.lease(key),
        lambda: store.checkpoint(key),
        lambda: store.write_internal(key, b"x"),
        lambda: store.collect_garbage(dry_run=False),
        store.rebuild_runs,
        lambda: store.paths(key).output_path,
    ]


def test_a_store_that_is_looked_at_is_not_written(tmp_path: Path) -> None:
    store = Store(tmp_path / "none", is_looking=True)
    for write in writes(store):
        with pytest.raises(StoreError, match="was opened to look at it"):
            write()
    store.paths(digest({"n": 9})).save_text("note", "it goes nowhere")
    store.paths(digest({"n": 9})).child("deeper").save_text("note", "it goes nowhere")
    with pytest.warns(QuarantineWarning, match="for no reason: .* is left where it is"):
        assert store.quarantine(digest({"n": 9}), "for no reason") is None
    assert store.digests() == []
    assert store.runs() == []
    assert not (tmp_path / "none").exists()


def test_other_things_are_still_no_store(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ConfigError, match=r"thesis\.tex"):
        Store(tmp_path, is_looking=True)
