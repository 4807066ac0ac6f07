"""What `fitcore table` shows or writes: the chains of a store, filtered, sorted and cut, in one of the formats of `table_formats`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitcore import ConfigError, Store
from fitcore.board import About, Board
from fitcore.naming import suggestion
from fitcore.store import durable
from fitcore.store.listing import HEAD, chains_table, told
from fitcore.table import Table
from flows import catalogue, grades
from flows.console import TITLES, aligned, headline_of, row_cells
from flows.table_formats import WRITERS, format_of, json_bytes, json_rows

LATEX_NUMBERS = 6
"""Columns of numbers in a LaTeX table where none are named: more do not fit on a page."""
GRADE = About(description="what a person said of it on the campaign page")
MOST_FAULTS = 20
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is asked of `fitcore table`; an empty tuple asks for nothing special."""

    form: str | None = None
    output: Path | None = None
    verdicts: tuple[str, ...] = ()
    pipelines: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    sort: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    grades: Path | None = None


def make(store: Store, asked: Asked, say: Say) -> bytes:
    """The table that is asked for, which has been written where a file is named; what cannot be listed is told by ``say``.

    Raises
    ------
    ConfigError : a format, column, condition, verdict or pipeline that there is not, or a file of grades that is none.
    StoreError : the file cannot be written.
    """
    form = format_of(asked.form, asked.output)
    found = store.listed_chains()
    for fault in found.faults[:MOST_FAULTS]:
        say(fault)
    if len(found.faults) > MOST_FAULTS:
        say(f"and {len(found.faults) - MOST_FAULTS} more; 'fitcore verify' names all")
    table = chains_table(found, store)
    if asked.grades is not None:
        table = _graded(table, asked.grades, say)
    table = _chosen(table, asked)
    rows = [found.rows[i] for i in table.positions]
    if form == "text" and not asked.columns:
        return _written(asked, _as_text(rows, table))
    if form == "json" and not asked.columns:
        data = json_bytes([{**told(row), **_grade(table, i)} for i, row in enumerate(rows)])
    else:
        boards = _boards(table, say) if form in ("fits", "latex", "parquet") else []
        table = table.with_about(lambda name: _about(boards, name))
        table = table.select(*(asked.columns or _usual(table, form, boards)))
        if form == "text":
            return _written(asked, _as_aligned(table))
        data = json_bytes(json_rows(table)) if form == "json" else WRITERS[form](table)
    return _written(asked, data)


def _written(asked: Asked, data: bytes) -> bytes:
    if asked.output is not None:
        with durable.explaining(asked.output, "writing the table"):
            durable.replace(asked.output.absolute(), data)
    return data


def _as_text(rows: Sequence[dict[str, Any]], table: Table) -> bytes:
    """The chains as `fitcore run` tells them."""
    whole = [told(row) for row in rows]
    titles = [title or headline_of(whole) for title in TITLES]
    cells = [row_cells(row) for row in whole]
    if "grade_given" in table.names:
        titles, cells = [*titles, "grade_given"], [[*line, grade] for line, grade in zip(cells, table["grade_given"], strict=True)]
    return aligned(titles, cells).encode("utf-8", "backslashreplace")


def _grade(table: Table, i: int) -> dict[str, str]:
    return {"grade_given": table["grade_given"][i]} if "grade_given" in table.names else {}


def _graded(table: Table, path: Path, say: Say) -> Table:
    """The table with a column of the grades of a file."""
    column, n_others = grades.column(grades.read(path), list(table["name"]), list(table["pipeline"]))
    if n_others:
        say(f"{n_others} grades of {path} belong to no chain of this store")
    return table.with_column("grade_given", column, GRADE)


def _chosen(table: Table, asked: Asked) -> Table:
    """The rows that are asked for, in the order that is."""
    for name, wanted in (("verdict", asked.verdicts), ("pipeline", asked.pipelines)):
        if wanted:
            known = sorted(set(table[name]))
            for value in wanted:
                if value not in known:
                    raise ConfigError(f"No chain of this store has the {name} {value!r}. {suggestion(value, known, kind=f'{name}s')}")
            table = table.where_any(name, wanted)
    return table.where(*asked.conditions).sorted_by(*asked.sort)


def _usual(table: Table, form: str, boards: Sequence[Board]) -> list[str]:
    """The columns where none are named: all for programs, a page's width for LaTeX."""
    measures = [name for name in table.shown() if name not in HEAD and not table.is_text(name) and name in _measured(table)]
    more = [name for name in ("grade_given",) if name in table.names]
    if form != "latex":
        return [*HEAD, *table.quantities, *measures, *more]
    known = [name for board in boards for name in board.columns if name in table.names] or list(table.quantities)
    return ["name", "verdict", *list(dict.fromkeys(known))[:LATEX_NUMBERS], *more]


def _measured(table: Table) -> set[str]:
    """The columns of measures: what stands between the quantities and the rest."""
    names = list(table.names)
    start = max((names.index(f"{name}_upper") + 1 for name in table.quantities), default=len(HEAD))
    return set(names[start : names.index("blame")])


def _boards(table: Table, say: Say) -> list[Board]:
    """What the pipelines of the rows say of themselves."""
    boards: list[Board] = []
    for name in sorted(set(table["pipeline"])):
        try:
            boards.append(catalogue.board(catalogue.find(name)))
        except ConfigError as error:
            say(f"without units of the pipeline {name!r}: {error}")
    return boards


def _about(boards: Sequence[Board], name: str) -> About:
    return next((known for board in boards if (known := board.about_column(name)) != About()), About())


def _as_aligned(table: Table) -> bytes:
    """Some columns as text."""
    shown = table.shown()
    rows = [[table.cell(name, i) for name in shown] for i in range(len(table))]
    return aligned(shown, rows, [not table.is_text(name) for name in shown]).encode("utf-8", "backslashreplace")
