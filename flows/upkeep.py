"""What `fitcore gc` and `fitcore why-miss` say. Nothing is computed, and nothing is written but what gc is told to remove."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fitcore import ConfigError, Store, canonical
from fitcore.chain import asked
from fitcore.identity import form_differences
from flows import catalogue
from flows.console import one_line

Specs = dict[str, tuple[str, Any]]  # by stage: digest and canonical form of what was asked
ONE = "the result"


def rubbish(store: Store, *, is_removing: bool) -> Iterator[str]:
    """One line for each thing that no one needs, removed or not, and a last one with the sum."""
    findings = store.collect_garbage(dry_run=not is_removing)
    for finding in findings:
        yield one_line(f"{'removed' if is_removing else 'rubbish'}: {finding.path}: {finding.message} ({finding.size / 1e6:.2f} MB)")
    told = "removed" if is_removing else "to remove; --remove does it"
    yield f"{store.path}: {len(findings)} things, {sum(finding.size for finding in findings) / 1e6:.1f} MB {told}"


def specs_of(text: str, store: Store, pipeline: str, seed: int, searches: Mapping[str, Mapping[str, Any]] | None = None) -> Specs:
    """What a word of the user means: a dataset's folder as it would be asked now, a name in the store, or the beginning of a digest.

    ``searches`` are the search settings that the settings file replaces.

    Raises
    ------
    ConfigError
        when it is none of these, or more than one.
    """
    name, _, stage = text.partition(":")
    if Path(name).is_dir():
        entry = catalogue.find(pipeline)
        dataset = entry.load(Path(name))
        replaced = {stage: fields for stage, fields in (searches or {}).items() if stage in entry.stage_names}
        requests = asked(catalogue.chain_of(entry, dataset, replaced), dataset, store, seed=seed)
        found = {key: (request.digest, canonical(request.specification)) for key, request in requests.items()}
    elif own := store.runs(name):
        stages = max([run for run in own if run["pipeline"] == pipeline] or own, key=lambda run: run["recorded"])["stages"]
        found = {key: (digest, store.read(digest).spec) for key, digest in stages.items()}
    else:
        digests = store.digests(name) if len(name) >= 4 else []
        if len(digests) != 1:
            known = ", ".join(sorted({run["name"] for run in store.runs()})[:20]) or "none"
            raise ConfigError(
                f"{text!r} is no folder, no name in the store {store.path} (it has: {known}), and the beginning of {len(digests)} digests "
                "there; it must be one of these, four characters of a digest at least."
            )
        found = {ONE: (digests[0], store.read(digests[0]).spec)}
    if stage and stage not in found:
        raise ConfigError(f"{name} has no stage {stage!r} that can be told; it has: {', '.join(found)}.")
    return {stage: found[stage]} if stage else found


def why_miss(first: Specs, second: Specs) -> Iterator[str]:
    """Which fields differ between two requests, or between the stages that two chains have in common."""
    pairs = [(key, first[key], second[key]) for key in first if key in second]
    if not pairs and 1 in (len(first), len(second)):
        (key,), other = (list(first), second) if len(first) == 1 else (list(second), first)
        raise ConfigError(f"{key} is to be compared with one of {', '.join(other)}: name it as NAME:STAGE.")
    if not pairs:
        raise ConfigError(f"The two have no stage in common: {', '.join(first)}; {', '.join(second)}.")
    for key, (one, form), (other, other_form) in pairs:
        yield f"{key}: {one[:12]} and {other[:12]}{' are the same request' if one == other else ' differ in'}"
        yield from (one_line(f"  {line}") for line in form_differences(form, other_form))
