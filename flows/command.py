"""What the commands have in common: options, errors in words with an exit code, warnings, and the store. Light to import, as they are."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows import completion
from flows.codes import INTERRUPTED_TWICE, WRONG_INPUT
from flows.later import later

if TYPE_CHECKING:
    from rich.console import Console

    from fitcore import Store
    from flows import console, opening, settings
else:
    console, opening, settings = later("console", "opening", "settings")

PipelineOption = Annotated[
    str | None,
    typer.Option(
        "--pipeline",
        autocompletion=completion.pipelines,
        help="Short name of an installed pipeline [default: lens, or the settings file's].",
    ),
]
SeedOption = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of every random number [default: 0, or the settings file's].")]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", autocompletion=completion.settings_of, help="Replace a search setting: stage.field=value.")
]
StoreOption = Annotated[Path | None, typer.Option("--store", help="Folder of the results [default: $FITCORE_STORE or ./results].")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
JsonLinesOption = Annotated[bool, typer.Option("--json", help="One JSON object a line instead of text.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")]


class RefusedError(Exception):
    """What was asked cannot be done; its text says why, and what to do."""


def application(**more: Any) -> typer.Typer:
    """A command or a group of commands, to be found by `flows.cli`."""
    return typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False, **more)


def guarded(command: Callable[..., Any]) -> Callable[..., Any]:
    """Turn fitcore's errors into one message and exit code 2, and a Ctrl-C into 130."""

    @functools.wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _show_warning
                return command(*args, **kwargs)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):  # whoever read the output has left; typer ends quietly
            raise
        except KeyboardInterrupt:  # outside of a run, whose handlers are its own
            raise typer.Exit(INTERRUPTED_TWICE) from None
        except Exception as error:
            if isinstance(error, (RefusedError, *opening.TOLD)):
                typer.echo(console.printable(f"error: {error}"), err=True)
            elif isinstance(error, OSError):
                typer.echo(
                    console.printable(f"error: {error}. Check its permissions and the disk, then run the same command again"), err=True
                )
            else:
                raise
            raise typer.Exit(WRONG_INPUT) from error

    return wrapped


def _show_warning(message: Warning | str, category: type[Warning], *rest: Any, **more: Any) -> None:
    typer.echo(console.printable(f"warning: {message}"), err=True)


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
    return opening.existing(named(store), settings.read().key)


def output() -> Console:
    """Standard output for tables: as wide as they need when it is not a terminal."""
    return console.output(no_color=settings.read().no_color)
