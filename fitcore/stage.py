"""`Stage`, `Link` and `Pipeline`: a chain of searches as a description, checked when it is built. Running is in `fitcore.chain`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from fitcore.analysis.analysis import Analysis
from fitcore.errors import ConfigError
from fitcore.model import Model
from fitcore.naming import did_you_mean
from fitcore.proposal import Proposal
from fitcore.result import Result
from fitcore.search.base import Search

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAME_RULE = "letters, digits, '.', '_' and '-', at most 64, the first a letter or digit"
Results = Mapping[str, Result]


@dataclass(frozen=True, kw_only=True)
class Link:
    """What one stage takes from an earlier one, in words for the report.

    Parameters
    ----------
    source : name of the earlier stage.
    kind : ``"fixed"`` values, new ``"priors"``, or a ``"proposal"`` under the stage's own priors.
    what : which parameters.
    why : the reason.
    """

    source: str
    kind: Literal["fixed", "priors", "proposal"]
    what: str
    why: str


@dataclass(frozen=True)
class Stage:
    """One search of a chain.

    Parameters
    ----------
    name : unique in its pipeline.
    model : a Model, or ``f(results) -> Model``.
    analysis : an Analysis, or ``f(dataset, results) -> Analysis``.
    search : the search's settings.
    needs : names of the earlier stages whose results are used.
    proposal : None, the name of a needed stage whose posterior is the proposal, or ``f(results, model) -> Proposal | None``.
    links : what is taken from earlier stages and why.
    n_latents : latent variables are computed for so many draws of equal weight; None for every sample. Not part of the identity.

    ``results`` maps the names of the needed stages, and of those that they need, to their results. Functions are not part of the
    identity; what they return is.
    """

    name: str
    model: Model | Callable[[Results], Model]
    analysis: Analysis | Callable[[Any, Results], Analysis]
    search: Search
    needs: tuple[str, ...] = ()
    proposal: str | Callable[[Results, Model], Proposal | None] | None = None
    links: tuple[Link, ...] = ()
    n_latents: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.needs, str):
            raise ConfigError(f"Stage {self.name!r} has needs={self.needs!r}; give a tuple of names, such as ({self.needs!r},).")
        object.__setattr__(self, "needs", tuple(self.needs))
        object.__setattr__(self, "links", tuple(self.links))
        if not isinstance(self.name, str) or not NAME.fullmatch(self.name):
            raise ConfigError(f"The stage name {self.name!r} is not allowed: {NAME_RULE}.")
        sources = {link.source for link in self.links} | ({self.proposal} if isinstance(self.proposal, str) else set())
        if not sources <= set(self.needs):
            raise ConfigError(
                f"Stage {self.name!r} is linked to {sorted(sources - set(self.needs))}, not among its needs {list(self.needs)}. "
                "Add them to needs."
            )

    def build_model(self, results: Results) -> Model:
        """The stage's model, given the earlier results."""
        return self.model if isinstance(self.model, Model) else self.model(results)

    def build_analysis(self, dataset: Any, results: Results) -> Analysis:
        """The stage's analysis, given the dataset and the earlier results."""
        return self.analysis if isinstance(self.analysis, Analysis) else self.analysis(dataset, results)

    def build_proposal(self, results: Results, model: Model) -> Proposal | None:
        """The stage's proposal, given the earlier results; None for a cold search."""
        if self.proposal is None:
            return None
        if isinstance(self.proposal, str):
            return results[self.proposal].proposal(model)
        return self.proposal(results, model)

    def with_search(self, **settings: Any) -> Stage:
        """The same stage with other search settings.

        Raises
        ------
        ConfigError
            for a setting that the search does not have, with the nearest that it has.
        """
        names = list(self.search.identity())[2:]
        for key in settings:
            if key not in names:
                hint = did_you_mean(key, names)
                raise ConfigError(f"{type(self.search).__name__} of stage {self.name!r} has no setting {key!r}; it has {names}.{hint}")
        return replace(self, search=replace(self.search, **settings))


@dataclass(frozen=True)
class Pipeline:
    """Stages in an order in which each needs only earlier ones.

    Raises
    ------
    ConfigError
        for no stages, a name used twice, or a need that is not an earlier stage.
    """

    name: str
    stages: tuple[Stage, ...]

    def __init__(self, name: str, stages: Sequence[Stage]) -> None:
        if not isinstance(stages, Iterable) or not all(isinstance(stage, Stage) for stage in stages):
            raise ConfigError(f"Pipeline {name!r} has the stages {stages!r:.60}; give a list of fitcore.Stage.")
        object.__setattr__(self, "name", name)
        object.__setattr__(self, "stages", tuple(stages))
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ConfigError(f"The pipeline name {name!r} is not allowed: {NAME_RULE}.")
        if not self.stages:
            raise ConfigError(f"Pipeline {name!r} has no stages; give it at least one.")
        seen: list[str] = []
        for stage in self.stages:
            if stage.name in seen:
                raise ConfigError(f"Pipeline {name!r} has two stages called {stage.name!r}; names must be unique.")
            late = [need for need in stage.needs if need not in seen]
            if late:
                raise ConfigError(
                    f"Stage {stage.name!r} needs {late}, not earlier in pipeline {name!r} (before it: {seen}). "
                    "Move them up, or drop the need."
                )
            seen.append(stage.name)

    def __iter__(self) -> Iterator[Stage]:
        return iter(self.stages)

    @property
    def stage_names(self) -> tuple[str, ...]:
        """Names of the stages in order."""
        return tuple(stage.name for stage in self.stages)

    @property
    def needs(self) -> dict[str, list[str]]:
        """Names of the stages that each stage needs, by its name."""
        return {stage.name: list(stage.needs) for stage in self.stages}

    def with_searches(self, settings: Mapping[str, Mapping[str, Any]]) -> Pipeline:
        """The same chain with some settings of some stages' searches replaced; `ConfigError` with the nearest name for an unknown one."""
        replaced = {self.stage(name).name: dict(fields) for name, fields in settings.items()}
        return Pipeline(self.name, [stage.with_search(**replaced.get(stage.name, {})) for stage in self])

    def stage(self, name: str) -> Stage:
        """The stage of that name; `ConfigError` with the nearest name where there is none."""
        for stage in self.stages:
            if stage.name == name:
                return stage
        hint = did_you_mean(name, self.stage_names)
        raise ConfigError(f"Pipeline {self.name!r} has no stage {name!r}; it has {list(self.stage_names)}.{hint}")

    def stage_seed(self, seed: int, name: str) -> int:
        """A seed of its own for each stage, from the chain's seed and the stage's name."""
        return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode()).digest()[:4], "big")
