"""What the commands have in common: the store's option, errors in words with an exit code, warnings, and the console of tables."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from fitcore import ConfigError, FitcoreError, Store
from flows import settings
from flows.console import printable
from flows.database import DatabaseError
from flows.launch import INTERRUPTED_TWICE, WRONG_INPUT
from flows.server import ServerError

PipelineOption = Annotated[
    str | None, typer.Option("--pipeline", help="Short name of an installed pipeline [default: lens, or the settings file's].")
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of every random number [default: 0, or the settings file's].")]
SetOption = Annotated[list[str] | None, typer.Option("--set", help="Replace a search setting: stage.field=value.")]
StoreOption = Annotated[Path | None, typer.Option("--store", help="Folder of the results [default: $FITCORE_STORE or ./results].")]


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn fitcore's errors into one message and exit code 2, and a Ctrl-C into 130."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return command(*args, **kwargs)
        except (FitcoreError, ServerError, DatabaseError, settings.SettingsError) as error:
            typer.echo(printable(f"error: {error}"), err=True)
            raise typer.Exit(WRONG_INPUT) from error
        except BrokenPipeError:  # whoever read the output has left; typer ends quietly
            raise
        except OSError as error:
            typer.echo(printable(f"error: {error}. Check its permissions and the disk, then run the same command again"), err=True)
            raise typer.Exit(WRONG_INPUT) from error
        except KeyboardInterrupt:  # outside of a run, whose handlers are its own
            raise typer.Exit(INTERRUPTED_TWICE) from None

    return wrapped


def _show_warning(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
    typer.echo(printable(f"warning: {message}"), err=True)


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Pipeline and seed in force, and the origins of these and of the store."""

    pipeline: str
    seed: int
    origins: dict[str, str]


def chosen(given: settings.Settings, *, pipeline: str | None = None, seed: int | None = None, store: Path | None = None) -> Choice:
    """What options say, and what the settings say where an option is not given."""
    asked = {"pipeline": pipeline, "seed": seed, "store": store}
    origins = {name: given.origins.get(name, settings.DEFAULT) if value is None else settings.OPTION for name, value in asked.items()}
    return Choice(pipeline=given.pipeline if pipeline is None else pipeline, seed=given.seed if seed is None else seed, origins=origins)


def named(store: Path | None) -> Path:
    """The folder of the store of an option."""
    return store if store is not None else settings.read().store


def existing(store: Path | None) -> Store:
    """The store of an option, to read: a mistyped name must not make a new one."""
    folder = named(store)
    if not folder.exists():
        raise ConfigError(f"There is no store {folder.absolute()}. Name one by --store or FITCORE_STORE; 'fitcore run' makes one.")
    return Store(folder, key=settings.read().key)


def output() -> Console:
    """Standard output for tables: as wide as they need when it is not a terminal."""
    console = Console(highlight=False, no_color=settings.read().no_color, soft_wrap=True)
    if not console.is_terminal:
        console.width = 400
    return console
