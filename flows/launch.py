"""`fitcore run`: what is in the store is answered at once; the rest goes to the flow process. No Prefect here."""

from __future__ import annotations

import contextlib
import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from fitcore import ConfigError, DataError, FitcoreError, Pipeline, Store, StoreError, stored_results
from fitcore.chain import outcome_of
from fitcore.store.chains import checked, row_of
from fitcore.stored import latents_part
from flows.catalogue import Entry, chain_of, check_stages, find
from flows.codes import DONE, INTERRUPTED, INTERRUPTED_TWICE, SOME_FAILED
from flows.console import Display
from flows.engines import check
from flows.lasting import preferred
from flows.pages import troubles_of, try_to_write
from flows.protocol import SERVER_LOST
from flows.records import report_path, unfinished_row
from flows.settings import FILE, OPTION, Settings
from flows.supervisor import supervise

MOST_LANES = 16
LANE_BYTES = 3e9
"""Memory that a worker may need."""
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """One dataset that can be read, and where its report goes."""

    path: Path
    dataset: Any
    report: Path


def most_lanes(threads: int) -> int:
    """Datasets side by side: one for each thread, as far as memory and one flow process allow."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with contextlib.suppress(OSError, ValueError):  # there is none, or it is "max"
        memory = min(memory, int(CONTAINER_LIMIT.read_text(encoding="ascii")))
    return max(1, min(threads, int(memory / LANE_BYTES), MOST_LANES))


def parse_duration(text: str) -> float:
    """Seconds of a duration such as 90, 90s, 15m, 1.5h.

    Raises
    ------
    ConfigError
        for anything else, and for none above zero.
    """
    text = text.strip()
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    number, factor = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1.0)
    try:
        seconds = float(number) * factor
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise ConfigError(f"--time-limit is {text!r}; it must be a number above 0 of seconds, or one with s, m or h, such as 90m.")
    return seconds


def _is_plain(text: str, value: float) -> bool:
    """Whether a number is what people take it for: YAML reads 010 as 8, and 1:30 as 90."""
    try:
        return float(text) == value
    except (ValueError, OverflowError):
        return False


def parse_settings(items: Sequence[str], entry: Entry) -> dict[str, dict[str, Any]]:
    """``stage.field=value`` items as a nested dict; the values are YAML scalars.

    Raises
    ------
    ConfigError
        for another form, an unknown stage, or a value that is not a number, string or boolean.
    """
    settings: dict[str, dict[str, Any]] = {}
    for item in items:
        key, equals, text = item.partition("=")
        stage, dot, field = key.strip().partition(".")
        if not (equals and dot and stage and field):
            raise ConfigError(f"--set {item!r} is not of the form stage.field=value, such as {entry.latent_stage}.n_eff=1000.")
        check_stages(entry, [stage], f"--set {item!r}: ")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            raise ConfigError(f"--set {item[:80]!r}: the value cannot be read: {error}. Give a number, a word, true or false.") from error
        if isinstance(value, int | float) and not isinstance(value, bool) and not _is_plain(text, value):
            raise ConfigError(f"--set {item[:80]!r}: the number must be a plain decimal one; this would be {value!r}.")
        if isinstance(value, str):
            with contextlib.suppress(ValueError):
                value = float(value)  # YAML 1.1 reads 1e-3 as a word
        if not isinstance(value, int | float | str | bool):
            raise ConfigError(f"--set {item!r}: the value is {value!r}; it must be a number, a word, true or false.")
        settings.setdefault(stage, {})[field] = value
    return settings


def searched(settings: Settings, overrides: Sequence[str], entry: Entry) -> tuple[dict[str, dict[str, Any]], dict[str, str]]:
    """Search settings to replace, by stage and field, and whether each is the settings file's or an option's, by ``stage.field``.

    What the settings file says of stages that a pipeline does not have is for other pipelines.
    """
    options = parse_settings(overrides, entry)
    replaced = {stage: dict(fields) for stage, fields in settings.searches.items() if stage in entry.stage_names}
    origins = {f"{stage}.{field}": FILE for stage, fields in replaced.items() for field in fields}
    for stage, fields in options.items():
        replaced.setdefault(stage, {}).update(fields)
        origins |= {f"{stage}.{field}": OPTION for field in fields}
    return replaced, origins


def stored_row(plan: Plan, entry: Entry, pipeline: Pipeline, store: Store, seed: int) -> dict[str, Any] | None:
    """The row of a chain that is in the store whole, with its latent variables and its report; None where anything is missing."""
    results = stored_results(pipeline, plan.dataset, store, seed=seed)
    if len(results) < len(pipeline.stages) or not plan.report.is_file():
        return None
    if store.lookup(results[entry.latent_stage].digest, latents_part(pipeline.stage(entry.latent_stage).n_latents)) is None:
        return None
    digests = {name: result.digest for name, result in results.items()}
    known = [run for run in store.runs(plan.dataset.name) if run["pipeline"] == entry.name]
    try:
        noted = checked(known[0]) if known else None
    except StoreError:  # it cannot be shown: the run goes through its stages, all of them stored, and notes it anew
        noted = None
    if noted is None or dict(noted["stages"]) != digests or noted["extra"]["seed"] != seed:
        return None
    row = row_of(noted)
    row["stages"] = [outcome_of(name, result, store).to_dict() for name, result in results.items()]
    row["report"] = str(plan.report)
    return row


def place_hint(path: Path) -> str:
    """What may have been meant by a path that holds no dataset: a neighbor of nearly that name, its folder, or the folders in it."""
    if path.is_file():
        return f" Did you mean its folder, {path.parent}?"
    try:
        if path.is_dir():
            inside = [item for item in sorted(path.iterdir()) if not item.name.startswith(".")]
            are_folders = bool(inside) and all(item.is_dir() for item in inside)
            return f" If each of its {len(inside)} folders is a dataset: fitcore run {path}/*" if are_folders else ""
        near = difflib.get_close_matches(path.name, [item.name for item in path.absolute().parent.iterdir()], 1)
    except OSError:
        return ""
    return f" Did you mean '{path.parent / near[0]}'?" if near else ""


def load_all(paths: Sequence[Path], entry: Entry, store: Store, display: Display) -> tuple[list[Plan], dict[str, dict[str, Any]]]:
    """The datasets that can be read, and the rows of those that cannot, by path.

    Raises
    ------
    FitcoreError
        when none can be read, or two have the same name.
    """
    plans: list[Plan] = []
    bad: dict[str, dict[str, Any]] = {}
    for path in paths:
        try:
            dataset = entry.load(path)
        except FitcoreError as error:
            told = f"{error}{place_hint(path)}"
            if len(paths) == 1 and told == str(error):
                raise
            if len(paths) == 1:
                raise DataError(told) from error
            display.say(f"{path}: {told}")
            bad[str(path)] = unfinished_row(path.name, entry.name, "failed", told)
            continue
        twin = next((plan for plan in plans if plan.dataset.name == dataset.name), None)
        if twin is not None:
            raise ConfigError(
                f"{twin.path} and {path} both have the name {dataset.name!r}; results are listed by name. "
                "Set another name in one's info.yaml."
            )
        plans.append(Plan(path=path, dataset=dataset, report=report_path(store, entry.name, dataset.name)))
    if not plans:
        raise ConfigError(f"None of the {len(paths)} datasets can be read; the reasons are above.")
    return plans, bad


def run_datasets(
    paths: Sequence[Path],
    *,
    pipeline_name: str,
    store: Store,
    seed: int,
    overrides: Sequence[str],
    settings: Settings,
    display: Display,
    time_limit: float | None = None,
    jobs: int | None = None,
    origins: Mapping[str, str] | None = None,
) -> tuple[int, list[dict[str, Any]]]:
    """Run the chain on each dataset, for ``time_limit`` seconds at most; exit code and rows in the order of ``paths``.

    ``jobs`` datasets run side by side, by default as many as cores and memory allow. ``origins`` says whether pipeline, store and seed are
    a default, the settings file's, the environment's or an option's.
    """
    check(settings.engine)
    entry = find(pipeline_name)
    replaced, where = searched(settings, overrides, entry)
    plans, rows = load_all(paths, entry, store, display)
    chains = {plan.path: chain_of(entry, plan.dataset, replaced) for plan in plans}
    waiting: list[Plan] = []
    for plan in plans:
        row = stored_row(plan, entry, chains[plan.path], store, seed)
        if row is None:
            waiting.append(plan)
        else:
            rows[str(plan.path)] = row
    interrupts = 0
    if waiting:
        store.check_writable()
        job = _job(waiting, entry, chains, store=store, seed=seed, replaced=replaced, origins={**(origins or {}), **where})
        lanes = min(len(waiting), jobs or most_lanes(settings.threads))
        job |= {"lanes": lanes, "threads": max(1, settings.threads // lanes)}
        n_done = len(rows)

        def hear(event: dict[str, Any]) -> None:
            nonlocal n_done
            display.hear(event)
            if event.get("event") == "ended":
                n_done += 1
                if event["status"] == "done" and len(paths) > 1:
                    display.finished(row_of(store.run(event["name"], entry.name)), n_done, len(paths))

        with display:
            interrupts, ended = supervise(job, preferred(settings), hear, display.say, time_limit=time_limit)
        is_over = interrupts > 0 or any(how.get("kind") == SERVER_LOST for how in ended.values())
        for plan in waiting:
            how = ended.get(plan.dataset.name)
            # whatever ended the flow, a chain that is whole in the store is done
            whole = stored_row(plan, entry, chains[plan.path], store, seed) if how is None or how["status"] != "done" else None
            rows[str(plan.path)] = whole or _row(plan, entry, store, how, interrupted=is_over)
    ordered = [rows[str(path)] for path in paths]
    if waiting and len(paths) > 1:
        written = try_to_write(store, display.say, troubles_of(ordered))
        if written is not None and not display.quiet:
            display.say(f"all results on one page: {written}")
    return _exit_code(ordered, interrupts), ordered


def _job(
    plans: Sequence[Plan],
    entry: Entry,
    chains: Mapping[Path, Pipeline],
    *,
    store: Store,
    seed: int,
    replaced: Mapping[str, Mapping[str, Any]],
    origins: Mapping[str, str],
) -> dict[str, Any]:
    datasets = [
        {
            "name": plan.dataset.name,
            "flow": {
                "dataset": str(plan.path.resolve()),
                "target": str(plan.report),
                "stages": list(chains[plan.path].stage_names),
                "needs": chains[plan.path].needs,
            },
        }
        for plan in plans
    ]
    common = {
        "pipeline": entry.name,
        "store": str(store.path),
        "seed": seed,
        "latent_stage": entry.latent_stage,
        "settings": replaced,
        "origins": dict(origins),
    }
    return {"datasets": datasets, "common": common}


def _row(plan: Plan, entry: Entry, store: Store, ended: Mapping[str, Any] | None, *, interrupted: bool) -> dict[str, Any]:
    if ended is not None and ended["status"] == "done":
        return row_of(store.run(plan.dataset.name, entry.name))
    if ended is not None and ended["kind"] == SERVER_LOST:
        return unfinished_row(plan.dataset.name, entry.name, "interrupted", str(ended["error"]))
    is_saved = ended is not None and ended["kind"] == "SearchInterruptedError"
    if is_saved or (interrupted and (ended is None or ended["kind"] == "WorkerDied")):
        return unfinished_row(plan.dataset.name, entry.name, "interrupted", "interrupted with its work saved; the same command goes on")
    error = "the flow process ended before it came to this dataset" if ended is None else str(ended["error"])
    return unfinished_row(plan.dataset.name, entry.name, "failed", error)


def _exit_code(rows: Sequence[Mapping[str, Any]], interrupts: int) -> int:
    statuses = {row["status"] for row in rows}
    if interrupts > 1:
        return INTERRUPTED_TWICE
    if "interrupted" in statuses:
        return INTERRUPTED
    return SOME_FAILED if "failed" in statuses else DONE
