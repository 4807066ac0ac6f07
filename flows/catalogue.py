"""The catalogue of pipelines: found by short name among the installed entry points, never by a path in a file.

This is where Prefect's side and a science's side meet; `Entry` is all that the flows know of a pipeline.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from fitcore import ConfigError
from fitcore.board import PLAIN, About, Board
from fitcore.naming import did_you_mean

if TYPE_CHECKING:
    from fitcore import Pipeline, Result, StageOutcome
    from fitcore.references import Reference

GROUP, REPORTS = "fitcore.pipelines", "fitcore.reports"


class Entry(Protocol):
    """A pipeline as the flows see it."""

    name: str
    stage_names: tuple[str, ...]
    latent_stage: str

    def load(self, path: Path) -> Any:
        """The dataset in a folder; it has a ``name``. DataError for bad input, before any sampling."""
        ...

    def build(self, settings: Mapping[str, Mapping[str, Any]]) -> Pipeline:
        """The chain, with the settings of some stages' searches replaced."""
        ...

    def describe(self, dataset: Any, results: Mapping[str, Result]) -> dict[str, Any]:
        """What is printed of a finished chain.

        ``verdict``, ``reasons``, ``headline`` (name of the latent of first interest), ``parameters`` and ``latents`` (each: median, lower,
        upper at 1 sigma).
        """
        ...

    def simulate(self, target: Path, seed: int) -> Path:
        """Write a dataset with its truth beside it."""
        ...


@runtime_checkable
class ChoosingEntry(Protocol):
    """An entry whose chain depends on the dataset: it has one method more."""

    def build_for(self, dataset: Any, settings: Mapping[str, Mapping[str, Any]]) -> Pipeline:
        """As `Entry.build`, for this dataset; the entry's ``stage_names`` are those of all its chains."""
        ...


@runtime_checkable
class ShownEntry(Protocol):
    """An entry that says what its results mean and how they are shown together: it has one attribute more."""

    board: Board


def board(entry: Entry) -> Board:
    """What a pipeline says of itself to tables and campaign pages; `PLAIN` where it says nothing."""
    return entry.board if isinstance(entry, ShownEntry) else PLAIN


class Page(Protocol):
    """A pipeline's report, registered apart: drawing is costly to import, and a rerun does not need it."""

    def report(
        self,
        dataset: Any,
        results: Mapping[str, Result],
        outcomes: Sequence[StageOutcome],
        *,
        links: Sequence[Mapping[str, Any]],
        target: Path,
        context: Mapping[str, Any],
    ) -> None:
        """Write one self-contained HTML file.

        ``context`` has the command, the dataset's folder and the seed; ``why`` each stage was a hit or a run, in words; and ``exports``,
        the commands that write files for other tools, by what they write.
        """
        ...


class Exports(Protocol):
    """What a pipeline hands to other tools beside its samples: the attribute ``exports`` of its report, where it has one.

    ``formats`` are names for ``fitcore export --to``; ``conventions`` are sentences that go with every export.
    """

    formats: tuple[str, ...]
    conventions: tuple[str, ...]

    def meaning(self, path: str) -> About:
        """Label, unit and words for a parameter or latent variable."""
        ...

    def drawn(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Which parameters a figure shows."""
        ...

    def files(
        self, form: str, dataset: Any, results: Mapping[str, Result], *, stem: str, folder: Path, about: Mapping[str, Any]
    ) -> dict[str, bytes]:
        """Files of one of ``formats``, by name; each begins with ``stem``. ``folder`` is the dataset's, ``about`` goes into headers."""
        ...

    def references(self, spec: Any) -> list[Reference]:
        """What a stage with this recorded request used, beyond what fitcore itself does."""
        ...


def exports(name: str) -> Exports | None:
    """What the pipeline of that name hands over beside its samples; None where it is not installed, or has nothing."""
    for point in entry_points(group=REPORTS):
        if point.name == name:
            return getattr(point.load(), "exports", None)
    return None


def page(name: str) -> Page:
    """The report of the pipeline of that name; ConfigError where it has none."""
    for point in entry_points(group=REPORTS):
        if point.name == name:
            return point.load()
    raise ConfigError(f"Pipeline {name!r} has no report; register one in the entry-point group {REPORTS!r}.")


def chain_of(entry: Entry, dataset: Any, settings: Mapping[str, Mapping[str, Any]]) -> Pipeline:
    """The chain of a dataset, with the settings of some stages' searches replaced."""
    return entry.build_for(dataset, settings) if isinstance(entry, ChoosingEntry) else entry.build(settings)


def names() -> list[str]:
    """Short names of the installed pipelines."""
    return sorted(point.name for point in entry_points(group=GROUP))


def find(name: str) -> Entry:
    """The pipeline of that short name; ConfigError with the nearest name where there is none."""
    for point in entry_points(group=GROUP):
        if point.name == name:
            return point.load()
    hint = did_you_mean(name, names())
    raise ConfigError(f"There is no pipeline {name!r}; installed are {names()}.{hint}")


def check_stages(entry: Entry, names: Iterable[str], told: str = "") -> None:
    """Raise ConfigError, with the nearest name, where a pipeline has no stage of one of these names; ``told`` begins its text."""
    for stage in names:
        if stage not in entry.stage_names:
            hint = did_you_mean(stage, entry.stage_names)
            raise ConfigError(f"{told}pipeline {entry.name!r} has no stage {stage!r}; it has {list(entry.stage_names)}.{hint}")
