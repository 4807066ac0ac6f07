"""The least of what the system's files allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from fitcore.store.machine import available_memory


def write(root: Path, name: str, text: str) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_this_machine_has_some() -> None:
    found = available_memory()
    assert found is None or 2**20 < found < 2**50


def test_the_least_counts(tmp_path: Path) -> None:
    assert available_memory(tmp_path) is None
    write(tmp_path, "proc/meminfo", "MemTotal:  900 kB\nMemAvailable:     500 kB\n")
    assert available_memory(tmp_path) == 500 * 1024
    write(tmp_path, "sys/fs/cgroup/memory.max", "max\n")
    write(tmp_path, "sys/fs/cgroup/memory.current", "1024\n")
    assert available_memory(tmp_path) == 500 * 1024
    write(tmp_path, "sys/fs/cgroup/memory.max", "5120\n")
    assert available_memory(tmp_path) == 4096
    write(tmp_path, "sys/fs/cgroup/memory/memory.limit_in_bytes", "1000\n")
    write(tmp_path, "sys/fs/cgroup/memory/memory.usage_in_bytes", "3000\n")
    assert available_memory(tmp_path) == 0.0


def test_a_limit_of_the_process_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "proc/meminfo", "MemAvailable:     500 kB\n")
    write(tmp_path, "proc/self/status", "Name: x\nVmSize:\t  100 kB\n")
    monkeypatch.setattr("resource.getrlimit", lambda _: (150 * 1024, 150 * 1024))
    assert available_memory(tmp_path) == 50 * 1024
