"""The index of names: which digests the chain of a dataset has. A convenience for people, made anew from the manifests at any time."""

import contextlib
import datetime
import difflib
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fitcore.errors import ConfigError, ResultNotFoundError, StoreError
from fitcore.store import durable, encoding, reading
from fitcore.store.layout import NAME_PATTERN, SMALL_LIMIT, Layout, checked_digest, checked_name
from fitcore.store.notices import StoreWarning

NOTE = "run"


def record_run(layout: Layout, name: str, pipeline: str, stages: Mapping[str, str], extra: Mapping[str, Any]) -> None:
    """Note a chain's digests under the dataset's name; the last note of a name and pipeline counts."""
    path = layout.runs / checked_name(name, "dataset name") / f"{checked_name(pipeline, 'pipeline name')}.json"
    record = {
        "name": name,
        "pipeline": pipeline,
        "stages": [[checked_name(stage, "stage name"), checked_digest(digest)] for stage, digest in stages.items()],
        "extra": extra,
        "recorded": datetime.datetime.now(datetime.UTC).isoformat(),
    }
    with durable.explaining(path, f"noting the run {name}"):
        durable.refuse_links(layout.root, path.parent)
        for digest in stages.values():
            # A process that was killed may have published a result whose name was not forced to the disk: once it is noted, it lasts.
            with contextlib.suppress(FileNotFoundError):
                durable.fsync_folder(layout.result_folder(digest))
        durable.make_folder(path.parent, layout.root)
        data = encoding.signed(record, NOTE, layout.key)
        if len(data) > SMALL_LIMIT:
            raise StoreError(f"the note of the run {name} is {len(data):,} bytes, {SMALL_LIMIT:,} are allowed: put less into extra")
        durable.replace(path, data)


def runs(layout: Layout, name: str | None = None) -> list[dict[str, Any]]:
    """All runs, or those of one name, sorted by name and pipeline.

    Each has name, pipeline, stages (digest by stage, in the chain's order), extra, recorded.
    What cannot be read, or was not signed with the store's key, is left out with a `StoreWarning`: `verify` names it too.
    """
    found = []
    for path, record in noted(layout, name):
        if isinstance(record, str):
            warnings.warn(f"the note of a run, {path}, {record}. It is left out", StoreWarning, stacklevel=2)
        else:
            found.append(record)
    return found


def noted(layout: Layout, name: str | None = None) -> Iterator[tuple[Path, dict[str, Any] | str]]:
    """The path of every note of a run, with the note, or with what is wrong with it in words; of one name, or of all."""
    for path in notes(layout, name):
        with contextlib.suppress(FileNotFoundError):
            yield path, read_note(layout, path)


def notes(layout: Layout, name: str | None = None) -> list[Path]:
    """The files of the notes of one name, or of all, sorted by name and pipeline."""
    found: list[Path] = []
    if name is not None and NAME_PATTERN.fullmatch(name) is None:
        return found
    for each in _names(layout.runs) if name is None else [name]:
        folder = layout.runs / each
        found += [folder / file for file in _names(folder) if file.endswith(".json")]
    return found


def _names(folder: Path) -> list[str]:
    """What is in a folder and not hidden, sorted; nothing where it is none."""
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def read_note(layout: Layout, path: Path) -> dict[str, Any] | str:
    """One note, or what is wrong with it in words; FileNotFoundError where it is gone."""
    try:
        durable.refuse_links(layout.root, path.parent)
        record = encoding.unsigned(durable.read_bytes(path, at_most=SMALL_LIMIT))
        fault = encoding.signature_fault(record, NOTE, layout.key)
        if fault:
            return fault
        stages = {checked_name(stage, "stage name"): checked_digest(digest) for stage, digest in record["stages"]}
        if (record["name"], record["pipeline"]) != (path.parent.name, path.stem):
            raise ConfigError("it belongs to another run")
        checked_name(record["name"], "dataset name")
        if not isinstance(record["extra"], dict) or not isinstance(record["recorded"], str):
            raise ConfigError("its fields have the wrong types")
        return {**record, "stages": stages}
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"cannot be read ({error}); the next run of the chain notes it again, or remove it"


def run(layout: Layout, name: str, pipeline: str | None = None) -> dict[str, Any]:
    """One run; of several pipelines the one noted last, unless one is named.

    Raises
    ------
    ResultNotFoundError : no such run.
    """
    found = [record for record in runs(layout, name) if pipeline in (None, record["pipeline"])]
    if not found:
        everything = runs(layout)
        known = ", ".join(sorted({record["name"] for record in everything})[:20]) or "none"
        which = f"of {name!r}" if pipeline is None else f"of {name!r} with pipeline {pipeline!r}"
        near = difflib.get_close_matches(name, {record["name"] for record in everything} - {name}, 1)
        hint = f". Did you mean {near[0]!r}?" if near else ". `fitcore run` makes one"
        raise ResultNotFoundError(f"no run {which} in the store {layout.root}; it has: {known}{hint}")
    return max(found, key=lambda record: record["recorded"])


def rebuild_runs(layout: Layout) -> int:
    """Note again every run that the manifests tell of; how many there are.

    A manifest tells of one through its provenance: ``{"run": {"name", "pipeline", "stage", "order"}}``.
    """
    chains: dict[tuple[str, str], list[tuple[int, str, str, str]]] = {}
    for digest in layout.digests():
        record = reading.lookup(layout, digest)
        told = record.provenance.get("run") if record is not None else None
        if record is not None and isinstance(told, Mapping) and {"name", "pipeline", "stage"} <= told.keys():
            entry = (int(told.get("order", 0)), str(record.provenance.get("committed", "")), told["stage"], digest)
            chains.setdefault((told["name"], told["pipeline"]), []).append(entry)
    for (name, pipeline), entries in chains.items():
        # Of several results of one stage the one committed last.
        latest = {stage: (order, stage, digest) for order, _, stage, digest in sorted(entries, key=lambda entry: entry[1])}
        record_run(layout, name, pipeline, {stage: digest for _, stage, digest in sorted(latest.values())}, {"is_rebuilt": True})
    return len(chains)
