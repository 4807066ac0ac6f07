"""What lies in a folder of datasets: what can be read, what is finished in the store, and a key for each work. No Prefect here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitcore import ConfigError, DataError, FitcoreError, Store, digest
from fitcore.chain import request_of
from flows.catalogue import Entry, chain_of
from flows.launch import Plan, stored_row
from flows.records import report_path


@dataclass(frozen=True, kw_only=True)
class Found:
    """One folder of an inbox.

    Parameters
    ----------
    path : the folder; ``name`` is its dataset's, or the folder's where it cannot be read.
    key : the same for the same work in the same store; empty where the dataset cannot be read.
    is_finished : its chain is in the store whole, with its latent variables and its report.
    fault : why it cannot be read.
    """

    path: Path
    name: str
    key: str = ""
    is_finished: bool = False
    fault: str = ""


def look(folder: Path, entry: Entry, store: Store, seed: int, settings: Mapping[str, Mapping[str, Any]]) -> Iterator[Found]:
    """Every folder in ``folder`` by name, but for those whose name begins with a dot.

    Raises
    ------
    ConfigError
        when ``folder`` is not one.
    """
    if not folder.is_dir():
        raise ConfigError(f"The folder of datasets {folder} is not there, or is not a folder. Make it, or name another.")
    names: dict[str, Path] = {}
    for path in sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")):
        try:
            found = _found(path, entry, store, seed, settings)
            if found.name in names:
                raise DataError(f"{names[found.name]} has the name {found.name!r} too. Set another name in one's info.yaml.")
        except FitcoreError as error:
            yield Found(path=path, name=path.name, fault=str(error))
        except Exception as error:  # a file that breaks its reader must not cost the others
            yield Found(path=path, name=path.name, fault=f"{type(error).__name__}: {error}")
        else:
            names[found.name] = path
            yield found


def _found(path: Path, entry: Entry, store: Store, seed: int, settings: Mapping[str, Mapping[str, Any]]) -> Found:
    dataset = entry.load(path)
    pipeline = chain_of(entry, dataset, settings)
    first = request_of(pipeline, pipeline.stages[0], dataset, {}, seed)
    plan = Plan(path=path, dataset=dataset, report=report_path(store, entry.name, dataset.name))
    work = {
        "pipeline": entry.name,
        "first": first.digest,
        "settings": settings,
        "seed": seed,
        "store": str(store.path),
        "name": dataset.name,
    }
    return Found(path=path, name=dataset.name, key=digest(work), is_finished=stored_row(plan, entry, pipeline, store, seed) is not None)
