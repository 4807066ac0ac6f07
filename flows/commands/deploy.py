"""`fitcore deploy`."""

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


@app.command(epilog="Example: fitcore deploy deploy/nightly.yaml --dry-run")
@guarded
def deploy(
    file: Annotated[Path, typer.Argument(help="Settings file: store, pools, deployments, schedules.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would change; change nothing.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what an earlier deploy made and the file no longer has.")] = False,
    render: Annotated[bool, typer.Option("--render", help="Print the Kubernetes jobs of its deployments as YAML; ask no server.")] = False,
) -> None:
    """Make a Prefect server run what a settings file says: that of PREFECT_API_URL, or of 'fitcore server'. Again, it changes nothing."""
    known = settings.read() if render else lasting.preferred(settings.read())
    raise typer.Exit(deploying.deploy(file, known, is_dry=dry_run, is_pruning=prune, is_rendering=render))
