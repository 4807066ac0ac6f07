"""The pipeline `quick`: the basin and the verdict, in seconds. Its stage is that of `lens`, so that `lens` finds it in the store."""

from __future__ import annotations

from typing import Any

from fitcore import Pipeline
from pipelines.lens.stages import lens_pipeline

FIRST = "basin"


def quick_pipeline(searches: dict[str, dict[str, Any]] | None = None) -> Pipeline:
    """The first stage of `lens` alone, with settings of its search replaced; `ConfigError` for a stage or a setting that there is not."""
    return Pipeline("quick", [lens_pipeline().stage(FIRST)]).with_searches(searches or {})
