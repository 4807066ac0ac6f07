"""`fitcore export` and `fitcore bib`: which result is handed over, and into which files. What these look like is not known here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fitcore import ConfigError, FitcoreError, ModelError, Result, Store, __version__
from fitcore.board import About
from fitcore.chain import stored_results
from fitcore.exports import FORMATS, MASKING, Posterior, about_file, joined
from fitcore.model import Model
from fitcore.naming import did_you_mean
from fitcore.references import bibliography, references_of
from fitcore.samples import Samples
from fitcore.store import durable
from fitcore.store.chains import checked
from fitcore.stored import read_latents
from flows import catalogue
from flows.records import command_of, place_of, refuse_others

FOLDER = Path("exports")
"""Where files go that no folder is named for, each name in one of its own."""
MOST_TOLD = 5


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """One stage of one finished chain: the note of the run, the stage's name, and what its pipeline hands over itself."""

    store: Store
    note: Mapping[str, Any]
    stage: str
    exports: catalogue.Exports | None

    @property
    def stem(self) -> str:
        """Of the files' names; names of datasets and stages are plain in every store."""
        return f"{self.note['name']}-{self.stage}"

    @property
    def digest(self) -> str:
        """Of the stage's result."""
        return self.note["stages"][self.stage]


def chosen(store: Store, name: str, pipeline: str | None, stage: str | None) -> Chosen:
    """What a name, a pipeline and a stage mean.

    Raises
    ------
    ConfigError
        for a stage that there is not, with the nearest.
    """
    note = checked(store.run(Path(name).name, pipeline))
    stages = list(note["stages"])
    if stage is not None and stage not in stages:
        hint = did_you_mean(stage, stages)
        raise ConfigError(f"{note['name']} has no stage {stage!r} with pipeline {note['pipeline']!r}; it has {stages}.{hint}")
    return Chosen(store=store, note=note, stage=stage or stages[-1], exports=catalogue.exports(note["pipeline"]))


def formats_of(text: str, own: Sequence[str]) -> list[str]:
    """The names in a list with commas; ConfigError, with the nearest, for one that there is not."""
    known = [*FORMATS, *own]
    wanted = list(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not wanted:
        raise ConfigError(f"--to names no format; there are {', '.join(known)}. Several are separated by commas.")
    for word in wanted:
        if word not in known:
            hint = did_you_mean(word, known)
            raise ConfigError(f"There is no format {word!r}; there are {', '.join(known)}.{hint}")
    return wanted


def request_of(item: Chosen) -> dict[str, Any]:
    """What was asked of the chain, as `command_of` puts it into words."""
    note, extra = item.note, item.note["extra"]
    return {
        "dataset": extra.get("dataset") or note["name"],
        "pipeline": note["pipeline"],
        "store": str(item.store.path),
        "seed": extra["seed"],
        "settings": extra["settings"],
    }


def about(item: Chosen) -> dict[str, Any]:
    """Where an export comes from, as plain data."""
    note, record = item.note, item.store.read(item.digest)
    extra = note["extra"]
    return {
        "name": note["name"],
        "pipeline": note["pipeline"],
        "stage": item.stage,
        "digest": item.digest,
        "verdict": extra["summary"]["verdict"],
        "command": command_of(request_of(item)),
        "seed": extra["seed"],
        "exported_by": f"fitcore {__version__}",
        "made_by": f"fitcore {record.provenance.get('versions', {}).get('fitcore', 'of unknown version')}",
        "committed": str(record.provenance.get("committed", "")),
        "conventions": list(item.exports.conventions) if item.exports is not None else [],
    }


def posteriors(item: Chosen, told: Mapping[str, Any]) -> list[Posterior]:
    """The posterior with its latent variables; these alone as a second one where they belong to other samples."""
    record = item.store.read(item.digest)
    samples = Samples.from_arrays(record.arrays())
    try:
        model = Model.from_dict(record.attributes.get("model", {}))
    except ModelError:  # of a pipeline that is not installed here: the limits of its priors are then not known
        model = None
    parts = item.store.parts(item.digest)
    found = [part for part in parts if part == "latents" or part.startswith("latents-")]
    numbers = [part.rpartition("-")[2] for part in found]
    latents = [read_latents(item.store, item.digest, int(number) if number.isdigit() else None) for number in numbers]
    facts = {"log_evidence": samples.log_evidence, "log_evidence_error": samples.log_evidence_error}

    def posterior(stem: str, own: Samples, n_parameters: int) -> Posterior:
        meanings = {path: item.exports.meaning(path) for path in own.paths} if item.exports is not None else {}
        drawn = item.exports.drawn(own.paths) if item.exports is not None else ()
        size = {"n_samples": len(own), "effective_sample_size": own.effective_sample_size}
        return Posterior(
            stem=stem,
            samples=own,
            n_parameters=n_parameters,
            model=model,
            meanings=meanings or dict[str, About](),
            drawn=drawn,
            about={**told, **facts, **size},
        )

    whole, apart = samples, []
    for number, own in zip(numbers, latents, strict=True):
        together = joined(whole, own)
        if together is not None:
            whole = together
        elif own is not None:
            apart.append(posterior(f"{item.stem}-latents-{number}", own, 0))
    return [posterior(item.stem, whole, samples.n_dim), *apart]


def results_of(item: Chosen, folder: Path) -> tuple[Any, dict[str, Result]]:
    """The dataset in a folder, and the results of its chain up to the stage.

    Raises
    ------
    ConfigError
        when what is in the folder is not what was fitted.
    """
    entry, extra = catalogue.find(item.note["pipeline"]), item.note["extra"]
    dataset = entry.load(folder)
    pipeline = catalogue.chain_of(entry, dataset, extra["settings"])
    stages = list(item.note["stages"])
    upto = stages[: stages.index(item.stage) + 1]
    digests = {stage: item.note["stages"][stage] for stage in upto}
    refuse_others(pipeline, dataset, item.store, {**request_of(item), "dataset": str(folder), "digests": digests})
    results = stored_results(pipeline, dataset, item.store, seed=extra["seed"])
    return dataset, {stage: results[stage] for stage in upto}


def files_of(item: Chosen, wanted: Sequence[str], name: str, data: Path | None) -> tuple[dict[str, bytes], list[str]]:
    """All files of some formats by name, and what a person should be told."""
    told = about(item)
    files: dict[str, bytes] = {}
    notes: list[str] = []
    both = posteriors(item, told)
    for posterior in both:
        left_out = posterior.left_out
        masked = [form for form in wanted if form in FORMATS and form not in MASKING]
        if left_out and masked:
            notes.append(
                f"{posterior.stem}: {', '.join(left_out)} left out of {', '.join(masked)}, which know no masked values: NaN in samples"
            )
        for form in wanted:
            if form in FORMATS and not (form == "corner" and posterior.n_parameters == 0):
                files |= FORMATS[form](posterior)
    own = [form for form in wanted if form not in FORMATS]
    if own and item.exports is not None:
        folder = place_of(item.note, data or (Path(name) if Path(name).is_dir() else None))
        dataset, results = results_of(item, folder)
        for form in own:
            files |= item.exports.files(form, dataset, results, stem=item.stem, folder=folder, about=told)
    return {**files, **about_file(both)}, notes


def write(files: Mapping[str, bytes], folder: Path, *, is_forced: bool) -> list[Path]:
    """Write files into a folder, which is made; none of them where one is there with another content and ``is_forced`` is not said.

    Raises
    ------
    ConfigError
        when one is there already, or is no plain file.
    """
    paths = {folder / name: data for name, data in files.items()}
    there = [path for path, data in paths.items() if (path.exists() or path.is_symlink()) and not _is_content(path, data)]
    if there and not is_forced:
        more = f" and {len(there) - MOST_TOLD} more" if len(there) > MOST_TOLD else ""
        names = ", ".join(path.name for path in there[:MOST_TOLD])
        raise ConfigError(
            f"{folder} has {names}{more} already, with another content. --force writes them anew; --output names another folder."
        )
    if odd := [path for path in there if path.is_dir()]:
        raise ConfigError(f"{odd[0]} is a folder, so no file can be written there. --output names another folder.")
    with durable.explaining(folder, "writing an export"):
        durable.make_folder(folder)
        for path, data in paths.items():
            if path in there or not path.exists():
                durable.replace(path, data)
    return list(paths)


def _is_content(path: Path, data: bytes) -> bool:
    """Whether a plain file of just this content is there."""
    return path.is_file() and not path.is_symlink() and path.stat().st_size == len(data) and path.read_bytes() == data


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What became of one name: the files, notes for people, and the error where there are none."""

    name: str
    files: Sequence[Path] = ()
    notes: Sequence[str] = ()
    error: str = ""


def exported(
    store: Store,
    names: Sequence[str],
    to: str,
    *,
    stage: str | None = None,
    pipeline: str | None = None,
    folder: Path | None = None,
    data: Path | None = None,
    is_forced: bool = False,
) -> Iterator[Exported]:
    """Write the files of each name, one after the other; what is asked of all is checked before the first.

    Raises
    ------
    FitcoreError, OSError
        for what is asked wrongly, and where there is one name only; of several, one that cannot be exported harms no other.
    """
    items = {name: chosen(store, name, pipeline, stage) for name in dict.fromkeys(names)}
    wanted = {name: formats_of(to, () if item.exports is None else item.exports.formats) for name, item in items.items()}
    for name, item in items.items():
        own = item.note["name"]
        try:
            files, notes = files_of(item, wanted[name], name, data)
            paths = write(files, folder or FOLDER / own, is_forced=is_forced)
        except (FitcoreError, OSError) as error:
            if len(items) == 1:
                raise
            yield Exported(name=own, error=str(error))
        else:
            yield Exported(name=own, files=paths, notes=notes)


def bibliography_of(store: Store, names: Sequence[str], pipeline: str | None = None) -> str:
    """BibTeX of what all stages of some chains used."""
    found = []
    for name in dict.fromkeys(names):
        item = chosen(store, name, pipeline, None)
        for digest in item.note["stages"].values():
            record = store.read(digest)
            own = item.exports.references(record.spec) if item.exports is not None else []
            found += [*references_of(record.spec, record.provenance), *own]
    return bibliography(found)
