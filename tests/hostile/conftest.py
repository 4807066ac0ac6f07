"""The modules beside these tests can be imported by name, and a folder in memory makes thousands of small stores cheap."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture
def quick_path(tmp_path: Path) -> Iterator[Path]:
    """A new folder on a disk in memory where there is one, else an ordinary one."""
    memory = Path("/dev/shm")
    if not memory.is_dir():
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="fitcore-hostile-", dir=memory))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
