"""`fitcore table`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import completion
from flows.command import StoreOption, application, existing, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import console, tables
else:
    console, tables = later("console", "tables")

app = application()


@app.command(epilog="Example: fitcore table --store results --where 'slope<1.9' --sort -slope --output steep.csv")
@guarded
def table(
    store: StoreOption = None,
    form: Annotated[
        str | None, typer.Option("--format", help="text, csv, json, fits, latex or parquet [default: by the file's ending, or text].")
    ] = None,
    file: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write to this file, all at once, instead of standard output.")
    ] = None,
    verdict: Annotated[list[str] | None, typer.Option("--verdict", help="Only these verdicts.")] = None,
    pipeline: Annotated[
        list[str] | None, typer.Option("--pipeline", autocompletion=completion.pipelines, help="Only these pipelines.")
    ] = None,
    where: Annotated[list[str] | None, typer.Option("--where", help="Only rows for which this holds, such as 'slope<1.9'.")] = None,
    sort: Annotated[str | None, typer.Option("--sort", help="Columns to sort by, with commas; -NAME from large to small.")] = None,
    columns: Annotated[str | None, typer.Option("--columns", help="Only these columns, with commas, in this order.")] = None,
    grades: Annotated[Path | None, typer.Option("--grades", help="CSV of grades that a campaign page saved: a column more.")] = None,
) -> None:
    """All finished chains of a store, as text or as a file for another program."""
    asked = tables.Asked(
        form=form,
        output=file,
        verdicts=tuple(verdict or ()),
        pipelines=tuple(pipeline or ()),
        conditions=tuple(where or ()),
        sort=_names(sort),
        columns=_names(columns),
        grades=grades,
    )
    made = tables.make(existing(store), asked, lambda text: typer.echo(console.printable(text), err=True))
    if file is None:
        sys.stdout.write(made.decode("utf-8"))


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())
