"""What a campaign page says: gathered from the notes of the chains and the leases of the store, put into words and rounded.

Nothing is known of any science here: a pipeline's board (`fitcore.board`) says which columns there are. How it looks is in the template,
numbers become pictures in `page_numbers`, and files are `pages`' business.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from fitcore import ConfigError, Store, __version__
from fitcore.board import PLAIN, About, Board, Grade
from fitcore.store.activity import Work
from fitcore.store.listing import chains_table
from fitcore.table import ENDS, Table
from flows import catalogue, page_numbers, page_state
from flows.page_state import Changes, Shown, State, Trouble
from flows.records import report_path
from flows.status import RUNNING, STILL, stage_of

VERDICTS = ("accepted", "review", "failed")
STATES = {RUNNING: "running", STILL: "stands still"}
PICTURE_PIXELS = 40
"""Width and height of one thumbnail in the table."""
NAME_WIDTH, TEXT_WIDTH, GRADE_WIDTH, LEAST_WIDTH, GAP = 130, 82, 92, 52, 10
"""Pixels that columns take at least, and between two of them: every row is a grid of its own, so that rows out of sight cost nothing."""
MOST_CHANGES, MOST_WORKS, MOST_OUTLIERS = 60, 40, 15
LONGEST_REASON, LONGEST_TEXT, LONGEST_WORD = 260, 200, 24
MOST_WORDS = 3
"""Verdicts, beside those that are known, that have a count of their own."""
SECONDS = About(unit="s", title="time", description="time of all stages, when they were computed")


@dataclass(frozen=True, kw_only=True)
class Content:
    """What the template shows, and the state to keep for the next page."""

    view: dict[str, Any]
    state: State


@dataclass(frozen=True, kw_only=True)
class _Chains:
    """The chains of a page: rows as listed, the same as a table, and how the pipelines show them."""

    rows: Sequence[Mapping[str, Any]]
    table: Table
    boards: Mapping[str, Board]

    @property
    def keys(self) -> list[str]:
        return [f"{row['pipeline']}/{row['name']}" for row in self.rows]

    def values(self, name: str) -> np.ndarray:
        return np.asarray(self.table[name], dtype=np.float64)

    def wanted(self, what: str) -> list[str]:
        """The columns that the boards, or else the chains' headlines, name, and of which some row has a value."""
        headlines = dict.fromkeys(row["headline"] for row in self.rows)
        names = [name for board in self.boards.values() for name in getattr(board, what)] or [*headlines]
        return [name for name in dict.fromkeys([*names, "seconds"]) if name in self.table.names and np.isfinite(self.values(name)).any()]

    def about(self, name: str) -> About:
        if name == "seconds":
            return SECONDS
        return next((known for board in self.boards.values() if (known := board.about_column(name)) != About()), About())

    def title(self, name: str) -> str:
        return self.about(name).title or name


def content(
    store: Store, output: Path, state: State, *, pipelines: Sequence[str], troubles: Sequence[Trouble], now: datetime.datetime
) -> Content:
    """Everything that the page at ``output`` shows.

    Parameters
    ----------
    state : what was kept of the page before.
    pipelines : only these; all where there are none.
    troubles : datasets that the run which makes this page could not finish.
    """
    listed = store.listed_chains()
    rows = [
        {**row, "verdict": _short(row["verdict"], LONGEST_WORD), "blame": _short(row["blame"], LONGEST_WORD)}
        for row in listed.rows
        if not pipelines or row["pipeline"] in pipelines
    ]
    found = _Chains(
        rows=rows,
        table=chains_table(replace(listed, rows=rows), store),
        boards={name: _board(name) for name in sorted({row["pipeline"] for row in rows})},
    )
    kept = _troubles(state.troubles, troubles, rows)
    shown = _shown(found)
    after = page_state.following(state, shown, now, kept)
    changed = page_state.changes(after.before, shown)
    works = store.activity().works
    links = [_links(store, output, row) for row in rows]
    view = {
        "title": store.path.name or str(store.path),
        "store": str(store.path),
        "store_id": hashlib.sha256(str(store.path).encode("utf-8", "surrogatepass")).hexdigest()[:16],
        "made": f"{now.astimezone(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        "version": __version__,
        "known_verdicts": VERDICTS,
        "tiles": _tiles(rows, works, kept, len(listed.faults)),
        **_changed(found, changed, links),
        **_unfinished(works, kept),
        **_pictured(found, links),
        **_listed(found, links),
    }
    return Content(view=view, state=after)


def _board(name: str) -> Board:
    try:
        return catalogue.board(catalogue.find(name))
    except ConfigError:  # a pipeline that is not installed here: its results are shown all the same
        return PLAIN


def _short(text: str, most: int = LONGEST_TEXT) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _links(store: Store, output: Path, row: Mapping[str, Any]) -> dict[str, str]:
    """Where the page finds the report and the strip of thumbnails of a row; empty where there are none."""
    report = report_path(store, row["pipeline"], row["name"])
    found = {"link": report, "picture": report.with_suffix(".webp")}
    return {what: quote(Path(os.path.relpath(path, output.parent)).as_posix()) if path.is_file() else "" for what, path in found.items()}


def _shown(found: _Chains) -> dict[str, Shown]:
    """What is kept of each chain for the next page."""
    kept = {}
    for i, (key, row) in enumerate(zip(found.keys, found.rows, strict=True)):
        names = [f"{row['headline']}{end}" for end in ENDS]
        values = [found.table[name][i] for name in names] if all(name in found.table.names for name in names) else [math.nan] * len(ENDS)
        kept[key] = page_state.shown(row["verdict"], values, row["stages"][-1]["digest"])
    return kept


def _troubles(old: Sequence[Trouble], new: Sequence[Trouble], rows: Sequence[Mapping[str, Any]]) -> list[Trouble]:
    """What could not be finished: of an earlier run, but for those that have been since, and of this one."""
    recorded: dict[str, str] = {}
    for row in rows:
        recorded[row["name"]] = max(recorded.get(row["name"], ""), row["recorded"])
    known = {trouble.name: trouble for trouble in old if trouble.time > recorded.get(trouble.name, "")}
    return list({**known, **{trouble.name: trouble for trouble in new}}.values())


def _tiles(rows: Sequence[Mapping[str, Any]], works: Sequence[Work], troubles: Sequence[Trouble], n_faults: int) -> list[dict[str, Any]]:
    counts = Counter(row["verdict"] for row in rows)
    others = sorted(set(counts) - set(VERDICTS), key=lambda word: (-counts[word], word))
    words = [*VERDICTS, *others[:MOST_WORDS]]
    states = Counter(work.state for work in works)
    tiles = [{"word": word, "count": f"{counts[word]:,}", "is_verdict": True} for word in words]
    tiles.append({"word": "running", "count": f"{states[RUNNING]:,}", "is_verdict": False})
    left = len(works) - states[RUNNING]
    n_words = sum(counts[word] for word in others[MOST_WORDS:])
    for word, count in (
        ("other verdicts", n_words),
        ("left unfinished", left),
        ("could not be fitted", len(troubles)),
        ("not listed", n_faults),
    ):
        if count:
            tiles.append({"word": word, "count": f"{count:,}", "is_verdict": False})
    return tiles


def _changed(found: _Chains, changed: Changes, links: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    places = {key: i for i, key in enumerate(found.keys)}
    several = len(found.boards) > 1
    items = []
    for change in changed.items[:MOST_CHANGES]:
        pipeline, _, name = change.key.partition("/")
        link = links[places[change.key]]["link"] if change.key in places else ""
        shown = f"{name} ({pipeline})" if several else name
        items.append({"name": _short(shown), "link": link, "before": change.before, "after": change.after, "text": change.text})
    told = f"{changed.n_new:,} new, {len(changed.items) - changed.n_new:,} changed, {changed.n_refitted:,} fitted again"
    since = changed.since[:16].replace("T", " ")
    return {
        "since": f"{since} UTC" if since else "",
        "changes": items,
        "changes_told": told,
        "n_more_changes": max(0, len(changed.items) - MOST_CHANGES),
    }


def _unfinished(works: Sequence[Work], troubles: Sequence[Trouble]) -> dict[str, Any]:
    told = [
        {
            "name": _short(work.dataset or work.digest[:12]),
            "state": STATES.get(work.state, "unfinished"),
            "text": _short(f"{stage_of(work)}, {work.attempt.n_calls:,} calls" + (f": {work.why}" if work.why else "")),
        }
        for work in works
    ]
    failed = [
        {"name": _short(trouble.name), "state": _short(trouble.state, LONGEST_WORD), "text": _short(trouble.text)} for trouble in troubles
    ]
    return {
        "works": told[:MOST_WORKS],
        "troubles": failed[:MOST_WORKS],
        "n_more_works": max(0, len(told) - MOST_WORKS) + max(0, len(failed) - MOST_WORKS),
    }


def _pictured(found: _Chains, links: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """Histograms and outliers."""
    verdicts = [row["verdict"] for row in found.rows]
    names = found.wanted("histograms")
    drawn = [page_numbers.histogram(found.values(name), verdicts, found.title(name), found.about(name)) for name in names]
    far = sorted((one for name in names for one in page_numbers.outliers(found.values(name), name)), key=lambda one: -abs(one.distance))
    told = []
    for one in far[:MOST_OUTLIERS]:
        row, about = found.rows[one.row], found.about(one.column)
        shown = page_numbers.cell(one.column, one.value)["text"]
        sign = "+" if one.distance > 0 else "\N{MINUS SIGN}"
        told.append(
            {
                "name": row["name"],
                "link": links[one.row]["link"],
                "verdict": row["verdict"],
                "title": found.title(one.column),
                "value": shown,
                "unit": "" if one.column == "seconds" else about.unit,
                "distance": f"{sign}{abs(one.distance):.1f}",
            }
        )
    return {
        "histograms": [one for one in drawn if one is not None],
        "legend": [word for word in VERDICTS if word in verdicts],
        "outliers": told,
        "n_more_outliers": max(0, len(far) - MOST_OUTLIERS),
        "outlier_limit": f"{page_numbers.OUTLIER_LIMIT:g}",
    }


def _listed(found: _Chains, links: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """The table of all rows, and what it is filtered and graded by."""
    names = found.wanted("columns")
    several = len(found.boards) > 1
    blames = [row["blame"] or found.boards[row["pipeline"]].blame(row["reasons"]) for row in found.rows]
    has_pictures = any(link["picture"] for link in links)
    n_pictures = max((len(board.pictures) for board in found.boards.values()), default=0) or 1
    abouts = {name: found.about(name) for name in names}
    numbers = [
        {
            "name": name,
            "title": found.title(name),
            "unit": "" if name == "seconds" else abouts[name].unit,
            "about": abouts[name].description,
        }
        for name in names
    ]
    columns = {name: [found.values(f"{name}{end}") for end in (ENDS if name in found.table.quantities else ("",))] for name in names}
    rows = []
    for i, row in enumerate(found.rows):
        cells = [
            {**page_numbers.cell(name, *(float(values[i]) for values in columns[name])), "column": name, "label": head["title"]}
            for name, head in zip(names, numbers, strict=True)
        ]
        rows.append(
            {
                "key": f"{row['pipeline']}/{row['name']}",
                "name": row["name"],
                "pipeline": row["pipeline"],
                "verdict": row["verdict"],
                "blame": _short(blames[i], LONGEST_WORD),
                "reasons": _short("; ".join(row["reasons"]), LONGEST_REASON),
                "cells": cells,
                **links[i],
            }
        )
    grades = _grades(found.boards.values())
    texts = [("name", "Name"), *([("pipeline", "Pipeline")] if several else []), ("verdict", "Verdict")]
    texts += [("blame", "Look first at")] if any(blames) else []
    heads = [{"name": "", "title": "Pictures", "is_number": False}] if has_pictures else []
    heads += [{"name": name, "title": title, "unit": "", "about": "", "is_number": False} for name, title in texts]
    heads += [{**head, "is_number": True} for head in numbers]
    heads.append({"name": "given", "title": "Grade", "unit": "", "about": "given by you, kept in this browser", "is_number": False})
    selects = [_select(name, title, [row[name] for row in rows]) for name, title in texts[1:]]
    given = [{"value": "none", "text": "none"}, *({"value": grade.word, "text": grade.title} for grade in grades)]
    selects.append({"column": "given", "title": "Grade", "options": given})
    widths: list[int | None] = [PICTURE_PIXELS * n_pictures] if has_pictures else []
    widths += [None, *(TEXT_WIDTH for _ in texts[1:])]
    widths += [_width(head["title"], [row["cells"][j] for row in rows]) for j, head in enumerate(numbers)] + [GRADE_WIDTH]
    return {
        "rows": rows,
        "heads": heads,
        "numbers": numbers,
        "selects": [select for select in selects if select["options"]],
        "has_pictures": has_pictures,
        "has_pipelines": several,
        "has_blame": any(blames),
        "grid": " ".join(f"minmax({width}px, 1fr)" if width else f"minmax({NAME_WIDTH}px, 3fr)" for width in widths),
        "least": sum(width or NAME_WIDTH for width in widths) + GAP * len(widths),
        "strip_width": PICTURE_PIXELS * n_pictures,
        "strip_height": PICTURE_PIXELS,
        "pictures_told": ", ".join(next((board.pictures for board in found.boards.values() if board.pictures), ("picture",))),
        "grades": grades,
    }


def _width(title: str, cells: Sequence[Mapping[str, str]]) -> int:
    """Pixels that a column of numbers takes."""
    longest = max((7.2 * len(cell["text"]) + 5.3 * max(len(cell["plus"]), len(cell["minus"])) + 8 for cell in cells), default=0.0)
    return int(max(longest, *(6.7 * len(word) + 9 for word in title.split()), LEAST_WIDTH))


def _select(column: str, title: str, values: Sequence[str]) -> dict[str, Any]:
    known = [word for word in VERDICTS if word in values] + sorted(set(values) - {*VERDICTS, ""})
    return {"column": column, "title": title, "options": [{"value": value, "text": value} for value in known]}


def _grades(boards: Any) -> list[Grade]:
    """The answers of all boards; of two with one key or word the first counts."""
    found: list[Grade] = []
    for grade in (grade for board in boards for grade in board.grades):
        if all(grade.key != other.key and grade.word != other.word for other in found):
            found.append(grade)
    return found
