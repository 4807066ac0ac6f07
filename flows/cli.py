"""The command line ``fitcore``: which commands there are. Each is a module of `flows.commands`, imported when it is asked for."""

from __future__ import annotations

import importlib
import importlib.metadata
import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

COMMANDS = {
    "run": "Run the chain on each dataset.",
    "plan": "What 'run' with the same words would do, and why.",
    "status": "What runs where and since when.",
    "show": "One chain in full, or one of its stages.",
    "table": "All finished chains of a store.",
    "page": "One HTML page of all finished chains.",
    "report": "Write the HTML report of finished datasets again.",
    "export": "Files for other tools: posteriors, images, regions, lens models.",
    "bib": "BibTeX of what some results used.",
    "verify": "Check every file of a store.",
    "gc": "Name what no one needs, or remove it.",
    "why-miss": "Which fields of two requests differ.",
    "simulate": "Write a simulated dataset with its truth beside it.",
    "deploy": "Make a Prefect server run what a settings file says.",
    "tend": "Set back runs that were killed at an unlucky moment.",
    "server": "A Prefect server that lasts, for this user.",
    "init": "Write a settings file with every field, its default and its meaning.",
    "doctor": "Check the installation, the device, the store and the server.",
}


class Deferred(TyperCommand):
    """A command known by its name and what it does in a few words; its module is imported when it is called, or asked for its own help."""

    def whole(self) -> Any:
        """The command itself, or the group of commands."""
        module = importlib.import_module(f"flows.commands.{str(self.name).replace('-', '_')}")
        found = typer.main.get_command(module.app)
        found.name = self.name
        return found

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        """The context in which the command itself is run, completed or explained."""
        return self.whole().make_context(info_name, args, parent=parent, **extra)


class Commands(TyperGroup):
    """The group of all commands."""

    def __init__(self, **attributes: Any) -> None:
        deferred = {name: Deferred(name=name, help=words) for name, words in COMMANDS.items()}
        super().__init__(**{**attributes, "commands": deferred})


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Fit models to data by chains of searches.",
    epilog="Example: fitcore run lenses/J0252+0039 --store results. Help of a command: fitcore run --help",
)


def _tell_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"fitcore {importlib.metadata.version('fitcore')}")
        raise typer.Exit


@app.callback()
def fitcore(
    version: Annotated[bool, typer.Option("--version", callback=_tell_version, is_eager=True, help="Tell the version.")] = False,
) -> None:
    """Fit models to data by chains of searches."""


def main() -> None:
    """Entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no ± must not cost the answer
    app()


if __name__ == "__main__":
    main()
