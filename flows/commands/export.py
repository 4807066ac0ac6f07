"""`fitcore export`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import completion
from flows.codes import DONE, SOME_FAILED
from flows.command import RefusedError, StoreOption, application, existing, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import console, exporting
else:
    console, exporting = later("console", "exporting")

app = application()


@app.command(epilog="Example: fitcore export J0252+0039 --to getdist,csv --store results")
@guarded
def export(
    names: Annotated[
        list[str],
        typer.Argument(autocompletion=completion.results, help="Names of datasets, or their folders where these have the same names."),
    ],
    to: Annotated[
        str, typer.Option("--to", help="corner, getdist, anesthetic, arviz, csv; of a lens also fits, ds9, coolest; with commas.")
    ],
    store: StoreOption = None,
    stage: Annotated[str | None, typer.Option("--stage", autocompletion=completion.stages, help="One stage [default: the last].")] = None,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", autocompletion=completion.pipelines, help="Of several [default: the one that ran last].")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder of the files [default: exports/NAME].")] = None,
    dataset: Annotated[Path | None, typer.Option("--dataset", help="Folder of the data, where they are no longer where they were.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write anew what is there already.")] = False,
) -> None:
    """Files for other tools: posteriors, images, regions, lens models. Each file that is written is printed."""
    if dataset is not None and len(names) > 1:
        raise RefusedError(f"--dataset {dataset} is the folder of one dataset, and {len(names)} are named. Name one.")
    asked = {"stage": stage, "pipeline": pipeline, "folder": output, "data": dataset, "is_forced": force}
    n_failed = 0
    for done in exporting.exported(existing(store), names, to, **asked):
        if done.error:
            typer.echo(console.printable(f"error: {done.name}: {done.error}"), err=True)
            n_failed += 1
        for note in done.notes:
            typer.echo(console.one_line(f"note: {note}"), err=True)
        for path in done.files:
            typer.echo(console.one_line(str(path)))
    raise typer.Exit(SOME_FAILED if n_failed else DONE)
