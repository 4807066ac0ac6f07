"""`fitcore doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from flows.codes import DONE, SOME_FAILED
from flows.command import JsonOption, StoreOption, application, guarded, named
from flows.later import later

if TYPE_CHECKING:
    from flows import console, doctor, lasting, settings
else:
    console, doctor, lasting, settings = later("console", "doctor", "lasting", "settings")

app = application()


@app.command(epilog="Example: fitcore doctor")
@guarded
def check_installation(store: StoreOption = None, json: JsonOption = False) -> None:
    """Check the installation, the device, the store and the server; each finding with its remedy."""
    findings = doctor.examine(lasting.preferred(settings.read()), named(store))
    is_good = all(finding.is_good for finding in findings)
    if json:
        typer.echo(console.json_line({"is_good": is_good, "findings": [finding.to_dict() for finding in findings]}))
    else:
        for finding in findings:
            typer.echo(console.one_line(finding.text()))
    raise typer.Exit(DONE if is_good else SOME_FAILED)
