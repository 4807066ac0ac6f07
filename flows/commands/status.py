"""`fitcore status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from flows.command import JsonOption, StoreOption, application, guarded, named, output
from flows.later import later

if TYPE_CHECKING:
    from flows import console, settings, status
else:
    console, settings, status = later("console", "settings", "status")

app = application()


@app.command(epilog="Example: fitcore status --store results")
@guarded
def show_status(store: StoreOption = None, json: JsonOption = False) -> None:
    """What runs where and since when, what stands still, and what was left unfinished. The store alone is read, nothing is written."""
    kept = status.opened(named(store), settings.read().key)
    found = status.plain(kept, kept.activity())
    if json:
        typer.echo(console.json_line(found))
        return
    status.show(found, typer.echo, output())
    for fault in found["faults"]:
        typer.echo(console.one_line(f"damaged: {fault['path']}: {fault['message']}"), err=True)
