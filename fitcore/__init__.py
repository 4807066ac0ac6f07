"""fitcore fits models to data by chains of searches: nested samplers, stored results, each stage seeded by the one before.

This is the index of the package; everything public is here. A name is imported when it is first used, so that reading a table of results
waits for no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from fitcore import precision as _precision  # before the first JAX array, whoever makes it

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.analysis.combined import CombinedAnalysis
    from fitcore.analysis.latent import LatentWarning
    from fitcore.analysis.visualizer import Visualizer
    from fitcore.board import About, Board, Grade
    from fitcore.chain import LatentOutcome, StageOutcome, run_latents, run_pipeline, run_stage, stored_results, walk
    from fitcore.errors import (
        CanonicalFormError,
        ConfigError,
        CorruptResultError,
        DataError,
        FitcoreError,
        LeaseHeldError,
        LikelihoodError,
        LinkError,
        ModelError,
        NonFiniteLikelihoodError,
        NotConvergedError,
        PrecisionError,
        PriorError,
        ResultNotFoundError,
        SchemaVersionError,
        SearchError,
        SearchInterruptedError,
        SpecError,
        StoreError,
    )
    from fitcore.fitting import Request, fit
    from fitcore.hooks import HookWarning, rerun_hooks
    from fitcore.identity import canonical, differences, digest
    from fitcore.limits import Limits
    from fitcore.model import (
        Leaf,
        Less,
        LogNormal,
        LogUniform,
        Model,
        Normal,
        Prior,
        Tied,
        TruncatedNormal,
        Uniform,
        component,
        leaf,
        project,
    )
    from fitcore.proposal import Proposal
    from fitcore.result import Result
    from fitcore.samples import Samples
    from fitcore.search.base import Problem, Search, SearchOutcome
    from fitcore.search.dynesty import Dynesty
    from fitcore.search.importance import Importance
    from fitcore.search.mixture import Mixture
    from fitcore.search.multistart import MultiStart
    from fitcore.search.nautilus import Nautilus
    from fitcore.search.nuts import NUTS
    from fitcore.stage import Link, Pipeline, Stage
    from fitcore.store import Store
    from fitcore.stored import read_result
    from fitcore.summary import SamplesSummary
    from fitcore.table import Table

__version__ = "0.1.0"
del _precision

__all__ = [  # noqa: RUF022 - plainly sorted, as its test has it
    "About",
    "Analysis",
    "Board",
    "CanonicalFormError",
    "CombinedAnalysis",
    "ConfigError",
    "CorruptResultError",
    "DataError",
    "Dynesty",
    "FitcoreError",
    "Grade",
    "HookWarning",
    "Importance",
    "LatentOutcome",
    "LatentWarning",
    "Leaf",
    "LeaseHeldError",
    "Less",
    "LikelihoodError",
    "Limits",
    "Link",
    "LinkError",
    "LogNormal",
    "LogUniform",
    "Mixture",
    "Model",
    "ModelError",
    "MultiStart",
    "NUTS",
    "Nautilus",
    "NonFiniteLikelihoodError",
    "Normal",
    "NotConvergedError",
    "Pipeline",
    "PrecisionError",
    "Prior",
    "PriorError",
    "Problem",
    "Proposal",
    "Request",
    "Result",
    "ResultNotFoundError",
    "Samples",
    "SamplesSummary",
    "SchemaVersionError",
    "Search",
    "SearchError",
    "SearchInterruptedError",
    "SearchOutcome",
    "SpecError",
    "Stage",
    "StageOutcome",
    "Store",
    "StoreError",
    "Table",
    "Tied",
    "TruncatedNormal",
    "Uniform",
    "Visualizer",
    "canonical",
    "component",
    "differences",
    "digest",
    "fit",
    "leaf",
    "project",
    "read_result",
    "rerun_hooks",
    "run_latents",
    "run_pipeline",
    "run_stage",
    "stored_results",
    "walk",
]

_MODULES = {
    "analysis.analysis": ("Analysis",),
    "analysis.combined": ("CombinedAnalysis",),
    "analysis.latent": ("LatentWarning",),
    "analysis.visualizer": ("Visualizer",),
    "board": (
        "About",
        "Board",
        "Grade",
    ),
    "chain": (
        "LatentOutcome",
        "StageOutcome",
        "run_latents",
        "run_pipeline",
        "run_stage",
        "stored_results",
        "walk",
    ),
    "errors": (
        "CanonicalFormError",
        "ConfigError",
        "CorruptResultError",
        "DataError",
        "FitcoreError",
        "LeaseHeldError",
        "LikelihoodError",
        "LinkError",
        "ModelError",
        "NonFiniteLikelihoodError",
        "NotConvergedError",
        "PrecisionError",
        "PriorError",
        "ResultNotFoundError",
        "SchemaVersionError",
        "SearchError",
        "SearchInterruptedError",
        "SpecError",
        "StoreError",
    ),
    "fitting": (
        "Request",
        "fit",
    ),
    "hooks": (
        "HookWarning",
        "rerun_hooks",
    ),
    "identity": (
        "canonical",
        "differences",
        "digest",
    ),
    "limits": ("Limits",),
    "model": (
        "Leaf",
        "Less",
        "LogNormal",
        "LogUniform",
        "Model",
        "Normal",
        "Prior",
        "Tied",
        "TruncatedNormal",
        "Uniform",
        "component",
        "leaf",
        "project",
    ),
    "proposal": ("Proposal",),
    "result": ("Result",),
    "samples": ("Samples",),
    "search.base": (
        "Problem",
        "Search",
        "SearchOutcome",
    ),
    "search.dynesty": ("Dynesty",),
    "search.importance": ("Importance",),
    "search.mixture": ("Mixture",),
    "search.multistart": ("MultiStart",),
    "search.nautilus": ("Nautilus",),
    "search.nuts": ("NUTS",),
    "stage": (
        "Link",
        "Pipeline",
        "Stage",
    ),
    "store": ("Store",),
    "stored": ("read_result",),
    "summary": ("SamplesSummary",),
    "table": ("Table",),
}
_PLACES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module 'fitcore' has no attribute {name!r}. What there is: fitcore.__all__")
    return getattr(import_module(f"fitcore.{_PLACES[name]}"), name)


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
