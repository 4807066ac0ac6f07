"""`fitcore server`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows.codes import DONE, SOME_FAILED
from flows.command import JsonOption, RefusedError, application, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import console, database, lasting, lasting_life, lasting_told, server_words, settings
else:
    console, database, lasting, lasting_life, lasting_told, server_words, settings = later(
        "console", "database", "lasting", "lasting_life", "lasting_told", "server_words", "settings"
    )

app = application(
    no_args_is_help=True,
    help="A Prefect server that lasts, for this user on this machine. 'fitcore run' and 'fitcore deploy' find it by themselves.",
)


@app.command(epilog="Example: fitcore server start")
@guarded
def start(
    database_url: Annotated[
        str | None, typer.Option("--database", help="postgresql://user:password@host:5432/name [default: $FITCORE_DATABASE, or SQLite].")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help="[default: 4200]")] = None,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen at [default: 127.0.0.1, this machine alone].")] = None,
    json: JsonOption = False,
) -> None:
    """Start it, with a password of its own, and wait until it answers. Where it runs already, say so."""
    given = settings.read()
    place = lasting.Place.of(given)
    before = place.record() if place.folder.is_dir() else None
    if database.password_of(database_url):
        typer.echo(
            "warning: others on this machine can see a password that is on a command line while it runs; give FITCORE_DATABASE instead",
            err=True,
        )
    record, was_running = lasting_life.start(given, host=host, port=port, given=database_url or given.database)
    if before is not None and before.database != record.database:
        typer.echo(console.one_line(f"note: the database is {record.database}; the last time it was {before.database}"), err=True)
    if host is not None and host not in server_words.LOOPBACK:
        typer.echo(
            f"warning: whoever reaches port {record.port} of {host} and knows the password can run code on the workers, and what is sent "
            "is not encrypted: put TLS before it",
            err=True,
        )
    if json:
        typer.echo(
            console.json_line({**server_words.told(record), "was_running": was_running, "shell": lasting.shell_lines(place, record)})
        )
        return
    typer.echo(
        console.one_line(f"{'runs already' if was_running else 'started'}: {record.url}, process {record.process.pid}, {record.database}")
    )
    typer.echo("'fitcore run' and 'fitcore deploy' of this user find it. For Prefect's own commands and workers, in a shell:\n")
    typer.echo("\n".join(f"  {line}" for line in lasting.shell_lines(place, record)))
    typer.echo(
        f'\nor eval "$(fitcore server env)". Its pages: {record.url.removesuffix("/api")} (they ask for what is in {place.password})'
    )


@app.command(epilog="Example: fitcore server stop")
@guarded
def stop(json: JsonOption = False) -> None:
    """End it, and wait for its end. Exit code 1 where it had to be killed."""
    record, standing, was_killed = lasting_life.stop(settings.read())
    if json:
        typer.echo(
            console.json_line({"standing": standing, "was_killed": was_killed, **({} if record is None else server_words.told(record))})
        )
    elif standing == lasting.RUNNING and record is not None:
        how = "killed, since it did not end in time" if was_killed else "stopped"
        typer.echo(console.one_line(f"{how}: {record.url}, process {record.process.pid}"))
    elif standing == lasting.LOST and record is not None:
        typer.echo(f"not running: process {record.process.pid} ended without being stopped")
    else:
        typer.echo("not running")
    raise typer.Exit(SOME_FAILED if was_killed else DONE)


@app.command(epilog="Example: fitcore server status --json")
@guarded
def status(json: JsonOption = False) -> None:
    """Where it is, since when, on which database, with which workers and runs. Exit code 1 unless it runs and answers."""
    found = lasting_told.described(settings.read())
    typer.echo(console.json_line(found) if json else "\n".join(console.one_line(line) for line in server_words.lines_of(found)))
    raise typer.Exit(DONE if found["is_healthy"] else SOME_FAILED)


@app.command(epilog='Example: eval "$(fitcore server env)"')
@guarded
def env() -> None:
    """Lines for a shell: where the server is, and how its password is read from its file."""
    place = lasting.Place.of(settings.read())
    record = place.record() if place.folder.is_dir() else None
    if record is None or record.standing != lasting.RUNNING:
        raise RefusedError("No server runs. Run 'fitcore server start'.")
    typer.echo("\n".join(lasting.shell_lines(place, record)))
