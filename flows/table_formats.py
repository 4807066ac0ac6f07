"""A table as the bytes of a file: CSV, JSON, FITS, LaTeX, Parquet. Nothing is decided here, and no file is touched.

astropy and pyarrow are costly to import, so each is imported when its format is asked for.
"""

from __future__ import annotations

import csv
import functools
import importlib
import io
import math
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fitcore import ConfigError
from fitcore.naming import suggestion
from fitcore.table import ENDS, UNITS, Table
from flows.console import csv_text, json_line, one_line

SUFFIXES = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "json",
    ".fits": "fits",
    ".fit": "fits",
    ".tex": "latex",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".txt": "text",
}
FORMATS = ("text", "csv", "json", "fits", "latex", "parquet")
BINARY = ("fits", "parquet")
LONGEST_FITS_TEXT = 500
LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\symbol{34}",  # \textquotedbl is not in the font encoding that a document has by itself
    "-": "{-}",  # two in a row would become a dash
    "`": r"\textasciigrave{}",
    "'": r"\textquotesingle{}",
}
LATEX_ACCENTS = dict(zip("\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327", "`'^~=u.\"rHvc", strict=True))
"""Combining marks, and the accents that LaTeX has in every font encoding."""
LATEX_LETTERS = dict(zip("ßøØæÆœŒłŁ", ("ss", "o", "O", "ae", "AE", "oe", "OE", "l", "L"), strict=True))
LATEX_OTHER = r"\providecommand{\fitcoreletter}[2]{\ifdefined\Umathchar #1\else U+#2\fi}"
"""Shows any other letter in XeLaTeX and LuaLaTeX, and its number in pdfLaTeX, which stops at one that it does not know."""
LATEX_UNITS = {"Msun": r"$M_\odot$", "deg": r"deg", "arcsec": r"arcsec"}
LARGEST_FIXED, SMALLEST_FIXED = 1e6, 1e-5


def format_of(form: str | None, output: Path | None) -> str:
    """The format that is meant: the one that is named, else that of the file's ending, else text.

    Raises
    ------
    ConfigError : it is not known, or is of bytes and no file is named.
    """
    if form is None and output is not None:
        form = SUFFIXES.get(output.suffix.lower())
        if form is None:
            raise ConfigError(f"--output {output}: the ending {output.suffix!r} says no format. Name one: --format {', '.join(FORMATS)}.")
    form = form or "text"
    if form not in FORMATS:
        raise ConfigError(f"{form!r} is not a format. {suggestion(form, FORMATS, kind='formats')}")
    if form in BINARY and output is None:
        raise ConfigError(f"A {form} table is not text for a terminal. Name a file for it: --output table.{form}.")
    return form


# ---- text ----------------------------------------------------------------------------------------------------------------------------


def csv_bytes(table: Table) -> bytes:
    """Every digit; what is not known is an empty cell, and no cell is taken for a formula by a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([csv_text(name) for name in table.names])
    columns = [_csv_cells(table, name) for name in table.names]
    writer.writerows(zip(*columns, strict=True))
    return text.getvalue().encode("utf-8", "backslashreplace")


def _csv_cells(table: Table, name: str) -> list[Any]:
    if table.is_text(name):
        return [csv_text(text) for text in table[name]]
    values = table[name]
    if values.dtype.kind != "f":
        return values.tolist()
    return [repr(value) if is_known else "" for value, is_known in zip(values.tolist(), ~np.isnan(values), strict=True)]


def json_bytes(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """One object a line."""
    return "".join(f"{json_line(row)}\n" for row in rows).encode()


def json_rows(table: Table) -> list[dict[str, Any]]:
    """The rows as plain data: a quantity as its median, lower and upper."""
    shown = table.shown()
    columns = {name: table[name].tolist() for name in table.names}
    keys = ("median", "lower", "upper")

    def value(name: str, i: int) -> Any:
        if name in table.quantities:
            return {key: columns[f"{name}{end}"][i] for key, end in zip(keys, ENDS, strict=True)}
        return columns[name][i]

    return [{name: value(name, i) for name in shown} for i in range(len(table))]


# ---- LaTeX ---------------------------------------------------------------------------------------------------------------------------


def latex_bytes(table: Table) -> bytes:
    """A ``tabular`` to be read by ``\\input``: no package is needed, every text is escaped, letters unknown to a TeX are numbers."""
    shown = table.shown()
    kinds = ["l" if table.is_text(name) else "r" for name in shown]
    lines = [f"\\begin{{tabular}}{{{''.join(kinds)}}}", "\\hline"]
    lines.append(" & ".join(_latex_title(table, name) for name in shown) + r" \\")
    units = [_latex_unit(table.unit(name)) for name in shown]
    if any(units):
        lines.append(" & ".join(units) + r" \\")
    lines.append("\\hline")
    cells = [[_latex_cell(table, name, i) for i in range(len(table))] for name in shown]
    lines += [" & ".join(row) + r" \\" for row in zip(*cells, strict=True)]
    text = "\n".join([*lines, "\\hline", "\\end{tabular}", ""])
    return (f"{LATEX_OTHER}\n{text}" if "fitcoreletter" in text else text).encode("utf-8", "backslashreplace")


def latex_text(text: str) -> str:
    """A text that LaTeX shows as it is."""
    return "".join(LATEX.get(letter) or (letter if letter.isascii() else _other_letter(letter)) for letter in one_line(text))


def _other_letter(letter: str) -> str:
    base, mark = (*unicodedata.normalize("NFD", letter), "")[:2]
    if letter in LATEX_LETTERS:
        return rf"\{LATEX_LETTERS[letter]}{{}}"
    if mark in LATEX_ACCENTS and base.isascii() and len(unicodedata.normalize("NFD", letter)) == len("e\u0301"):
        return rf"\{LATEX_ACCENTS[mark]}{{{base}}}"
    return rf"\fitcoreletter{{{letter}}}{{{ord(letter):04X}}}"


def _latex_title(table: Table, name: str) -> str:
    about = table.described(name)
    return f"${about.latex}$" if about.latex else latex_text(about.title or name)


def _latex_unit(unit: str) -> str:
    return LATEX_UNITS.get(unit) or latex_text(unit)


def _latex_cell(table: Table, name: str, i: int) -> str:
    if table.is_text(name):
        return latex_text(table[name][i])
    value, *ends = (float(table[f"{name}{end}"][i]) for end in (ENDS if name in table.quantities else ("",)))
    if table[name].dtype.kind in "iu":
        return f"${table[name][i]}$"
    return latex_number(value, *(ends or (math.nan, math.nan)))


def latex_number(value: float, lower: float, upper: float) -> str:
    """A median with its errors, to two digits of the smaller one: ``$1.042^{+0.012}_{-0.011}$``.

    Very large and small ones have a power of ten apart; where there are no errors there are six digits.
    """
    if not math.isfinite(value):
        return r"\ldots" if math.isnan(value) else ("$\\infty$" if value > 0 else "$-\\infty$")
    below, above = value - lower, upper - value
    errors = [error for error in (below, above) if error > 0] if math.isfinite(below) and math.isfinite(above) else []
    scale = max(abs(value), *errors, 0.0)
    exponent = math.floor(math.log10(scale)) if scale and not SMALLEST_FIXED <= scale < LARGEST_FIXED else 0
    factor = 10.0**exponent
    power = f" \\times 10^{{{exponent}}}" if exponent else ""
    if not errors:
        return f"${value / factor:.6g}{power}$"
    digits = max(0, 1 - math.floor(math.log10(min(errors) / factor)))
    told = f"{value / factor:.{digits}f}^{{+{above / factor:.{digits}f}}}_{{-{below / factor:.{digits}f}}}"
    return f"$({told}){power}$" if power else f"${told}$"


# ---- bytes ---------------------------------------------------------------------------------------------------------------------------


FITS_FORMATS = {"b": "L", "i": "K", "u": "K", "f": "D"}


def fits_bytes(table: Table) -> bytes:
    """A binary table with units and, as comments on the columns, what they are. Texts are ASCII there, other letters written out."""
    fits, units = importlib.import_module("astropy.io.fits"), importlib.import_module("astropy.units")
    columns: list[Any] = []
    told: list[str] = []

    @functools.cache  # astropy looks for the nearest name of a unit that it does not know, which takes long
    def known(unit: str) -> str | None:
        try:
            return units.Unit(UNITS.get(unit, unit)).to_string(format="fits")
        except ValueError:
            return None

    for name in table.names:
        values, about = table[name], table.described(name)
        if table.is_text(name):
            values = np.array([_ascii(text) for text in values], dtype=np.bytes_)
        form = f"{max(values.dtype.itemsize, 1)}A" if values.dtype.kind == "S" else FITS_FORMATS[values.dtype.kind]
        unit = known(about.unit)
        words = about.description if unit is not None else f"{about.description} [{about.unit}]".strip()
        columns.append(fits.Column(name=name, format=form, unit=unit or None, array=values))
        told.append(_ascii(words))
    made = fits.BinTableHDU.from_columns(columns, name="RESULTS")
    for i, words in enumerate(told, start=1):
        if words:
            made.header[f"TCOMM{i}"] = words
    buffer = io.BytesIO()
    fits.HDUList([fits.PrimaryHDU(), made]).writeto(buffer)
    return buffer.getvalue()


def _ascii(text: str) -> str:
    shown = one_line(text).encode("ascii", "backslashreplace").decode("ascii")
    return shown if len(shown) <= LONGEST_FITS_TEXT else f"{shown[: LONGEST_FITS_TEXT - 3]}..."


def parquet_bytes(table: Table) -> bytes:
    """A Parquet file; unit and description are in the metadata of each column. What is not known is null.

    Raises
    ------
    ConfigError : the package pyarrow is not installed.
    """
    try:
        arrow, parquet = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        raise ConfigError(
            "The format parquet needs the package pyarrow, which is not installed. Install it: pip install 'fitcore[parquet]'. "
            "The formats csv, json and fits need nothing more."
        ) from error
    columns, fields = [], []
    for name in table.names:
        values = table[name]
        is_text = table.is_text(name)
        column = arrow.array(values.astype(str).tolist()) if is_text else arrow.array(values, from_pandas=True)  # NaN as null
        about = table.described(name)
        told = {key: text for key, text in (("unit", about.unit), ("description", about.description)) if text}
        columns.append(column)
        fields.append(arrow.field(name, column.type, metadata=told or None))
    buffer = io.BytesIO()
    parquet.write_table(arrow.Table.from_arrays(columns, schema=arrow.schema(fields)), buffer)
    return buffer.getvalue()


WRITERS = {"csv": csv_bytes, "latex": latex_bytes, "fits": fits_bytes, "parquet": parquet_bytes}
