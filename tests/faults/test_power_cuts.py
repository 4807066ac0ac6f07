"""Power cuts, replayed on paper: what `disk` says a file system may lose is lost, and nothing that was promised is."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def test_power_cuts_at_some_moments_of_a_chain(report_of: Callable[..., dict[str, Any]]) -> None:
    report = report_of("powercuts.py", "chain", "FOLDER", "25", "20")
    assert report["count"] >= 40
    assert report["gone_on"] >= 2


def test_power_cuts_after_some_kills(report_of: Callable[..., dict[str, Any]]) -> None:
    assert report_of("powercuts.py", "killed", "FOLDER", "8")["count"] >= 4


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_soak_power_cuts_at_every_moment_of_a_chain(report_of: Callable[..., dict[str, Any]], keep: Callable[..., None]) -> None:
    report = report_of("powercuts.py", "chain", "FOLDER", "1", "10", limit=7000)
    assert report["moments"] == report["calls"]
    keep("power_cuts", report)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_soak_power_cuts_after_kills(report_of: Callable[..., dict[str, Any]], keep: Callable[..., None]) -> None:
    keep("power_cuts_after_kills", report_of("powercuts.py", "killed", "FOLDER", "1", limit=7000))


# ---- the model itself ----------------------------------------------------------------------------------------------------------------


@pytest.fixture
def disk() -> Any:
    spec = importlib.util.spec_from_file_location("disk", Path(__file__).with_name("disk.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.Disk(base=Path("/base"))


def states(disk: Any) -> list[dict[str, bytes | None]]:
    found: list[dict[str, bytes | None]] = []
    for _, tree in disk.after_cut():
        if tree not in found:
            found.append(tree)
    return found


def written(disk: Any, name: str, inode: int, data: bytes) -> Path:
    path = Path("/base") / name
    disk.apply("open_exclusive", (path, inode, b""))
    disk.apply("write", (inode, data))
    return path


def test_what_is_not_forced_may_be_absent_short_zeros_or_whole(disk: Any) -> None:
    written(disk, "a", 7, b"abcd")
    assert sorted(map(repr, states(disk))) == sorted(map(repr, [{"a": b"abcd"}, {"a": b""}, {}, {"a": b"ab"}, {"a": b"\0\0\0\0"}]))
    disk.apply("fsync", (7,))
    assert states(disk) == [{"a": b"abcd"}, {}]  # the name is its folder's
    disk.apply("fsync_folder", (Path("/base"),))
    assert states(disk) == [{"a": b"abcd"}]


def test_a_rename_is_whole_or_not_at_all(disk: Any) -> None:
    old, new = written(disk, "old", 1, b"1"), written(disk, "new", 2, b"2")
    disk.apply("fsync", (1,))
    disk.apply("fsync", (2,))
    disk.apply("fsync_folder", (Path("/base"),))
    disk.apply("rename", (new, old))
    assert states(disk) == [{"old": b"2"}, {"old": b"1", "new": b"2"}]


def test_names_are_lost_in_any_order(disk: Any) -> None:
    first = written(disk, "first", 1, b"1")
    disk.apply("fsync", (1,))
    disk.apply("fsync_folder", (Path("/base"),))
    disk.apply("link", (first, Path("/base/second")))
    disk.apply("unlink", (first,))
    assert sorted(map(sorted, states(disk))) == [[], ["first"], ["first", "second"], ["second"]]
    assert {} in states(disk)


def test_a_file_in_a_folder_whose_name_is_lost_is_lost(disk: Any) -> None:
    disk.apply("make_one_folder", (Path("/base/inner"),))
    written(disk, "inner/a", 1, b"1")
    disk.apply("fsync", (1,))
    disk.apply("fsync_folder", (Path("/base/inner"),))
    assert states(disk) == [{"inner": None, "inner/a": b"1"}, {}]


def test_what_is_written_over_may_be_half_new(disk: Any) -> None:
    written(disk, "beat", 1, b"aaaa")
    disk.apply("fsync", (1,))
    disk.apply("fsync_folder", (Path("/base"),))
    disk.apply("write_at_start", (1, b"bbbb"))
    assert {tree["beat"] for tree in states(disk)} == {b"bbbb", b"aaaa", b"bbaa", b"\0\0\0\0"}
