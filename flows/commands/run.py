"""`fitcore run`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import (
    JsonLinesOption,
    PipelineOption,
    QuietOption,
    SeedOption,
    SetOption,
    StoreOption,
    application,
    chosen,
    guarded,
    named,
    output,
)
from flows.later import later

if TYPE_CHECKING:
    from flows import console, early, launch, opening, settings
else:
    console, early, launch, opening, settings = later("console", "early", "launch", "opening", "settings")

app = application()


@app.command(epilog="Example: fitcore run lenses/J0252+0039 --store results")
@guarded
def run(
    datasets: Annotated[list[Path], typer.Argument(help="Dataset folders.")],
    pipeline: PipelineOption = None,
    store: StoreOption = None,
    seed: SeedOption = None,
    override: SetOption = None,
    time_limit: Annotated[str | None, typer.Option("--time-limit", help="Save and end after so long, such as 90m; exit code 75.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Datasets side by side [default: as many as cores and memory allow].")
    ] = None,
    json: JsonLinesOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run the chain on each dataset. Run again, it answers from the store; after a kill, it goes on."""
    given = settings.read()
    choice = chosen(given, pipeline=pipeline, seed=seed, store=store)
    limit = given.time_limit if time_limit is None else time_limit
    display = console.Display(quiet=quiet, no_color=given.no_color)
    code, rows = launch.run_datasets(
        datasets,
        pipeline_name=choice.pipeline,
        store=opening.to_write(named(store), given.key),
        seed=choice.seed,
        overrides=override or [],
        settings=given,
        display=display,
        time_limit=None if limit is None else launch.parse_duration(limit),
        jobs=jobs or given.jobs,
        origins=choice.origins,
    )
    if json:
        for row in rows:
            typer.echo(console.json_line(row))
    else:
        output().print(console.rows_table(rows))
    early.ignore()
    raise typer.Exit(code)
