"""`fitcore table`."""

from __future__ import annotations

import csv
import sys
from typing import Annotated, Any

import typer

from fitcore import StoreError
from flows.command import StoreOption, application, existing, guarded, output
from flows.console import csv_text, json_line, printable, rows_table
from flows.records import checked, row_of

app = application()


@app.command(epilog="Example: fitcore table --store results --format csv")
@guarded
def table(store: StoreOption = None, form: Annotated[str, typer.Option("--format", help="text, csv or json.")] = "text") -> None:
    """All finished chains of a store."""
    rows = []
    for item in existing(store).runs():
        try:
            rows.append(row_of(checked(item)))
        except StoreError as error:
            typer.echo(printable(f"left out: {error}"), err=True)
    if form == "json":
        for row in rows:
            typer.echo(json_line(row))
    elif form == "csv":
        _write_csv(rows)
    elif form == "text":
        output().print(rows_table(rows))
    else:
        raise typer.BadParameter(f"{form!r} is not a format; text, csv and json are", param_hint="--format")


def _write_csv(rows: list[dict[str, Any]]) -> None:
    values = [{**row["parameters"], **row["latents"]} for row in rows]
    paths = list(dict.fromkeys(path for value in values for path in value))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    titles = [csv_text(f"{path}{end}") for path in paths for end in ("", "_lower", "_upper")]
    writer.writerow(["name", "pipeline", "verdict", "log_evidence", "n_calls", "seconds", *titles])
    for row, value in zip(rows, values, strict=True):
        stages = row["stages"]
        numbers = [value[path][key] if path in value else "" for path in paths for key in ("median", "lower", "upper")]
        totals = [stages[-1]["log_evidence"], sum(s["n_calls"] for s in stages), sum(s["seconds"] for s in stages)]
        writer.writerow([*(csv_text(row[key]) for key in ("name", "pipeline", "verdict")), *totals, *numbers])
