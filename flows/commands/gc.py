"""`fitcore gc`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import StoreOption, application, existing, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import upkeep
else:
    (upkeep,) = later("upkeep")

app = application()


@app.command(epilog="Example: fitcore gc --store results --remove")
@guarded
def gc(
    store: StoreOption = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove it; without this it is named only.")] = False,
) -> None:
    """Name what no one needs, or remove it: files of killed processes, checkpoints of finished results. What is of the last day stays."""
    for line in upkeep.rubbish(existing(store), is_removing=remove):
        typer.echo(line)
