"""``python -m deploy FILE [--dry-run] [--prune] [--render]``, started by `fitcore deploy`: one line for each thing on standard output."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import httpx
import yaml
from prefect import get_client
from prefect.exceptions import PrefectException

from deploy.changes import LEFT, SAME, compare, line
from deploy.cluster import KubernetesPool
from deploy.pods import rendered
from deploy.schema import load
from deploy.server import Server, refused
from deploy.wanted import rooted, things_of
from fitcore import ConfigError, Store, StoreError
from flows.console import printable
from flows.server import NAMED_SECONDS, wait_until_ready
from flows.settings import read
from flows.troubles import ServerError

WRONG_INPUT = 2


def deploy(path: Path, *, is_dry: bool, is_pruning: bool) -> None:
    """Make the server as the file says.

    Raises
    ------
    ConfigError
        for a file that cannot be used, or a name that is taken.
    ServerError
        when no server is named, none answers, or it refuses.
    """
    settings = read()
    if settings.prefect_api_url is None:
        raise ServerError(
            "PREFECT_API_URL is not set, and no server of 'fitcore server start' runs here: deployments need a server that lasts. Start "
            "one by 'fitcore server start', or set the variable to the address of another, such as http://127.0.0.1:4200/api."
        )
    file = load(path)
    wanted = things_of(file, path.absolute().parent)
    wait_until_ready(settings.prefect_api_url, min(NAMED_SECONDS, settings.server_seconds))
    try:
        with get_client(sync_client=True) as client:
            server = Server(client, file.name)
            changes = compare(wanted, server.found())
            n_changed = 0
            for change in changes:
                is_kept = change.what == SAME or (change.what == LEFT and not is_pruning)
                if not is_dry and not is_kept:
                    server.apply(change)
                n_changed += not is_kept
                print(printable(line(change, is_dry=is_dry, is_pruning=is_pruning)), flush=True)
    except httpx.HTTPStatusError as error:
        raise ServerError(refused(settings.prefect_api_url, error)) from error
    except (httpx.HTTPError, PrefectException) as error:
        raise ServerError(
            f"The Prefect server at {settings.prefect_api_url} failed: {type(error).__name__}: {error}. What was told above is done; run "
            "the same command again."
        ) from error
    if not is_dry:
        make_store(Path(rooted(path.absolute().parent, file.store)))
    told = "would change" if is_dry else "changed"
    print(f"{len(changes)} things, {n_changed} {told}" if n_changed else f"{len(changes)} things, nothing to change")


def render(path: Path) -> None:
    """Print, as YAML documents, the job of a run of each deployment in a pool on Kubernetes; no server or cluster is asked.

    Raises
    ------
    ConfigError
        for a file that cannot be used, or has no such deployment.
    """
    file = load(path)
    things = {thing.name: thing.fields for thing in things_of(file, path.absolute().parent)}
    jobs = [
        rendered(things[fields["pool"]]["template"], name, fields["environment"])
        for name, fields in things.items()
        if "pool" in fields and isinstance(file.pools[fields["pool"]], KubernetesPool)
    ]
    if not jobs:
        raise ConfigError(f"The settings file {path} has no deployment in a pool of type kubernetes: there is no job to show.")
    print("---\n".join(yaml.safe_dump(job, sort_keys=False) for job in jobs), end="")


def make_store(store: Path) -> None:
    """Make the store where its disk is here: runs make none, so that a worker that lacks the disk says so."""
    if store.parent.is_dir():
        Store(store)
    else:
        print(
            printable(
                f"note: the store {store} cannot be made here, where {store.parent} is no folder; make its folder where the workers are"
            )
        )


def main() -> int:
    """Entry point; the exit code."""
    parser = argparse.ArgumentParser(prog="fitcore deploy")
    parser.add_argument("file", type=Path)
    parser.add_argument("--dry-run", action="store_true")
    parser.add_argument("--prune", action="store_true")
    parser.add_argument("--render", action="store_true")
    words = parser.parse_args()
    try:
        if words.render:
            render(words.file)
        else:
            deploy(words.file, is_dry=words.dry_run, is_pruning=words.prune)
    except (ConfigError, ServerError, StoreError) as error:
        print(printable(f"error: {error}"), file=sys.stderr)
        return WRONG_INPUT
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
