"""The index of listings: what is in it is believed only while the files are as they were."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fitcore.store import Store, index
from fitcore.store.layout import Layout


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[dict[str, Any], list[str]]]:
    """Lists three files in a store; what was found, and which of them were read."""
    monkeypatch.setattr(index, "LEAST_NEW", 1)
    store = Store(tmp_path / "store")
    for name in "abc":
        path = tmp_path / name
        path.write_text(name * 3)
        os.utime(path, ns=(10**18, 10**18))
    monkeypatch.setattr(index, "YOUNG_SECONDS", -1.0)

    def run(*, key: bytes | None = None, version: int = 1) -> tuple[dict[str, Any], list[str]]:
        seen: list[str] = []

        def make(name: str) -> str:
            seen.append(name)
            if name == "c":
                raise index.UnreadableError("no c")
            return (tmp_path / name).read_text()

        files = {name: [tmp_path / name] for name in "abc"}
        found, faults = index.values(Layout(store.path, key), "test", files, make, version=version)
        assert faults == {"c": "no c"}
        return found, seen

    return run


def test_what_did_not_change_is_not_read_again(read: Any) -> None:
    assert read() == ({"a": "aaa", "b": "bbb"}, ["a", "b", "c"])
    assert read() == ({"a": "aaa", "b": "bbb"}, ["c"])  # a fault is looked at every time


def test_a_change_that_keeps_size_and_time_is_seen(read: Any, tmp_path: Path) -> None:
    read()
    (tmp_path / "a").write_text("xyz")
    os.utime(tmp_path / "a", ns=(10**18, 10**18))
    assert read() == ({"a": "xyz", "b": "bbb"}, ["a", "c"])
    other = tmp_path / "other"
    other.write_text("new")
    os.utime(other, ns=(10**18, 10**18))
    os.replace(other, tmp_path / "b")
    assert read() == ({"a": "xyz", "b": "new"}, ["b", "c"])
    (tmp_path / "a").unlink()
    assert read() == ({"b": "new"}, ["c"])


def test_a_file_that_changed_a_moment_ago_is_read_again(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "YOUNG_SECONDS", 60.0)
    assert read()[1] == read()[1] == ["a", "b", "c"]


def test_another_version_or_key_and_damage_void_it(read: Any, tmp_path: Path) -> None:
    file = tmp_path / "store" / "index-test.json"
    read()
    assert read(version=2)[1] == ["a", "b", "c"]
    assert read(key=b"secret" * 4)[1] == ["a", "b", "c"]
    assert read(key=b"secret" * 4)[1] == ["c"]
    assert read()[1] == ["a", "b", "c"]
    data = file.read_bytes()
    for spoiled in (data.replace(b"aaa", b"aax"), data[:-1], b"", b"x\n[]", b"\n" + data):
        file.write_bytes(spoiled)
        assert read()[0] == {"a": "aaa", "b": "bbb"}
        assert json.loads(file.read_bytes().partition(b"\n")[2])["entries"]["a"][1] == "aaa"  # mended


def test_a_small_store_has_none_and_verify_knows_it(tmp_path: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "LEAST_NEW", 100)
    read()
    assert not list((tmp_path / "store").glob("index-*"))
    monkeypatch.setattr(index, "LEAST_NEW", 1)
    read()
    assert Store(tmp_path / "store").verify() == []


def test_a_store_that_cannot_be_written_is_listed(read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("fitcore.store.durable.replace", refuse)
    assert read()[0] == {"a": "aaa", "b": "bbb"}


def test_it_is_much_faster_than_reading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "YOUNG_SECONDS", -1.0)
    store = Store(tmp_path / "store")
    for i in range(150):
        store.record_run(f"n{i}", "small", {"only": f"{i:064x}"}, {"text": ["x" * 50] * 100})
    seconds = []
    for _ in range(2):
        start = time.process_time()
        assert len(store.listed_chains().bare) == 150
        seconds.append(time.process_time() - start)
    assert seconds[1] < 0.5 * seconds[0]
