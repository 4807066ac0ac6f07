"""The same for real, where this machine allows it: a small disk in memory that fills up, a read-only one, a limit on the size of files,
and a folder that another user owns. Quotas need a file system made for them and are only simulated (EDQUOT in `test_disk_faults`).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from smallchain import result_files, run_chain

from fitcore.store import Store

HERE = Path(__file__).resolve().parent
NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount, and can become someone else")


def run(folder: Path, *words: object) -> dict[str, Any]:
    command = [sys.executable, str(HERE / "real_disks.py"), str(folder), *map(str, words)]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def truth(tmp_path: Path) -> dict[str, bytes]:
    run_chain(tmp_path / "truth")
    return result_files(tmp_path / "truth")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a small disk in memory; everything is unmounted in the end."""
    places: list[Path] = []

    def mount(options: str) -> Path:
        place = tmp_path / "disk"
        place.mkdir(exist_ok=True)
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")
        places.append(place)
        return place

    yield mount
    for place in reversed(places):
        subprocess.run(["umount", str(place)], check=True)


def ends_well(folder: Path, truth: dict[str, bytes]) -> None:
    """With the disk mended, the same command goes on and ends with the same bytes."""
    assert [finding.message for finding in Store(folder / "store").verify() if finding.is_damage] == []
    assert run(folder, "plain")["kind"] == ""  # in a process that asks for less room than a search should have
    assert result_files(folder / "store") == truth


@as_root
def test_a_disk_that_fills_up(mounted: Callable[..., Path], truth: dict[str, bytes]) -> None:
    place = mounted("size=4m")
    told = run(place, "full")
    assert told["kind"] == "StoreError", told
    assert not told["retryable"]
    assert "no space left while saving the checkpoint" in told["text"]
    assert str(place) in told["text"]
    assert "has 0.0 MB free" in told["text"]
    assert "free some space there" in told["text"]
    assert told["seconds"] < 20
    (place / "ballast").unlink()
    ends_well(place, truth)


@as_root
def test_a_disk_without_room_is_refused_before_anything_is_computed(mounted: Callable[..., Path]) -> None:
    place = mounted("size=4m")
    with pytest.raises(OSError, match=r"no space left while checking that the store .*at least 34 MB must be free before a search begins"):
        run_chain(place / "store")


@as_root
def test_a_disk_that_can_only_be_read(mounted: Callable[..., Path], truth: dict[str, bytes]) -> None:
    place = mounted("size=700m")
    run_chain(place / "store")
    second = Store(place / "store").run("points")["stages"]["second"]
    shutil.rmtree(place / "store" / "results" / second[:2] / second)
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    told = run(place, "plain")
    assert told["kind"] == "StoreError", told
    assert "not allowed while checking that the store can be written" in told["text"]
    assert "Read-only file system" in told["text"]
    assert "reading results from it still works" in told["text"]
    store = Store(place / "store")
    assert store.lookup(store.run("points")["stages"]["first"]) is not None
    subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True)
    ends_well(place, truth)


@pytest.mark.parametrize("most", [300, 5_000])
def test_a_limit_on_the_size_of_files(tmp_path: Path, truth: dict[str, bytes], most: int) -> None:
    told = run(tmp_path, "limit", most)
    assert told["kind"] == "StoreError", told
    assert "no space left while" in told["text"] or "the disk failed while" in told["text"]
    assert str(tmp_path / "store") in told["text"]
    assert told["seconds"] < 20
    ends_well(tmp_path, truth)


@as_root
def test_a_folder_of_another_user(truth: dict[str, bytes]) -> None:
    """The process becomes someone else once everything is imported, for others may not be allowed to read where this lies."""
    folder = Path("/tmp") / f"fitcore-hostile-{os.getpid()}"
    folder.mkdir(mode=0o755)
    try:
        run_chain(folder / "store")
        second = Store(folder / "store").run("points")["stages"]["second"]
        shutil.rmtree(folder / "store" / "results" / second[:2] / second)
        told = run(folder, "user", NOBODY)
        assert told["kind"] == "StoreError", told
        assert "not allowed while checking that the store can be written" in told["text"]
        assert "Permission denied" in told["text"]
        assert "Change its permissions or name another store" in told["text"]
        ends_well(folder, truth)
    finally:
        shutil.rmtree(folder)
