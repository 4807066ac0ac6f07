"""fitcore fits models to data by chains of searches: nested samplers, stored results, each stage seeded by the one before.

This is the index of the package; everything public is here.
"""

from fitcore import backend as _backend  # isort: skip  (double precision before the first JAX array)

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
from fitcore.fit import Request, fit
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
del _backend

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
