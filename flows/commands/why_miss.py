"""`fitcore why-miss`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows import completion
from flows.command import PipelineOption, SeedOption, StoreOption, application, chosen, existing, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import settings, upkeep
else:
    settings, upkeep = later("settings", "upkeep")

app = application()


@app.command(name="why-miss", epilog="Example: fitcore why-miss J0252+0039 lenses/J0252+0039 --store results")
@guarded
def why_miss(
    first: Annotated[
        str,
        typer.Argument(
            autocompletion=completion.results, help="A name in the store, NAME:STAGE, the beginning of a digest, or a dataset's folder."
        ),
    ],
    second: Annotated[
        str,
        typer.Argument(autocompletion=completion.results, help="What to compare it with; a folder means what would be asked now."),
    ],
    store: StoreOption = None,
    pipeline: PipelineOption = None,
    seed: SeedOption = None,
) -> None:
    """Which fields of two requests differ: why one is not answered by the other's result."""
    kept, given = existing(store), settings.read()
    choice = chosen(given, pipeline=pipeline, seed=seed)
    one, other = (upkeep.specs_of(text, kept, choice.pipeline, choice.seed, given.searches) for text in (first, second))
    for line in upkeep.why_miss(one, other):
        typer.echo(line)
