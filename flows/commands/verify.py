"""`fitcore verify`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from flows.codes import DONE, SOME_FAILED
from flows.command import JsonOption, StoreOption, application, existing, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import console
else:
    (console,) = later("console")

app = application()


@app.command(epilog="Example: fitcore verify --store results")
@guarded
def verify(store: StoreOption = None, json: JsonOption = False) -> None:
    """Check every file of a store; exit code 1 when anything is damaged."""
    kept = existing(store)
    findings = kept.verify()
    damaged = [finding for finding in findings if finding.is_damage]
    if json:
        told = [{"kind": f.kind, "is_damage": f.is_damage, "path": str(f.path), "digest": f.digest, "message": f.message} for f in findings]
        typer.echo(console.json_line({"store": str(kept.path), "n_damaged": len(damaged), "findings": told}))
    else:
        for finding in findings:
            kind = "DAMAGED" if finding.is_damage else finding.kind
            typer.echo(console.one_line(f"{kind}: {finding.path}: {finding.message}"))
        typer.echo(f"{kept.path}: {len(damaged)} damaged, {len(findings) - len(damaged)} other findings")
    raise typer.Exit(SOME_FAILED if damaged else DONE)
