"""`fitcore deploy`: hands over to the package `deploy`, in a process of its own, so that the command line need not import Prefect."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from flows.settings import Settings, child_environment


def deploy(file: Path, settings: Settings, *, is_dry: bool, is_pruning: bool, is_rendering: bool) -> int:
    """Make the server that PREFECT_API_URL names as the file says, or print the jobs of its pods; the exit code."""
    asked = {"--dry-run": is_dry, "--prune": is_pruning, "--render": is_rendering}
    words = [sys.executable, "-m", "deploy", str(file), *(word for word, is_asked in asked.items() if is_asked)]
    return subprocess.run(words, env=child_environment(settings), check=False).returncode
