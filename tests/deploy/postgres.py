"""A PostgreSQL for the time of a test, of the Debian package."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from flows.server import free_port


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """A PostgreSQL of its own, on a free port; the URL for Prefect. Needs the Debian package, and root or its user."""
    programs = next(iter(sorted(Path("/usr/lib/postgresql").glob("*/bin"))), None)
    if programs is None:
        raise FileNotFoundError("there is no /usr/lib/postgresql/*/bin: install the package postgresql")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        subprocess.run(["chown", "postgres", str(folder)], check=True)
    port, data = free_port(), folder / "data"

    def call(program: str, *words: str) -> None:
        subprocess.run([*user, str(programs / program), *words], check=True, cwd=folder, stdout=subprocess.DEVNULL)

    call("initdb", "-D", str(data), "-U", "prefect", "-A", "trust")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=200"
    call("pg_ctl", "-D", str(data), "-w", "-l", str(folder / "log"), "-o", options, "start")
    try:
        yield f"postgresql+asyncpg://prefect:x@127.0.0.1:{port}/postgres"
    finally:
        call("pg_ctl", "-D", str(data), "-m", "fast", "-w", "stop")
