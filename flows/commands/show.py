"""`fitcore show`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows import completion
from flows.command import JsonOption, StoreOption, application, existing, guarded, output
from flows.later import later

if TYPE_CHECKING:
    from flows import console, showing
else:
    console, showing = later("console", "showing")

app = application()


@app.command(epilog="Example: fitcore show J0252+0039 --store results --stage power_law")
@guarded
def show(
    name: Annotated[
        str, typer.Argument(autocompletion=completion.results, help="Name of a dataset, or its folder where that has the same name.")
    ],
    store: StoreOption = None,
    stage: Annotated[
        str | None,
        typer.Option(
            "--stage", autocompletion=completion.stages, help="One stage, with its model, search diagnostics and settings, as JSON."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """One chain in full, or one of its stages."""
    kept, name = existing(store), Path(name).name
    if json or stage is not None:
        typer.echo(console.json_line(showing.whole(kept, name) if stage is None else showing.one_stage(kept, name, stage)))
        return
    showing.show(showing.whole(kept, name), output())
