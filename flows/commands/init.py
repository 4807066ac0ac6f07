"""`fitcore init`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.command import application, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import console, deploying, settings, settings_file, writing
else:
    console, deploying, settings, settings_file, writing = later("console", "deploying", "settings", "settings_file", "writing")

app = application()


@app.command(epilog="Example: fitcore init")
@guarded
def init(
    file: Annotated[Path | None, typer.Argument(help="File to write [default: the user's own, ~/.config/fitcore/settings.yaml].")] = None,
    is_schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema for editors instead; write nothing.")] = False,
    is_deploy: Annotated[bool, typer.Option("--deploy", help="The settings file of 'fitcore deploy' instead.")] = False,
) -> None:
    """Write a settings file with every field, its default and its meaning, all of it commented out. A file that is there stays."""
    schema = deploying.example_schema() if is_deploy else settings_file.schema_path()
    if is_schema:
        typer.echo(schema.read_text(encoding="utf-8"), nl=False)
        return
    target = writing.new_file(
        file, deploying.example(schema) if is_deploy else settings_file.commented(schema), has_own_place=not is_deploy
    )
    typer.echo(console.one_line(str(target)))
    if is_deploy:
        typer.echo(console.one_line(f"change it, then see what it would do: fitcore deploy {target} --dry-run"), err=True)
    elif target.absolute() != settings.own_file():
        typer.echo(console.one_line(f"it is read where FITCORE_SETTINGS names it: export FITCORE_SETTINGS={target.absolute()}"), err=True)
