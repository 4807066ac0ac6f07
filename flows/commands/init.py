"""`fitcore init`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from fitcore import ConfigError
from fitcore.store import durable
from flows import settings
from flows.command import guarded
from flows.console import one_line
from flows.deploying import example, example_schema
from flows.settings_file import commented, schema_path


@guarded
def init(
    file: Annotated[Path | None, typer.Argument(help="File to write [default: the user's own, ~/.config/fitcore/settings.yaml].")] = None,
    is_schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema for editors instead; write nothing.")] = False,
    is_deploy: Annotated[bool, typer.Option("--deploy", help="The settings file of 'fitcore deploy' instead.")] = False,
) -> None:
    """Write a settings file with every field, its default and its meaning, all of it commented out. A file that is there stays."""
    schema = example_schema() if is_deploy else schema_path()
    if is_schema:
        typer.echo(schema.read_text(encoding="utf-8"), nl=False)
        return
    if is_deploy and file is None:
        raise ConfigError("The settings file of a deployment has no place of its own. Name the file to write, such as nightly.yaml.")
    target = settings.own_file() if file is None else file
    if target.is_dir():
        raise ConfigError(f"{target} is a folder. Name the file to write, such as {target / settings.FILE_NAME}.")
    try:
        durable.make_folder(target.absolute().parent)
        durable.create(target, (example(schema) if is_deploy else commented(schema)).encode(), 0o644)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(target):
            raise ConfigError(f"{target} is there already and was left as it is. Name another file, or remove it first.") from None
        raise ConfigError(f"{target} cannot be written: {error.strerror or error}. Name another file.") from error
    typer.echo(one_line(str(target)))
    if is_deploy:
        typer.echo(one_line(f"change it, then see what it would do: fitcore deploy {target} --dry-run"), err=True)
    elif file is not None and target.absolute() != settings.own_file():
        typer.echo(one_line(f"it is read where FITCORE_SETTINGS names it: export FITCORE_SETTINGS={target.absolute()}"), err=True)
