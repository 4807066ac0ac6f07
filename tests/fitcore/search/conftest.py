"""A checkpoint in a folder that stops the search at a given look, for interruption tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from fitcore.errors import SearchInterruptedError
from fitcore.search import Problem, Search, SearchOutcome, silent


class FolderCheckpoint:
    """Keeps arrays in memory and foreign files in a folder; asks to stop after ``patience`` looks."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.arrays: dict[str, Any] | None = None
        self.file: Path | None = None
        self.patience = 10**9
        self.n_saves = 0

    def due(self) -> bool:
        return False

    def save_arrays(self, state: Mapping[str, Any], *, n_calls: int) -> None:
        self.n_saves += 1
        self.arrays = deepcopy(dict(state))

    def load_arrays(self) -> dict[str, Any] | None:
        return deepcopy(self.arrays)

    def save_through(self, writer: Callable[[Path], None], *, n_calls: int) -> None:
        self.n_saves += 1
        path = self.folder / f"state-{self.n_saves}.hdf5"
        writer(path)
        self.file = path

    def load_through(self, reader: Callable[[Path], Any]) -> Any:
        return None if self.file is None else reader(self.file)

    def stop_requested(self) -> bool:
        self.patience -= 1
        return self.patience < 0


@pytest.fixture
def folder_checkpoint(tmp_path: Path) -> FolderCheckpoint:
    return FolderCheckpoint(tmp_path)


@pytest.fixture
def run_in_pieces(folder_checkpoint: FolderCheckpoint) -> Callable[..., tuple[SearchOutcome, int]]:
    """Run a search that is stopped after every ``patience`` looks at its checkpoint, until it is done; the outcome and the pieces."""

    def run(search: Search, problem: Problem, *, seed: int, patience: int) -> tuple[SearchOutcome, int]:
        for piece in range(1, 1000):
            folder_checkpoint.patience = patience
            try:
                return search.run(problem, seed=seed, checkpoint=folder_checkpoint, progress=silent), piece
            except SearchInterruptedError:
                continue
        raise AssertionError("the search never ends")

    return run
