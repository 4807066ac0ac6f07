"""Writing a campaign page: one HTML file that loads nothing from outside, and a small file beside it for the next one.

Its thumbnails are the strips beside the reports. The page is written all at once, so that a reader sees the old one or the new.
"""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from fitcore import ConfigError, FitcoreError, Store
from fitcore.naming import suggestion
from fitcore.store import durable
from flows import page_state
from flows.console import one_line
from flows.page_content import content
from flows.page_state import Trouble

NAME = "campaign.html"
DONE = "done"


def default_output(store: Store) -> Path:
    """Where the page of a store is: among its reports."""
    return store.reports / NAME


def write_page(
    store: Store,
    output: Path | None = None,
    *,
    pipelines: Sequence[str] = (),
    troubles: Sequence[Trouble] = (),
    now: datetime.datetime | None = None,
) -> Path:
    """Write the page of a store; where it is.

    Parameters
    ----------
    output : the HTML file, `default_output` where none is named; the state for the next page has the same name and ends in ``.json``.
    pipelines : only these; all where there are none.
    troubles : datasets that could not be finished, beside what the store knows.

    Raises
    ------
    StoreError
        when it cannot be written.
    """
    output = (output or default_output(store)).absolute()
    kept = output.with_suffix(".json")
    now = now or datetime.datetime.now(datetime.UTC)
    made = content(store, output, page_state.load(kept), pipelines=pipelines, troubles=troubles, now=now)
    data = render(made.view).encode("utf-8")
    with durable.explaining(output, "writing the campaign page"):
        durable.make_folder(output.parent)
        durable.replace(output, data)
        durable.replace(kept, page_state.plain(made.state))
    return output


def asked_page(store: Store, output: Path | None, pipelines: Sequence[str]) -> Path:
    """As `write_page`, of what a person asks.

    Raises
    ------
    ConfigError
        for another ending than .html, and a pipeline that no chain of the store has.
    """
    if output is not None and output.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(
            f"--output {output}: a page ends in .html; its state is kept beside it in a file of that name that ends in .json."
        )
    known = sorted({row["pipeline"] for row in store.listed_chains().rows}) if pipelines else []
    for name in pipelines:
        if name not in known:
            raise ConfigError(f"No chain of this store has the pipeline {name!r}. {suggestion(name, known, kind='pipelines')}")
    return write_page(store, output, pipelines=pipelines)


def render(view: Mapping[str, Any]) -> str:
    """The page as text; every text of the view is escaped, and what would steer a terminal or turn text around is written out."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, finalize=_visible, trim_blocks=True, lstrip_blocks=True)
    script = _file("campaign.js")
    told = {
        "style": Markup(_file("campaign.css")),
        "script": Markup(script),
        "script_hash": "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        "grades_json": Markup(_harmless([asdict(grade) for grade in view["grades"]])),
    }
    return environment.from_string(_file("campaign.html.j2")).render({**view, **told})


def _file(name: str) -> str:
    return resources.files("flows").joinpath(f"templates/{name}").read_text(encoding="utf-8")


def _harmless(value: Any) -> str:
    """JSON that ends no script element."""
    return json.dumps(value).replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _visible(value: Any) -> Any:
    return one_line(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def troubles_of(rows: Sequence[Mapping[str, Any]], now: datetime.datetime | None = None) -> list[Trouble]:
    """The rows of `fitcore run` that are not done."""
    time = (now or datetime.datetime.now(datetime.UTC)).isoformat(timespec="seconds")
    return [Trouble(name=row["name"], state=row["status"], text=row.get("error", ""), time=time) for row in rows if row["status"] != DONE]


def try_to_write(store: Store, say: Callable[[str], None], troubles: Sequence[Trouble] = ()) -> Path | None:
    """As `write_page`, after work that must not fail because of its page: what goes wrong is told."""
    try:
        return write_page(store, troubles=troubles)
    except (FitcoreError, OSError) as error:
        say(f"the campaign page could not be written: {error}. 'fitcore page' tries again")
        return None
