"""What a shell offers after Tab: names of pipelines, and of datasets and stages in the store. Wrong or missing files offer nothing.

Names are read from the names of files and from the notes of runs as they are: a shell must not wait for JAX and for hashes. Nothing that
is offered is believed: the command checks it.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from flows.later import later

if TYPE_CHECKING:
    from flows import catalogue, settings
else:
    catalogue, settings = later("catalogue", "settings")

RUNS, GROUP = "runs", "fitcore.pipelines"  # as `fitcore.store.layout` and `flows.catalogue` have them
LARGEST_NOTE = 2**20


def pipelines(incomplete: str) -> list[str]:
    """Names of installed pipelines."""
    return _beginning(incomplete, (point.name for point in entry_points(group=GROUP)))


def results(context: typer.Context, incomplete: str) -> list[str]:
    """Names of datasets in the store."""
    return _beginning(incomplete, _results(context))


def stages(context: typer.Context, incomplete: str) -> list[str]:
    """Names of the stages of the dataset that the command line names, or of all in the store."""
    name = context.params.get("name") or "*"
    return _beginning(incomplete, _stages(context, Path(name).name))


def settings_of(context: typer.Context, incomplete: str) -> list[str]:
    """``stage.field=`` of the searches of the pipeline."""
    found: list[str] = []
    with contextlib.suppress(Exception):  # whatever is wrong with a pipeline, a shell must not show it
        pipeline = catalogue.find(context.params.get("pipeline") or settings.read().pipeline).build({})
        found = [f"{stage.name}.{field}=" for stage in pipeline for field in list(stage.search.identity())[2:]]
    return _beginning(incomplete, found)


def _results(context: typer.Context) -> Iterator[str]:
    yield from (path.name for path in _notes(context, "*") if path.is_dir())


def _stages(context: typer.Context, name: str) -> Iterator[str]:
    for path in _notes(context, f"{name}/*.json"):
        yield from _stages_in(path)


def _beginning(incomplete: str, names: Iterable[str]) -> list[str]:
    found: set[str] = set()
    with contextlib.suppress(Exception):
        found.update(name for name in names if name.startswith(incomplete) and name.isprintable())
    return sorted(found)


def _notes(context: typer.Context, pattern: str) -> Iterator[Path]:
    store = context.params.get("store")
    folder = Path(store) if store else settings.read().store
    yield from (folder / RUNS).glob(pattern)


def _stages_in(path: Path) -> list[str]:
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
        if path.stat().st_size <= LARGEST_NOTE:
            return [str(stage) for stage, _ in json.loads(path.read_text(encoding="utf-8"))["stages"]]
    return []
