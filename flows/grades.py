"""Grades that a person gave on a campaign page, read back from its CSV. The file may come from anywhere."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from fitcore import ConfigError
from fitcore.store import durable
from fitcore.store.layout import NAME_PATTERN

COLUMNS = ("name", "pipeline", "grade")
"""What a file of grades has at least; the page adds when the grade was given."""
SIZE_LIMIT = 2**26
LONGEST = 64
Grades = dict[tuple[str, str], str]


def read(path: Path) -> Grades:
    """The grade of each name and pipeline; the last line of several counts.

    Raises
    ------
    ConfigError : the file cannot be read, is no table of grades, or a line of it holds something else.
    """
    try:
        text = durable.read_bytes(path, at_most=SIZE_LIMIT).decode("utf-8-sig")
        lines = list(csv.reader(io.StringIO(text, newline=""), strict=True))
    except OSError as error:
        raise ConfigError(
            f"The grades {path} cannot be read: {error.strerror or error}. Name the CSV that the campaign page saved."
        ) from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise ConfigError(f"The grades {path} are no CSV in UTF-8: {error}. Save them again on the campaign page.") from error
    head = lines[0] if lines else []
    missing = [name for name in COLUMNS if name not in head]
    if missing:
        raise ConfigError(
            f"The grades {path} have no column {missing[0]!r}; the first line must name {', '.join(COLUMNS)}. It is {head!r:.200}."
        )
    places = [head.index(name) for name in COLUMNS]
    found: Grades = {}
    for number, line in enumerate(lines[1:], start=2):
        if not line:
            continue
        if len(line) != len(head):
            raise ConfigError(f"{path}, line {number}, has {len(line)} fields, and the first line names {len(head)}. Mend or remove it.")
        name, pipeline, grade = (line[place].strip() for place in places)
        if not NAME_PATTERN.fullmatch(name) or not NAME_PATTERN.fullmatch(pipeline) or len(grade) > LONGEST:
            raise ConfigError(
                f"{path}, line {number}: {line!r:.200} names no dataset and pipeline, or its grade is too long. Mend or remove it."
            )
        found[name, pipeline] = grade
    return found


def column(grades: Mapping[tuple[str, str], str], names: Sequence[str], pipelines: Sequence[str]) -> tuple[list[str], int]:
    """The grade of each row, empty where there is none, and how many grades belong to no row."""
    keys = list(zip(names, pipelines, strict=True))
    return [grades.get(key, "") for key in keys], len(set(grades) - set(keys))
