"""`fitcore plan`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fitcore import Store
from flows import catalogue, settings
from flows.command import PipelineOption, SeedOption, SetOption, StoreOption, chosen, guarded, named
from flows.console import Display, json_line
from flows.launch import DONE, SOME_FAILED, load_all, searched
from flows.plan import Past, closing, lines, row


@guarded
def plan(
    datasets: Annotated[list[Path], typer.Argument(help="Dataset folders.")],
    pipeline: PipelineOption = None,
    store: StoreOption = None,
    seed: SeedOption = None,
    override: SetOption = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of text.")] = False,
) -> None:
    """What 'run' with the same words would do, and why: which stages are stored, what changed, how long it may take. Nothing is done."""
    given = settings.read()
    kept = Store(named(store), key=given.key, is_looking=True)
    choice = chosen(given, pipeline=pipeline, seed=seed)
    entry = catalogue.find(choice.pipeline)
    replaced, _ = searched(given, override or [], entry)
    plans, bad = load_all(datasets, entry, kept, Display(quiet=True, no_color=given.no_color))
    past, rows = Past.of(kept), []
    for each in plans:
        chain = catalogue.chain_of(entry, each.dataset, replaced)
        rows.append(found := row(entry, chain, each.dataset, str(each.path), kept, choice.seed, past))
        typer.echo(json_line(found) if json else "\n".join(lines(found)))
    if not json:
        typer.echo(closing(rows))
    raise typer.Exit(SOME_FAILED if bad else DONE)
