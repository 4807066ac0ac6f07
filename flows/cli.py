"""The command line ``fitcore``. Results go to standard output, everything else to standard error."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from fitcore import ConfigError, Store, StoreError
from fitcore.stored import summary_of
from flows import catalogue, deploying, doctor, early, lasting, settings, status, upkeep
from flows.command import PipelineOption, SeedOption, SetOption, StoreOption, chosen, existing, guarded, named, output
from flows.commands.init import init
from flows.commands.plan import plan
from flows.commands.report import report
from flows.console import Display, csv_text, json_line, one_line, printable, quantity, rows_table
from flows.launch import parse_duration, run_datasets
from flows.records import checked, row_of
from flows.server_commands import server

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help="Fit models to data by chains of searches."
)
app.add_typer(server, name="server")


@app.command(epilog="Example: fitcore run lenses/J0252+0039 --store results")
@guarded
def run(
    datasets: Annotated[list[Path], typer.Argument(help="Dataset folders.")],
    pipeline: PipelineOption = None,
    store: StoreOption = None,
    seed: SeedOption = None,
    override: SetOption = None,
    time_limit: Annotated[str | None, typer.Option("--time-limit", help="Save and end after so long, such as 90m; exit code 75.")] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", min=1, help="Datasets side by side [default: as many as cores and memory allow].")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="One JSON object a line instead of a table.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress.")] = False,
) -> None:
    """Run the chain on each dataset. Run again, it answers from the store; after a kill, it goes on."""
    given = settings.read()
    choice = chosen(given, pipeline=pipeline, seed=seed, store=store)
    limit = given.time_limit if time_limit is None else time_limit
    display = Display(quiet=quiet, no_color=given.no_color)
    code, rows = run_datasets(
        datasets,
        pipeline_name=choice.pipeline,
        store=Store(named(store), key=given.key),
        seed=choice.seed,
        overrides=override or [],
        settings=given,
        display=display,
        time_limit=None if limit is None else parse_duration(limit),
        jobs=jobs or given.jobs,
        origins=choice.origins,
    )
    if json:
        for row in rows:
            typer.echo(json_line(row))
    else:
        output().print(rows_table(rows))
    early.ignore()
    raise typer.Exit(code)


app.command(epilog="Example: fitcore init")(init)
app.command(epilog="Example: fitcore plan lenses/J0252+0039 --store results")(plan)


@app.command(name="status", epilog="Example: fitcore status --store results")
@guarded
def show_status(
    store: StoreOption = None, json: Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")] = False
) -> None:
    """What runs where and since when, what stands still, and what was left unfinished. The store alone is read, nothing is written."""
    kept = status.opened(named(store), settings.read().key)
    found = status.plain(kept, kept.activity())
    if json:
        typer.echo(json_line(found))
        return
    status.show(found, typer.echo, output())
    for fault in found["faults"]:
        typer.echo(one_line(f"damaged: {fault['path']}: {fault['message']}"), err=True)


@app.command(epilog="Example: fitcore table --store results --format csv")
@guarded
def table(store: StoreOption = None, form: Annotated[str, typer.Option("--format", help="text, csv or json.")] = "text") -> None:
    """All finished chains of a store."""
    rows = []
    for item in existing(store).runs():
        try:
            rows.append(row_of(checked(item)))
        except StoreError as error:
            typer.echo(printable(f"left out: {error}"), err=True)
    if form == "json":
        for row in rows:
            typer.echo(json_line(row))
    elif form == "csv":
        _write_csv(rows)
    elif form == "text":
        output().print(rows_table(rows))
    else:
        raise typer.BadParameter(f"{form!r} is not a format; text, csv and json are", param_hint="--format")


def _write_csv(rows: list[dict[str, Any]]) -> None:
    values = [{**row["parameters"], **row["latents"]} for row in rows]
    paths = list(dict.fromkeys(path for value in values for path in value))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    titles = [csv_text(f"{path}{end}") for path in paths for end in ("", "_lower", "_upper")]
    writer.writerow(["name", "pipeline", "verdict", "log_evidence", "n_calls", "seconds", *titles])
    for row, value in zip(rows, values, strict=True):
        stages = row["stages"]
        numbers = [value[path][key] if path in value else "" for path in paths for key in ("median", "lower", "upper")]
        totals = [stages[-1]["log_evidence"], sum(s["n_calls"] for s in stages), sum(s["seconds"] for s in stages)]
        writer.writerow([*(csv_text(row[key]) for key in ("name", "pipeline", "verdict")), *totals, *numbers])


@app.command(epilog="Example: fitcore show J0252+0039 --store results --stage power_law")
@guarded
def show(
    name: Annotated[str, typer.Argument(help="Name of a dataset, or its folder where that has the same name.")],
    store: StoreOption = None,
    stage: Annotated[str | None, typer.Option("--stage", help="One stage, with its model and search diagnostics.")] = None,
    json: Annotated[bool, typer.Option("--json", help="JSON instead of text.")] = False,
) -> None:
    """One chain in full, or one of its stages."""
    kept = existing(store)
    name = Path(name).name
    item = kept.run(name)
    row = row_of(checked(item))
    if stage is not None:
        names = [entry["name"] for entry in row["stages"]]
        if stage not in names:
            raise typer.BadParameter(f"{name} has no stage {stage!r}; it has {names}", param_hint="--stage")
        record = kept.read(item["stages"][stage])
        summary = summary_of(record.attributes).to_dict()
        row = {"name": name, "stage": stage, "digest": record.digest, **summary, "provenance": dict(record.provenance)}
    if json or stage is not None:
        typer.echo(json_line(row))
        return
    console = output()
    console.print(rows_table([row]))
    for title in ("parameters", "latents"):
        console.print(f"\n{title}", style="bold")
        for path, value in row[title].items():
            console.print(f"  {one_line(path):<32} {quantity(value)}", markup=False)
    if row["reasons"]:
        console.print(printable("\n" + "\n".join(row["reasons"])), markup=False)


app.command(epilog="Example: fitcore report J0252+0039 --store results")(report)


@app.command(epilog="Example: fitcore simulate example/lens --seed 1")
@guarded
def simulate(
    folder: Annotated[Path, typer.Argument(help="A new folder.")],
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of every random number.")] = 0,
    pipeline: PipelineOption = None,
) -> None:
    """Write a simulated dataset with its truth beside it."""
    entry = catalogue.find(chosen(settings.read(), pipeline=pipeline).pipeline)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already and is not an empty folder; name a new one. Nothing was written.")
    try:
        written = entry.simulate(folder, seed)
    except OSError as error:
        raise ConfigError(f"{folder} cannot be written: {error}. Name another folder.") from error
    typer.echo(str(written))


@app.command(epilog="Example: fitcore verify --store results")
@guarded
def verify(store: StoreOption = None) -> None:
    """Check every file of a store; exit code 1 when anything is damaged."""
    kept = existing(store)
    findings = kept.verify()
    for finding in findings:
        typer.echo(one_line(f"{'DAMAGED' if finding.is_damage else finding.kind}: {finding.path}: {finding.message}"))
    damaged = [finding for finding in findings if finding.is_damage]
    typer.echo(f"{kept.path}: {len(damaged)} damaged, {len(findings) - len(damaged)} other findings")
    raise typer.Exit(1 if damaged else 0)


@app.command(epilog="Example: fitcore gc --store results --remove")
@guarded
def gc(
    store: StoreOption = None, remove: Annotated[bool, typer.Option("--remove", help="Remove it; without this it is named only.")] = False
) -> None:
    """Name what no one needs: files of killed processes, checkpoints of finished results. Nothing of the last day is touched."""
    for line in upkeep.rubbish(existing(store), is_removing=remove):
        typer.echo(line)


@app.command(name="why-miss", epilog="Example: fitcore why-miss J0252+0039 lenses/J0252+0039 --store results")
@guarded
def why_miss(
    first: Annotated[str, typer.Argument(help="A name in the store, NAME:STAGE, the beginning of a digest, or a dataset's folder.")],
    second: Annotated[str, typer.Argument(help="What to compare it with; a folder means what would be asked now.")],
    store: StoreOption = None,
    pipeline: PipelineOption = None,
    seed: SeedOption = None,
) -> None:
    """Which fields of two requests differ: why one is not answered by the other's result."""
    kept = existing(store)
    given = settings.read()
    choice = chosen(given, pipeline=pipeline, seed=seed)
    one, other = (upkeep.specs_of(text, kept, choice.pipeline, choice.seed, given.searches) for text in (first, second))
    for line in upkeep.why_miss(one, other):
        typer.echo(line)


@app.command(epilog="Example: fitcore deploy deploy/nightly.yaml --dry-run")
@guarded
def deploy(
    file: Annotated[Path, typer.Argument(help="Settings file: store, pools, deployments, schedules.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what would change; change nothing.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Remove what an earlier deploy made and the file no longer has.")] = False,
    render: Annotated[bool, typer.Option("--render", help="Print the Kubernetes jobs of its deployments as YAML; ask no server.")] = False,
) -> None:
    """Make the Prefect server of PREFECT_API_URL, or that of 'fitcore server', run what a settings file says. Again, it changes nothing."""
    known = settings.read() if render else lasting.preferred(settings.read())
    raise typer.Exit(deploying.deploy(file, known, is_dry=dry_run, is_pruning=prune, is_rendering=render))


@app.command(epilog="Example: fitcore tend deploy/nightly.yaml")
@guarded
def tend(file: Annotated[Path, typer.Argument(help="Settings file, as for deploy.")]) -> None:
    """Set back, until it is told to end, runs of PREFECT_API_URL whose process, worker or server was killed at an unlucky moment."""
    deploying.tend(file, lasting.preferred(settings.read()))


@app.command(name="doctor", epilog="Example: fitcore doctor")
@guarded
def check_installation(store: StoreOption = None) -> None:
    """Check the installation, the device, the store and the server; each finding with its remedy."""
    findings = doctor.examine(lasting.preferred(settings.read()), named(store))
    for finding in findings:
        typer.echo(finding.text())
    raise typer.Exit(1 if any(not finding.is_good for finding in findings) else 0)


def main() -> None:
    """Entry point."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal that knows no ± must not cost the answer
    app()


if __name__ == "__main__":
    main()
