"""`fitcore page`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fitcore import ConfigError
from fitcore.naming import suggestion
from flows.command import StoreOption, existing, guarded
from flows.pages import write_page


@guarded
def page(
    store: StoreOption = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file [default: reports/campaign.html in the store].")
    ] = None,
    pipeline: Annotated[list[str] | None, typer.Option("--pipeline", help="Only these pipelines.")] = None,
) -> None:
    """One page of all finished chains: counts, what changed, distributions, outliers, and a table to filter and to grade by keyboard."""
    kept = existing(store)
    if file is not None and file.suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--output {file}: a page ends in .html; its state is kept beside it in a file of that name that ends in .json.")
    known = sorted({run["pipeline"] for run in kept.listed_chains().rows})
    for name in pipeline or ():
        if name not in known:
            raise ConfigError(f"No chain of this store has the pipeline {name!r}. {suggestion(name, known, kind='pipelines')}")
    typer.echo(str(write_page(kept, file, pipelines=tuple(pipeline or ()))))
