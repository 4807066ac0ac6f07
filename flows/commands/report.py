"""`fitcore report`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import completion
from flows.codes import DONE, SOME_FAILED
from flows.command import JsonLinesOption, QuietOption, RefusedError, StoreOption, application, existing, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import console, rewriting, settings
else:
    console, rewriting, settings = later("console", "rewriting", "settings")

app = application()


@app.command(epilog="Example: fitcore report J0252+0039 --store results")
@guarded
def report(
    names: Annotated[list[str], typer.Argument(autocompletion=completion.results, help="Names of datasets in the store.")],
    store: StoreOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File, or folder for several [default: STORE/reports/PIPELINE/NAME.html].")
    ] = None,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", autocompletion=completion.pipelines, help="Of several [default: the one that ran last].")
    ] = None,
    dataset: Annotated[Path | None, typer.Option("--dataset", help="Folder of the data, where they are no longer where they were.")] = None,
    json: JsonLinesOption = False,
    quiet: QuietOption = False,
) -> None:
    """Write the HTML report of finished datasets again, from the store. Nothing is searched, and no result or note changes."""
    if dataset is not None and len(names) > 1:
        raise RefusedError(f"--dataset {dataset} is the folder of one dataset, and {len(names)} are named. Name one.")
    given, kept = settings.read(), existing(store)
    runs = [kept.run(Path(name).name, pipeline) for name in names]
    n_failed = 0
    for row in rewriting.rewritten(kept, runs, output, dataset, given, console.Display(quiet=quiet, no_color=given.no_color)):
        if "error" in row:
            n_failed += 1
            typer.echo(console.printable(f"{row['name']}: {row['error']}"), err=True)
        if json:
            typer.echo(console.json_line(row))
        elif "error" not in row:
            typer.echo(console.one_line(row["report"]))
    raise typer.Exit(SOME_FAILED if n_failed else DONE)
