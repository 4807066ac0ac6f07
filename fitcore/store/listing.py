"""All chains of a store, and all its results, as tables. Nothing is changed, but that what is damaged goes to quarantine as ever.

What was read once is kept by `index`, so that thousands of rows take a second. Samples are not read here.
"""

from __future__ import annotations

import base64
import json
import os
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fitcore.board import About
from fitcore.errors import SpecError, StoreError
from fitcore.store import index, reading, runs, upkeep
from fitcore.store.chains import checked, row_of
from fitcore.store.layout import INTERNAL, RESULT, Layout, report_file
from fitcore.store.notices import StoreWarning
from fitcore.summary import SamplesSummary
from fitcore.table import ENDS, Table

if TYPE_CHECKING:
    from fitcore.store.store import Store

VERSION = 1
"""Of what is kept of a note or a result."""
THREE = ("median", "lower", "upper")
NOTHING = ["[]", ""]
"""Quantities, packed, of a row that has none."""
HEAD = ("name", "pipeline", "verdict", "log_evidence", "n_calls", "seconds")
"""The columns of chains that come first."""
ABOUT = {
    "name": About(description="name of the dataset"),
    "pipeline": About(description="short name of the pipeline"),
    "verdict": About(description="accepted, review or failed, or what else the pipeline says"),
    "log_evidence": About(description="natural logarithm of the evidence of the last stage"),
    "log_evidence_error": About(description="its claimed standard deviation"),
    "n_calls": About(description="likelihood calls of all stages"),
    "seconds": About(unit="s", description="time of all stages, when they were computed"),
    "blame": About(description="the stage whose work is to be looked at first"),
    "reasons": About(description="why the verdict is what it is"),
    "grade": About(description="of the search: A, B or F where it samples"),
    "seed": About(description="of every random number"),
    "recorded": About(description="when the chain was noted, UTC"),
    "report": About(description="the report's file"),
    "digest": About(description="of the request, which its result is stored under"),
    "stage": About(description="stage of the chain"),
    "effective_sample_size": About(description="independent samples that the weighted ones are worth"),
    "n_samples": About(description="stored samples"),
    "committed": About(description="when the result was published, UTC"),
    "host": About(description="the machine that computed it"),
}


@dataclass(frozen=True, kw_only=True)
class Chains:
    """All chains that were noted.

    Parameters
    ----------
    rows : as `chains.row_of` makes them, with ``recorded`` and ``digests``, by stage; their parameters and latents are `packed`.
    bare : name, pipeline, ``recorded`` and ``digests`` of those whose notes tell no more.
    unreadable : what cannot be read, a sentence each.
    faults : the same, with what is left out of the rows, and what they tell of and is not in the store.
    """

    rows: Sequence[dict[str, Any]]
    bare: Sequence[dict[str, Any]]
    unreadable: Sequence[str]
    faults: Sequence[str]


def told(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of `Chains` as `fitcore run --json` prints it."""
    whole = {key: value for key, value in row.items() if key not in ("recorded", "digests")}
    for kind in ("parameters", "latents"):
        names, numbers = json.loads(row[kind][0]), _numbers_of(row[kind][1]).reshape(-1, len(THREE)).tolist()
        whole[kind] = {name: dict(zip(THREE, three, strict=True)) for name, three in zip(names, numbers, strict=True)}
    return whole


def packed(names: Sequence[str], numbers: Sequence[float]) -> list[str]:
    """The medians, lower and upper ends of some quantities as two texts, in place of a hundred small lists, which take longer to read."""
    return [json.dumps(list(names)), base64.b64encode(np.array(numbers, dtype="<f8").tobytes()).decode("ascii")]


def _numbers_of(text: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.b64decode(text), dtype="<f8")


def chains(layout: Layout) -> Chains:
    """The rows of all chains, by name and pipeline. What cannot be read, or is not signed with the store's key, is among the faults."""
    paths = {f"{path.parent.name}/{path.stem}": path for path in runs.notes(layout)}

    def make(key: str) -> dict[str, Any]:
        note = runs.read_note(layout, paths[key])
        if isinstance(note, str):
            raise index.UnreadableError(f"the note of a run, {paths[key]}, {note}")
        known = {"recorded": note["recorded"], "digests": note["stages"]}
        try:
            row = row_of(checked(note))
        except StoreError as error:
            return {"name": note["name"], "pipeline": note["pipeline"], **known, "fault": str(error)}
        for kind in ("parameters", "latents"):
            row[kind] = packed(list(row[kind]), [float(value[key]) for value in row[kind].values() for key in THREE])
        return {**row, **known}

    found, faults = index.values(layout, "chains", {key: [path] for key, path in paths.items()}, make, version=VERSION)
    bare = [row for row in found.values() if "fault" in row]
    rows = [
        {**row, "report": str(report_file(layout.reports, row["pipeline"], row["name"]))} for row in found.values() if "fault" not in row
    ]
    left_out = [*faults.values(), *(row["fault"] for row in bare)]
    lost = [line for row in rows for line in _lost(layout, row)]
    return Chains(rows=rows, bare=bare, unreadable=list(faults.values()), faults=[*(f"left out: {fault}" for fault in left_out), *lost])


def _lost(layout: Layout, row: Mapping[str, Any]) -> list[str]:
    """The stages of a row whose result is not in the store any more."""
    results = str(layout.results)
    return [
        f"{row['name']}: the result of its stage {stage['name']} is not in the store any more; run the chain again to compute it"
        for stage in row["stages"]
        if not os.path.lexists(os.path.join(results, stage["digest"][:2], stage["digest"], "manifest.json"))
    ]


def chains_table(found: Chains, store: Store | None = None) -> Table:
    """The rows as a table: `HEAD`, parameters and latents, measures, then the rest of what is known of a chain."""
    rows = found.rows
    last = [row["stages"][-1] for row in rows]
    columns: dict[str, Any] = {
        **{name: [row[name] for row in rows] for name in HEAD[:3]},
        "log_evidence": _numbers([stage["log_evidence"] for stage in last]),
        "n_calls": np.array([sum(stage["n_calls"] for stage in row["stages"]) for row in rows], dtype=np.int64),
        "seconds": _numbers([sum(stage["seconds"] for stage in row["stages"]) for row in rows]),
    }
    quantities = _quantities([[row["parameters"], row["latents"]] for row in rows])
    columns |= quantities
    for name in _names([row["measures"] for row in rows]):
        columns.setdefault(name, _numbers([row["measures"].get(name, np.nan) for row in rows]))
    rest = {
        "blame": [row["blame"] for row in rows],
        "log_evidence_error": _numbers([stage["log_evidence_error"] for stage in last]),
        "grade": [stage["grade"] for stage in last],
        "reasons": ["; ".join(row["reasons"]) for row in rows],
        "seed": np.array([row["seed"] for row in rows], dtype=np.int64),
        "recorded": [row["recorded"] for row in rows],
        "report": [row["report"] for row in rows],
        "digest": [stage["digest"] for stage in last],
    }
    columns |= {name: column for name, column in rest.items() if name not in columns}
    origins = [row["digests"] for row in rows]
    return Table(columns, quantities=_bases(quantities), about=ABOUT, origins=origins, store=store)


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    return np.array(values, dtype=np.float64)


def _names(values: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(values)))


def _bases(quantities: Mapping[str, Any]) -> list[str]:
    return list(quantities)[:: len(ENDS)]


def _quantities(rows: Sequence[Sequence[Sequence[Any]]]) -> dict[str, NDArray[np.float64]]:
    """Three columns for each quantity of some rows, NaN where a row has none; of each row packed ones are given, the later win."""
    columns: dict[str, NDArray[np.float64]] = {}
    for kind in range(max(map(len, rows), default=0)):
        groups: dict[str, list[int]] = {}
        for i, row in enumerate(rows):
            groups.setdefault(row[kind][0], []).append(i)
        for names, members in groups.items():
            known = json.loads(names)
            numbers = np.array([_numbers_of(rows[i][kind][1]) for i in members]).reshape(len(members), len(known), len(ENDS))
            for j, name in enumerate(known):
                for k, end in enumerate(ENDS):
                    column = columns.setdefault(f"{name}{end}", np.full(len(rows), np.nan))
                    column[members] = numbers[:, j, k]
    return columns


# ---- results -------------------------------------------------------------------------------------------------------------------------


def results_table(layout: Layout, store: Store) -> Table:
    """One row for each committed result; damaged ones go to quarantine with a warning and have none.

    Raises
    ------
    StoreError : one was not signed with this store's key, or another version of the format wrote it.
    """
    noted = chains(layout)
    for fault in noted.unreadable:
        warnings.warn(f"{fault}. It is left out", StoreWarning, stacklevel=3)
    named: dict[str, dict[str, Any]] = {}
    for row in [*noted.rows, *noted.bare]:
        known: dict[str, Any] = {}
        for stage, digest in row["digests"].items():
            known = named.setdefault(digest, {"name": row["name"], "pipeline": row["pipeline"], "stage": stage})
        if "verdict" in row:
            known |= {"verdict": row["verdict"], "latents": row["latents"]}
    found, _ = index.values(layout, "results", _files(layout), _maker(layout), version=VERSION)
    rows = list(found.values())
    runs_of = [named.get(digest, {}) for digest in found]
    columns: dict[str, Any] = {name: [run.get(name, "") for run in runs_of] for name in ("name", "pipeline", "stage", "verdict")}
    for i, row in enumerate(rows):
        columns["name"][i] = columns["name"][i] or row["name"]
    for name in ("log_evidence", "log_evidence_error", "effective_sample_size", "seconds"):
        columns[name] = _numbers([row[name] for row in rows])
    for name in ("n_calls", "n_samples"):
        columns[name] = np.array([row[name] for row in rows], dtype=np.int64)
    columns |= {name: [row[name] for row in rows] for name in ("grade", "committed", "host")}
    columns |= {"digest": list(found), "parts": [" ".join(row["parts"]) for row in rows]}
    quantities = _quantities([[row["parameters"], run.get("latents", NOTHING)] for row, run in zip(rows, runs_of, strict=True)])
    columns |= {name: column for name, column in quantities.items() if name not in columns}
    origins = [{run.get("stage", ""): digest} for digest, run in zip(found, runs_of, strict=True)]
    return Table(columns, quantities=_bases(quantities), about=ABOUT, origins=origins, store=store)


def _files(layout: Layout) -> dict[str, list[str]]:
    """The files that a row of a result is made of, by digest; the folder is among them, since parts come and go in it."""
    folders = {digest: str(layout.result_folder(digest)) for digest in layout.digests()}
    return {digest: [f"{folder}/manifest.json", f"{folder}/{RESULT}.h5", folder] for digest, folder in folders.items()}


def _maker(layout: Layout) -> Callable[[str], dict[str, Any]]:
    def make(digest: str) -> dict[str, Any]:
        record = reading.lookup(layout, digest)
        if record is None:
            raise index.UnreadableError("it is not there, or went to quarantine")
        told_of = record.provenance
        row: dict[str, Any] = {
            "name": str(told_of.get("name", "")),
            "seconds": told_of.get("seconds") if isinstance(told_of.get("seconds"), float) else np.nan,
            "committed": str(told_of.get("committed", "")),
            "host": str(told_of.get("host", "")),
            "parts": [name for name in upkeep.parts(layout, digest)[1:] if name != INTERNAL],
            "parameters": NOTHING,
            **dict.fromkeys(("log_evidence", "log_evidence_error", "effective_sample_size"), np.nan),
            **dict.fromkeys(("n_calls", "n_samples"), 0),
            "grade": "",
        }
        try:
            summary = SamplesSummary.from_dict(record.attributes.get("summary", {}))
        except SpecError:  # a result that was not made by a search
            return row
        three = zip(summary.median, summary.lower_1_sigma, summary.upper_1_sigma, strict=True)
        for name in ("log_evidence", "log_evidence_error", "effective_sample_size", "n_calls", "n_samples"):
            row[name] = getattr(summary, name)
        return {
            **row,
            "parameters": packed(summary.paths, [float(value) for values in three for value in values]),
            "grade": str(summary.diagnostics.get("grade", "")),
        }

    return make
