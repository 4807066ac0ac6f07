"""`fitcore page`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import completion
from flows.command import StoreOption, application, existing, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import pages
else:
    (pages,) = later("pages")

app = application()


@app.command(epilog="Example: fitcore page --store results")
@guarded
def page(
    store: StoreOption = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", help="The HTML file [default: reports/campaign.html in the store].")
    ] = None,
    pipeline: Annotated[
        list[str] | None, typer.Option("--pipeline", autocompletion=completion.pipelines, help="Only these pipelines.")
    ] = None,
) -> None:
    """One HTML page of all finished chains: counts, changes, distributions, outliers, and a table to filter and to grade by keyboard."""
    typer.echo(str(pages.asked_page(existing(store), file, tuple(pipeline or ()))))
