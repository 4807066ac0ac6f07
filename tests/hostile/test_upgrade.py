"""A library upgraded between a checkpoint and going on: results are read as before, the checkpoint is refused, and it is said aloud."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from smallchain import result_files, run_chain

HERE = Path(__file__).resolve().parent


def upgrade(folder: Path, *words: str) -> str:
    command = [sys.executable, str(HERE / "upgrade.py"), str(folder), *words]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


@pytest.mark.parametrize("library", ["nautilus-sampler"])
def test_an_upgraded_library(tmp_path: Path, library: str) -> None:
    upgrade(tmp_path / "store", "begin", library, "1.2.3")
    answer = json.loads(upgrade(tmp_path / "store", "end", library, "1.3.0"))
    assert answer["read"] > 0
    assert answer["was"] == "1.2.3"
    kinds, texts = zip(*answer["told"], strict=True)
    assert set(kinds) == {"CheckpointWarning"}
    assert all(f"starts anew: {library} was '1.2.3' and is '1.3.0'" in text for text in texts)
    run_chain(tmp_path / "undisturbed")
    assert result_files(tmp_path / "store") == result_files(tmp_path / "undisturbed")


def test_the_same_library_goes_on(tmp_path: Path) -> None:
    upgrade(tmp_path / "store", "begin", "numpy", "1.2.3")
    assert json.loads(upgrade(tmp_path / "store", "end", "numpy", "1.2.3"))["told"] == []
