"""`fitcore tend`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import application, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import deploying, lasting, settings
else:
    deploying, lasting, settings = later("deploying", "lasting", "settings")

app = application()


@app.command(epilog="Example: fitcore tend deploy/nightly.yaml")
@guarded
def tend(file: Annotated[Path, typer.Argument(help="Settings file, as for deploy.")]) -> None:
    """Set back runs that were killed at an unlucky moment (process, worker or server), until it is told to end; see PREFECT_API_URL."""
    deploying.tend(file, lasting.preferred(settings.read()))
