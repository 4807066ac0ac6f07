"""`fitcore deploy`: hands over to the package `deploy`, in a process of its own, so that the command line need not import Prefect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flows.settings import Settings, child_environment


def deploy(file: Path, settings: Settings, *, is_dry: bool, is_pruning: bool) -> int:
    """Make the server that the settings name as the file says; the exit code."""
    words = [sys.executable, "-m", "deploy", str(file), *(["--dry-run"] if is_dry else []), *(["--prune"] if is_pruning else [])]
    return subprocess.run(words, env=child_environment(settings, prefect_api_url=settings.prefect_api_url), check=False).returncode
