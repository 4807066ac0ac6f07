"""`fitcore server`: start, stop and status of the Prefect server that lasts, and the lines by which a shell talks to it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from flows import database, lasting_life, lasting_told, settings
from flows.command import guarded
from flows.console import json_line, one_line
from flows.lasting import ELSEWHERE, HOST, LOST, PORT, RUNNING, Place, Record, shell_lines
from flows.launch import DONE, SOME_FAILED
from flows.server import ServerError

server = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="A Prefect server that lasts, for this user on this machine. 'fitcore run' and 'fitcore deploy' find it by themselves.",
)
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@server.command(epilog="Example: fitcore server start")
@guarded
def start(
    database_url: Annotated[
        str | None, typer.Option("--database", help="postgresql://user:password@host:5432/name [default: $FITCORE_DATABASE, or SQLite].")
    ] = None,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help=f"[default: {PORT}]")] = None,
    host: Annotated[str | None, typer.Option("--host", help=f"Address to listen at [default: {HOST}, this machine alone].")] = None,
    json: JsonOption = False,
) -> None:
    """Start it, with a password of its own, and wait until it answers. Where it runs already, say so."""
    given = settings.read()
    place = Place.of(given)
    before = place.record() if place.folder.is_dir() else None
    if database.password_of(database_url):
        typer.echo(
            "warning: others on this machine can see a password that is on a command line while it runs; give FITCORE_DATABASE instead",
            err=True,
        )
    record, was_running = lasting_life.start(given, host=host, port=port, given=database_url or given.database)
    if before is not None and before.database != record.database:
        typer.echo(one_line(f"note: the database is {record.database}; the last time it was {before.database}"), err=True)
    if host is not None and host not in LOOPBACK:
        typer.echo(
            f"warning: whoever reaches port {record.port} of {host} and knows the password can run code on the workers, and what is sent "
            "is not encrypted: put TLS before it",
            err=True,
        )
    if json:
        typer.echo(json_line({**told(record), "was_running": was_running, "shell": shell_lines(place, record)}))
        return
    typer.echo(one_line(f"{'runs already' if was_running else 'started'}: {record.url}, process {record.process.pid}, {record.database}"))
    typer.echo("'fitcore run' and 'fitcore deploy' of this user find it. For Prefect's own commands and workers, in a shell:\n")
    typer.echo("\n".join(f"  {line}" for line in shell_lines(place, record)))
    typer.echo(
        f'\nor eval "$(fitcore server env)". Its pages: {record.url.removesuffix("/api")} (they ask for what is in {place.password})'
    )


@server.command(epilog="Example: fitcore server stop")
@guarded
def stop(json: JsonOption = False) -> None:
    """End it, and wait for its end. Exit code 1 where it had to be killed."""
    record, standing, was_killed = lasting_life.stop(settings.read())
    if json:
        typer.echo(json_line({"standing": standing, "was_killed": was_killed, **({} if record is None else told(record))}))
    elif standing == RUNNING and record is not None:
        how = "killed, since it did not end in time" if was_killed else "stopped"
        typer.echo(one_line(f"{how}: {record.url}, process {record.process.pid}"))
    elif standing == LOST and record is not None:
        typer.echo(f"not running: process {record.process.pid} ended without being stopped")
    else:
        typer.echo("not running")
    raise typer.Exit(SOME_FAILED if was_killed else DONE)


@server.command(epilog="Example: fitcore server status --json")
@guarded
def status(json: JsonOption = False) -> None:
    """Where it is, since when, on which database, with which workers and runs. Exit code 1 unless it runs and answers."""
    found = lasting_told.described(settings.read())
    typer.echo(json_line(found) if json else "\n".join(one_line(line) for line in lines_of(found)))
    raise typer.Exit(DONE if found["is_healthy"] else SOME_FAILED)


@server.command(epilog='Example: eval "$(fitcore server env)"')
@guarded
def env() -> None:
    """Lines for a shell: where the server is, and how its password is read from its file."""
    place = Place.of(settings.read())
    record = place.record() if place.folder.is_dir() else None
    if record is None or record.standing != RUNNING:
        raise ServerError("No server runs. Run 'fitcore server start'.")
    typer.echo("\n".join(shell_lines(place, record)))


def told(record: Record) -> dict[str, Any]:
    """The record as plain data, by the names of `status`."""
    return {
        "url": record.url,
        "pid": record.process.pid,
        "host": record.process.host,
        "since": record.since,
        "version": record.version,
        "database": record.database,
    }


def lines_of(found: dict[str, Any]) -> list[str]:
    """What `status` says."""
    if "pid" not in found:
        return ["not running; 'fitcore server start' starts it"]
    where = f"{found['url']}, process {found['pid']} on {found['host']}, since {found['since']}"
    if found["standing"] == LOST:
        return [f"not running: {where}, ended without being stopped; 'fitcore server start' starts it again. Its log: {found['log']}"]
    if found["standing"] == ELSEWHERE:
        return [f"unknown: {where}; whether it runs can be told on that machine alone"]
    if found["standing"] != RUNNING:
        return [f"not running: stopped at {found['ended']}; 'fitcore server start' starts it"]
    lines = [
        f"{'healthy' if found['is_healthy'] else 'running, and does not answer'}: {where}",
        f"Prefect {found['version']}, {found['database']}, log {found['log']}",
    ]
    if "fault" in found:
        return [*lines, f"workers and runs: not told ({found['fault']})"]
    if "workers" in found:
        pools = [f"{name} ({', '.join(names) or 'no worker'})" for name, names in found["workers"].items()]
        runs = [f"{number} {state}" for state, number in found["runs"].items()]
        lines += [f"pools: {', '.join(pools) or 'none'}", f"runs: {', '.join(runs) or 'none that wait, run or failed'}"]
    return lines
