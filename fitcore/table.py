"""`Table`: rows of many results, kept as columns; filtered, sorted and cut here, written to files by others.

Numbers are arrays, so that thousands of rows take milliseconds. A quantity has three columns: its median under its name, and the ends of
its 1 sigma interval under ``NAME_lower`` and ``NAME_upper``. What is not known is NaN, or an empty text. No file is read here but through
the `Store` that a table was made of, when a row is asked for its result.
"""

from __future__ import annotations

import fnmatch
import importlib
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

import fitcore
from fitcore.board import About
from fitcore.errors import ConfigError, ResultNotFoundError
from fitcore.naming import suggestion
from fitcore.text import html_table, with_errors

if TYPE_CHECKING:
    from fitcore.result import Result
    from fitcore.store import Record, Store

ENDS = ("", "_lower", "_upper")
CONDITION = re.compile(r"\s*(.+?)\s*(<=|>=|==|!=|=|<|>)\s*(.*?)\s*", re.DOTALL)
COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "=": operator.eq,
    "==": operator.eq,
    "!=": operator.ne,
}
UNITS = {"Msun": "solMass"}
"""Units as astropy and FITS call them."""
MOST_COLUMNS = 12
"""Of a table in a notebook."""
Column = NDArray[Any]


class Row(Mapping[str, Any]):
    """One row: its values by column, and the results behind it, read when they are asked for."""

    __slots__ = ("_index", "_table")

    def __init__(self, table: Table, index: int) -> None:
        self._table, self._index = table, index

    def __getitem__(self, name: str) -> Any:
        value = self._table[name][self._index]
        return value.item() if isinstance(value, np.generic) else value

    def __iter__(self) -> Iterator[str]:
        return iter(self._table.names)

    def __len__(self) -> int:
        return len(self._table.names)

    @property
    def digests(self) -> dict[str, str]:
        """The digest of each result behind the row, by stage, in the order of the chain; the stage is empty where it has no name."""
        return dict(self._table.origins[self._index])

    @property
    def result(self) -> Result:
        """The result, of a chain that of its last stage: its samples are read when they are touched.

        Raises
        ------
        ResultNotFoundError : it is not in the store, or the table was made without one.
        """
        return self._read(list(self.digests.values())[-1:])[0]

    @property
    def results(self) -> dict[str, Result]:
        """The results of all stages; as `result`."""
        return dict(zip(self.digests, self._read(list(self.digests.values())), strict=True))

    @property
    def record(self) -> Record:
        """The stored record of `result`: its attributes, provenance and arrays as they are."""
        return self._store.read(list(self.digests.values())[-1])

    @property
    def _store(self) -> Store:
        if self._table.store is None or not self.digests:
            raise ResultNotFoundError("This row belongs to no store. Rows of `Store.table()` and `Store.chains()` do.")
        return self._table.store

    def _read(self, digests: Sequence[str]) -> list[Result]:
        store = self._store
        return [fitcore.read_result(store, digest) for digest in digests]

    def __repr__(self) -> str:
        return f"<Row {dict(self)!r:.400}>"


class Table(Sequence[Row]):
    """Rows of results as columns.

    Parameters
    ----------
    columns : by name, all of one length: texts, or numbers, in the unit that ``about`` says.
    quantities : names that have ``NAME_lower`` and ``NAME_upper`` beside them.
    about : column to its unit and description.
    origins : for each row, stage to digest.
    store : that holds them.

    Attributes
    ----------
    positions : of each row in the table that was made first, before any filter or order.

    Examples
    --------
    >>> table = Table({"name": ["a", "b"], "radius": [1.0, 2.0]})
    >>> [row["name"] for row in table.where("radius > 1.5")]
    ['b']
    """

    def __init__(
        self,
        columns: Mapping[str, Any],
        *,
        quantities: Sequence[str] = (),
        about: Mapping[str, About] | None = None,
        origins: Sequence[Mapping[str, str]] | None = None,
        store: Store | None = None,
    ) -> None:
        self._columns: dict[str, Column] = {name: _column(values) for name, values in columns.items()}
        lengths = {len(values) for values in self._columns.values()}
        if len(lengths) > 1:
            raise ConfigError(f"the columns of a table have the lengths {sorted(lengths)}; they must be equal. Give each row a value")
        self._length = lengths.pop() if lengths else 0
        self.quantities = tuple(name for name in quantities if all(f"{name}{end}" in self._columns for end in ENDS))
        self.about: dict[str, About] = dict(about or {})
        self.origins: Sequence[Mapping[str, str]] = origins if origins is not None else [{}] * self._length
        self.store = store
        self.positions: NDArray[np.intp] = np.arange(self._length)

    # ---- looking ---------------------------------------------------------------------------------------------------------------------

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns, in order."""
        return tuple(self._columns)

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, key: int) -> Row: ...
    @overload
    def __getitem__(self, key: slice) -> Table: ...
    @overload
    def __getitem__(self, key: str) -> Column: ...
    def __getitem__(self, key: int | slice | str) -> Row | Table | Column:
        """A row by its number, some rows by a slice, or a column by its name.

        Raises
        ------
        ConfigError : there is no such column; the nearest names are told.
        """
        if isinstance(key, str):
            return self._columns[self._known(key)]
        if isinstance(key, slice):
            return self._taken(np.arange(self._length)[key])
        if not -self._length <= key < self._length:
            raise IndexError(f"row {key} of a table that has {self._length}")
        return Row(self, key % self._length)

    def _known(self, name: str) -> str:
        if name not in self._columns:
            raise ConfigError(f"There is no column {name!r}. {suggestion(name, self.shown(), kind='columns', n_shown=100)}")
        return name

    def is_text(self, name: str) -> bool:
        """Whether a column holds texts."""
        return self[name].dtype == object

    def unit(self, name: str) -> str:
        """The unit of a column, or of the quantity that it is an end of; empty for a pure number, a text, and where it is not known."""
        return self.described(name).unit

    def described(self, name: str) -> About:
        """What is known of a column."""
        base = next((q for q in self.quantities if name in (f"{q}_lower", f"{q}_upper")), name)
        return self.about.get(base, About())

    # ---- making others of it -----------------------------------------------------------------------------------------------------------

    def _made(self, columns: Mapping[str, Any], *, rows: NDArray[np.intp] | None = None, about: Mapping[str, About] | None = None) -> Table:
        """Another table of the same results: other columns, or some of the rows."""
        origins = self.origins if rows is None else [self.origins[i] for i in rows]
        known = self.about if about is None else about
        made = Table(columns, quantities=self.quantities, about=known, origins=origins, store=self.store)
        made.positions = self.positions if rows is None else self.positions[rows]
        return made

    def _taken(self, rows: NDArray[np.intp]) -> Table:
        return self._made({name: values[rows] for name, values in self._columns.items()}, rows=rows)

    def where(self, *conditions: str) -> Table:
        """The rows for which all conditions hold.

        Parameters
        ----------
        conditions : a column, one of ``< <= > >= = !=``, and a value, such as ``"slope < 1.9"`` or ``"name = J0*"``; several may be
            joined by `` and ``. For texts there are ``=`` and ``!=``, where ``*`` stands for anything. A number that is not known meets
            no condition.

        Raises
        ------
        ConfigError : a condition cannot be read, or there is no such column.
        """
        mask = np.ones(self._length, dtype=bool)
        for condition in conditions:
            for part in re.split(r"\s+and\s+", condition):
                mask &= self._holds(part)
        return self._taken(np.flatnonzero(mask))

    def where_any(self, name: str, values: Sequence[str]) -> Table:
        """The rows whose text in a column is one of some."""
        return self._taken(np.flatnonzero(np.fromiter((text in values for text in self[name]), bool, self._length)))

    def _holds(self, condition: str) -> NDArray[np.bool_]:
        found = CONDITION.fullmatch(condition)
        if found is None:
            raise ConfigError(
                f"The condition {condition!r:.200} is none: give a column, one of {' '.join(COMPARE)}, and a value: slope<1.9."
            )
        name, sign, text = self._known(found[1]), found[2], found[3]
        values = self._columns[name]
        if self.is_text(name):
            if sign not in ("=", "==", "!="):
                raise ConfigError(
                    f"The condition {condition!r:.200} compares the texts of {name!r} with {sign}; = and != are allowed there."
                )
            wanted = text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text
            same = np.fromiter((value == wanted or fnmatch.fnmatchcase(value, wanted) for value in values), bool, self._length)
            return same if sign != "!=" else ~same
        try:
            number = float(text)
        except ValueError:
            raise ConfigError(
                f"The condition {condition!r:.200} compares the numbers of {name!r} with {text!r:.60}; give a number."
            ) from None
        return np.asarray(COMPARE[sign](values, number), dtype=bool) & ~np.isnan(values.astype(np.float64))

    def sorted_by(self, *names: str) -> Table:
        """The rows in the order of some columns, the first of them first; ``-NAME`` from large to small. What is not known comes last."""
        order = np.arange(self._length)
        for name in reversed(names):
            is_descending = name.startswith("-") and name not in self._columns
            values = self[name[1:] if is_descending else name][order]
            if values.dtype == object:
                ranks = np.unique(values.astype(str), return_inverse=True)[1].astype(np.float64)
            else:
                ranks = values.astype(np.float64)
            order = order[np.argsort(-ranks if is_descending else ranks, kind="stable")]
        return self._taken(order)

    def select(self, *names: str) -> Table:
        """These columns in this order; the name of a quantity brings its three columns."""
        chosen: dict[str, Column] = {}
        for name in names:
            ends = ENDS if name in self.quantities else ("",)
            chosen |= {f"{name}{end}": self[f"{name}{end}"] for end in ends}
        return self._made(chosen)

    def with_column(self, name: str, values: Sequence[Any], about: About | None = None) -> Table:
        """The same with one more column, the last; one of that name is replaced."""
        columns = {**{key: column for key, column in self._columns.items() if key != name}, name: values}
        known = {**self.about, **({name: about} if about else {})}
        return self._made(columns, about=known)

    def with_about(self, about: Callable[[str], About]) -> Table:
        """The same, with units and descriptions of a pipeline's board beside those that are known."""
        known = {name: found for name in self.names if (found := about(name)) != About()}
        return self._made(self._columns, about={**known, **self.about})

    # ---- showing -----------------------------------------------------------------------------------------------------------------------

    def shown(self) -> list[str]:
        """The columns as a person wants them: a quantity once, without the columns of its ends."""
        ends = {f"{name}{end}" for name in self.quantities for end in ENDS[1:]}
        return [name for name in self.names if name not in ends]

    def cell(self, name: str, index: int) -> str:
        """One value as text: a quantity with its errors, an empty text where it is not known."""
        values = [self._columns[f"{name}{end}"][index] for end in (ENDS if name in self.quantities else ("",))]
        if self.is_text(name):
            return str(values[0])
        if np.isnan(float(values[0])):
            return ""
        if len(values) == len(ENDS):
            return with_errors(*map(float, values))
        return str(values[0].item()) if values[0].dtype.kind in "iu" else f"{float(values[0]):.6g}"

    def to_astropy(self) -> Any:
        """An ``astropy.table.Table``: numbers with units where astropy knows them, and descriptions."""
        tables, units = importlib.import_module("astropy.table"), importlib.import_module("astropy.units")
        made = tables.Table()
        for name, values in self._columns.items():
            about = self.described(name)
            told = about.description
            column = tables.Column(values.astype(str) if values.dtype == object else values)
            try:
                column.unit = units.Unit(UNITS.get(about.unit, about.unit)) if about.unit else None
            except ValueError:
                told = f"{told} [{about.unit}]".strip()
            column.description = told or None
            made[name] = column
        return made

    def __repr__(self) -> str:
        shown = self.shown()
        more = f" and {len(shown) - MOST_COLUMNS} more" if len(shown) > MOST_COLUMNS else ""
        rows = "row" if self._length == 1 else "rows"
        return f"<Table of {self._length:,} {rows}: {', '.join(shown[:MOST_COLUMNS])}{more}>"

    def _repr_html_(self) -> str:
        shown = self.shown()[:MOST_COLUMNS]
        rows = [[self.cell(name, i) for name in shown] for i in range(self._length)]
        more = f", {len(self.shown()) - len(shown)} more columns" if len(self.shown()) > len(shown) else ""
        return html_table(f"{self._length:,} rows{more}", [self._titled(name) for name in shown], rows)

    def _titled(self, name: str) -> str:
        unit = self.unit(name)
        return f"{name} [{unit}]" if unit else name


def _column(values: Any) -> Column:
    """Numbers as an array of them, anything else as an array of texts, also a list of nothing."""
    array = values if isinstance(values, np.ndarray) else np.asarray(values)
    if array.dtype.kind in "iufb" and array.ndim == 1 and (len(array) or array is values):
        return array
    texts = np.empty(len(values), dtype=object)
    texts[:] = [str(value) for value in values]
    return texts
