"""New files that `fitcore init` writes; what is there already is never touched."""

from __future__ import annotations

import os
from pathlib import Path

from fitcore import ConfigError
from fitcore.store import durable
from flows import settings


def new_file(file: Path | None, text: str, *, has_own_place: bool) -> Path:
    """Write a text to a new file, or to the user's own settings file where none is named and that is its place.

    Raises
    ------
    ConfigError
        when it is there, cannot be written, or has to be named.
    """
    if file is None and not has_own_place:
        raise ConfigError("The settings file of a deployment has no place of its own. Name the file to write, such as nightly.yaml.")
    target = settings.own_file() if file is None else file
    if target.is_dir():
        raise ConfigError(f"{target} is a folder. Name the file to write, such as {target / settings.FILE_NAME}.")
    try:
        durable.make_folder(target.absolute().parent)
        durable.create(target, text.encode(), 0o644)
    except OSError as error:
        if isinstance(error, FileExistsError) and os.path.lexists(target):
            raise ConfigError(f"{target} is there already and was left as it is. Name another file, or remove it first.") from None
        raise ConfigError(f"{target} cannot be written: {error.strerror or error}. Name another file.") from error
    return target
