"""Files made to harm: each is refused in words, within 5 seconds and 1 GB, and nothing in it runs. `guard` opens them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
from guard import CASES  # noqa: E402 - it is beside this file

MOST_SECONDS, MOST_MEGABYTES = 5.0, 1024.0


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What came of every case, from one run of the guard."""
    memory = Path("/dev/shm")
    folder = memory / f"fitcore-guard-{os.getpid()}" if memory.is_dir() else tmp_path_factory.mktemp("hostile")
    command = [sys.executable, str(HERE / "guard.py"), str(folder)]
    run = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, timeout=500, check=False)
    shutil.rmtree(folder, ignore_errors=True)
    assert run.returncode == 0, run.stderr[-3000:]
    return json.loads(run.stdout)


def test_there_are_enough() -> None:
    assert len(CASES) > 140


@pytest.mark.parametrize("name", list(CASES))
def test_it_is_refused(outcomes: dict[str, Any], name: str) -> None:
    outcome = outcomes[name]
    assert not outcome["ran"], "a payload was executed"
    assert outcome["how"] in ("told", "SettingsError", "ConfigError"), outcome
    assert outcome["says"] in outcome["text"], outcome["text"]
    assert len(outcome["text"]) < 3000, "an error must not repeat the file"
    assert outcome["seconds"] < MOST_SECONDS
    assert outcome["megabytes"] < MOST_MEGABYTES


def test_the_canary_would_be_seen(tmp_path: Path) -> None:
    """The payload does run when someone unpickles it: an absent canary means something."""
    code = "import pickle, payloads; pickle.loads(payloads.PICKLE)"
    seen = tmp_path / "canary"
    subprocess.run([sys.executable, "-c", code], cwd=HERE, env={"CANARY": str(seen), "PATH": "/usr/bin:/bin"}, check=True)
    assert seen.exists()
