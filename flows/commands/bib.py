"""`fitcore bib`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from flows import completion
from flows.command import StoreOption, application, existing, guarded
from flows.later import later

if TYPE_CHECKING:
    from flows import exporting
else:
    (exporting,) = later("exporting")

app = application()


@app.command(epilog="Example: fitcore bib J0252+0039 --store results > used.bib")
@guarded
def bib(
    names: Annotated[
        list[str],
        typer.Argument(autocompletion=completion.results, help="Names of datasets, or their folders where these have the same names."),
    ],
    store: StoreOption = None,
    pipeline: Annotated[
        str | None, typer.Option("--pipeline", autocompletion=completion.pipelines, help="Of several [default: the one that ran last].")
    ] = None,
) -> None:
    """BibTeX of what some results used, each entry with a word why: libraries, searches, profiles. Of all stages of their chains."""
    typer.echo(exporting.bibliography_of(existing(store), names, pipeline), nl=False)
