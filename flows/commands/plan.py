"""`fitcore plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.codes import DONE, SOME_FAILED
from flows.command import JsonLinesOption, PipelineOption, SeedOption, SetOption, StoreOption, application, chosen, guarded, named
from flows.later import later

if TYPE_CHECKING:
    from flows import catalogue, console, launch, opening, plan, settings
else:
    catalogue, console, launch, opening, plan, settings = later("catalogue", "console", "launch", "opening", "plan", "settings")

app = application()


@app.command(epilog="Example: fitcore plan lenses/J0252+0039 --store results")
@guarded
def tell(
    datasets: Annotated[list[Path], typer.Argument(help="Dataset folders.")],
    pipeline: PipelineOption = None,
    store: StoreOption = None,
    seed: SeedOption = None,
    override: SetOption = None,
    json: JsonLinesOption = False,
) -> None:
    """What 'run' with the same words would do, and why: what is stored, what changed, how long it may take. Nothing is done."""
    given = settings.read()
    kept = opening.to_look_at(named(store), given.key)
    choice = chosen(given, pipeline=pipeline, seed=seed)
    entry = catalogue.find(choice.pipeline)
    replaced, _ = launch.searched(given, override or [], entry)
    plans, bad = launch.load_all(datasets, entry, kept, console.Display(quiet=True, no_color=given.no_color))
    past, rows = plan.Past.of(kept), []
    for each in plans:
        chain = catalogue.chain_of(entry, each.dataset, replaced)
        rows.append(found := plan.row(entry, chain, each.dataset, str(each.path), kept, choice.seed, past))
        typer.echo(console.json_line(found) if json else "\n".join(plan.lines(found)))
    if not json:
        typer.echo(plan.closing(rows))
    raise typer.Exit(SOME_FAILED if bad else DONE)
