"""`fitcore simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import PipelineOption, RefusedError, application, chosen, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import catalogue, settings
else:
    catalogue, settings = later("catalogue", "settings")

app = application()


@app.command(epilog="Example: fitcore simulate example/lens --seed 1")
@guarded
def simulate(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of every random number.")] = 0,
    pipeline: PipelineOption = None,
) -> None:
    """Write a simulated dataset with its truth beside it."""
    entry = catalogue.find(chosen(settings.read(), pipeline=pipeline).pipeline)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(f"{folder} is there already and is not an empty folder; name a new one. Nothing was written.")
    try:
        written = entry.simulate(folder, seed)
    except OSError as error:
        raise RefusedError(f"{folder} cannot be written: {error}. Name another folder.") from error
    typer.echo(str(written))
