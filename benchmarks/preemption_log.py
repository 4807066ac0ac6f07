"""What `benchmarks.preemption` keeps, and where its runs live: the log of a folder, the results, a database for a while.

It has the harness of ``tests/deploy`` as ``world`` and ``disturbed``.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TARGET = HERE / "preemption.json"
sys.path.insert(0, str(HERE.parent / "tests" / "deploy"))
world, disturbed = importlib.import_module("world"), importlib.import_module("disturbed")


class Log:
    """Rows of a folder, one line each, kept as they come."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "rows.jsonl"
        self._lock = threading.Lock()

    def rows(self) -> list[dict[str, Any]]:
        """All of them."""
        return [json.loads(line) for line in self.path.read_text().splitlines()] if self.path.is_file() else []

    def add(self, row: dict[str, Any]) -> None:
        """Keep a row and print it."""
        with self._lock, self.path.open("a") as file:
            file.write(json.dumps(row) + "\n")
        print(time.strftime("%H:%M:%S"), json.dumps(row), flush=True)

    def keep(self, part: str) -> None:
        """Put the rows of a part into the results, in place of those of the same part."""
        whole = json.loads(TARGET.read_text()) if TARGET.is_file() else {}
        whole[part] = list({row["case"]: row for row in self.rows() if row["part"] == part}.values())
        TARGET.write_text(json.dumps({key: whole[key] for key in sorted(whole)}, indent=1) + "\n")


@contextlib.contextmanager
def one(log: Log, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A row to be filled in, noted whatever comes."""
    try:
        yield row
    except Exception as error:  # the others go on
        row |= {"is_good": False, "error": f"{type(error).__name__}: {error}"}
        traceback.print_exc()
    log.add(row)


@contextlib.contextmanager
def database_of(kind: str, folder: Path) -> Iterator[str | None]:
    """The URL of a database of its own; None for SQLite."""
    if kind == "sqlite":
        yield None
        return
    with importlib.import_module("postgres").postgres(folder / "postgres") as url:
        yield url


def in_threads(calls: list[Any]) -> None:
    """Do all at once; wait for all."""
    threads = [threading.Thread(target=call, daemon=True) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
