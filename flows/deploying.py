"""`fitcore deploy` and `fitcore tend`: hand over to the package `deploy`, so that the command line need not import Prefect."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import resources
from pathlib import Path
from typing import NoReturn

from flows.settings import Settings, child_environment


def deploy(file: Path, settings: Settings, *, is_dry: bool, is_pruning: bool, is_rendering: bool) -> int:
    """Make the server that the settings name as the file says, or print the jobs of its pods; the exit code."""
    asked = {"--dry-run": is_dry, "--prune": is_pruning, "--render": is_rendering}
    words = [sys.executable, "-m", "deploy", str(file), *(word for word, is_asked in asked.items() if is_asked)]
    return subprocess.run(words, env=child_environment(settings, prefect_api_url=settings.prefect_api_url), check=False).returncode


def example_schema() -> Path:
    """The JSON schema of a deploy file, as it is shipped."""
    return Path(str(resources.files("deploy"))) / "deploy.schema.json"


def example(schema: Path) -> str:
    """A commented deploy file to begin with, which names its schema for editors."""
    text = (resources.files("deploy") / "nightly.yaml").read_text(encoding="utf-8")
    return f"# yaml-language-server: $schema={schema}\n{text}"


def tend(file: Path, settings: Settings) -> NoReturn:
    """Look after the runs that the file makes, in the place of this process: whoever ends it shall end that."""
    os.execve(
        sys.executable,
        [sys.executable, "-m", "deploy.tend", str(file)],
        child_environment(settings, prefect_api_url=settings.prefect_api_url),
    )
