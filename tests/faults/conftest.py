"""Runs the scripts of this folder, each in a process of its own that may fork, and keeps what a soak counted."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
IN_MEMORY = Path("/dev/shm")


def load(name: str, path: Path) -> Any:
    """A module by its file; the folders of the tests are no packages."""
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


_flows = load("conftest_of_flows", HERE.parent / "flows" / "conftest.py")
fitcore, finished, server = _flows.fitcore, _flows.finished, _flows.server


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory where there is one: a kill leaves there what it leaves on a disk, and `fsync` takes no time."""
    if IN_MEMORY.is_dir() and os.access(IN_MEMORY, os.W_OK):
        with tempfile.TemporaryDirectory(dir=IN_MEMORY, prefix="fitcore-faults-", ignore_cleanup_errors=True) as folder:
            yield Path(folder)
    else:
        yield tmp_path


@pytest.fixture
def report_of(quick_folder: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs a script of this folder and returns its report; where there are failures, the stores that failed are kept in ``tmp_path``."""

    def run(script: str, *words: str, limit: float = 600.0) -> dict[str, Any]:
        at = words.index("FOLDER")
        arguments = [*words[:at], str(quick_folder), *words[at + 1 :]]
        process = subprocess.run(
            [sys.executable, str(HERE / script), *arguments], cwd=ROOT, capture_output=True, text=True, timeout=limit, check=False
        )
        assert process.returncode == 0, process.stderr[-4000:]
        report = json.loads(process.stdout)
        print({key: value for key, value in report.items() if key != "failures"})
        for folder in quick_folder.glob("failed-*"):
            shutil.copytree(folder, tmp_path / folder.name, symlinks=True)
        assert report["failures"] == [], json.dumps(report["failures"][:5], indent=1)
        return report

    return run


@pytest.fixture(scope="session")
def keep() -> Callable[[str, dict[str, Any]], None]:
    """Keeps the report of a soak in ``benchmarks/faults.json``."""
    return load("faults_report", HERE / "report.py").keep
