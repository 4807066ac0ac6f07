"""A dataset of the toy run to its end in this process, without Prefect, and the command line in this process."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import fitcore as fc
from flows import cli
from flows.records import record, report_path

PLUGIN = Path(__file__).resolve().parents[1] / "plugin"


@dataclass(frozen=True)
class Whole:
    """Where the dataset and the store are, and the digests of the stages."""

    dataset: Path
    store: Path
    digests: dict[str, str]


@pytest.fixture(scope="session")
def toyline() -> Iterator[Any]:
    """The module of the toy pipelines."""
    sys.path.insert(0, str(PLUGIN))
    try:
        yield __import__("toyline")
    finally:
        sys.path.remove(str(PLUGIN))


@pytest.fixture(scope="session")
def made_whole(toyline: Any, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    base = tmp_path_factory.mktemp("whole")
    folder = toyline.TOY.simulate(base / "line", 3)
    dataset, pipeline, store = toyline.TOY.load(folder), toyline.TOY.build({}), fc.Store(base / "store")
    results = fc.run_pipeline(pipeline, dataset, store, seed=0)
    outcomes = fc.walk(pipeline, dataset, store, seed=0)
    target = report_path(store, "toy", "line")
    toyline.TOY.report(dataset, results, outcomes, links=[], target=target, context={})
    request = {"dataset": str(folder), "seed": 0, "settings": {}, "target": str(target), "why": {}}
    record(store, toyline.TOY, dataset, results, outcomes, request)
    return Whole(folder, store.path, {name: result.digest for name, result in results.items()})


@pytest.fixture
def whole(made_whole: Whole, tmp_path: Path) -> Whole:
    """A copy of it that a test may change."""
    shutil.copytree(made_whole.dataset, tmp_path / "line")
    shutil.copytree(made_whole.store, tmp_path / "store")
    return Whole(tmp_path / "line", tmp_path / "store", made_whole.digests)


@dataclass(frozen=True)
class Answer:
    code: int
    out: str
    err: str


@pytest.fixture
def told(installed: None, capsys: pytest.CaptureFixture[str]) -> Callable[..., Answer]:
    """Runs a command in this process."""

    def run(*words: Any) -> Answer:
        with pytest.raises(SystemExit) as ended:
            cli.app([str(word) for word in words])
        output, errors = capsys.readouterr()
        code = ended.value.code
        return Answer(code if isinstance(code, int) else 0, output, errors)

    return run


def everything_in(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder with its time of change and content."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in sorted([folder, *folder.rglob("*")])
    }
