"""`fitcore report`."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from fitcore import FitcoreError
from flows import settings
from flows.command import StoreOption, existing, guarded
from flows.console import Display, json_line, one_line, printable
from flows.launch import DONE, SOME_FAILED
from flows.rewriting import rewritten, target_of
from flows.worker_client import WorkerProcess


@guarded
def report(
    names: Annotated[list[str], typer.Argument(help="Names of datasets in the store.")],
    store: StoreOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File, or folder for several [default: STORE/reports/PIPELINE/NAME.html].")
    ] = None,
    pipeline: Annotated[str | None, typer.Option("--pipeline", help="Of several pipelines; [default: the one that ran last].")] = None,
    dataset: Annotated[Path | None, typer.Option("--dataset", help="Folder of the data, where they are no longer where they were.")] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of the path.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Write the HTML report of finished datasets again, from the store. Nothing is searched, and no result or note changes."""
    given = settings.read()
    kept = existing(store)
    runs = {name: kept.run(Path(name).name, pipeline) for name in names}
    if dataset is not None and len(names) > 1:
        raise typer.BadParameter(f"{dataset} can be the folder of one dataset, and {len(names)} are named", param_hint="--dataset")
    display, n_failed = Display(quiet=quiet, no_color=given.no_color), 0
    with closing(WorkerProcess(display.hear, given.threads)) as worker, display:
        for name, noted in runs.items():
            target = target_of(kept, noted, output, is_one=len(runs) == 1)
            display.hear({"event": "dataset", "name": noted["name"]})
            try:
                path = rewritten(worker, kept, noted, target, dataset)
            except FitcoreError as error:
                if len(runs) == 1:
                    raise
                n_failed += 1
                typer.echo(printable(f"{name}: {error}"), err=True)
                if json:
                    typer.echo(json_line({"name": noted["name"], "pipeline": noted["pipeline"], "error": str(error)}))
                continue
            typer.echo(json_line({"name": noted["name"], "pipeline": noted["pipeline"], "report": path}) if json else one_line(path))
    raise typer.Exit(SOME_FAILED if n_failed else DONE)
