"""The base of all visualizers: hooks that draw through `paths`. The default draws nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fitcore.analysis.analysis import Analysis
    from fitcore.model import Model


class Visualizer:
    """Override either method to draw; write through ``paths`` only."""

    @staticmethod
    def visualize_before_fit(analysis: Analysis, paths: Any, model: Model) -> None:
        """Called once, before the search."""

    @staticmethod
    def visualize(analysis: Analysis, paths: Any, instance: Any, during_analysis: bool) -> None:
        """Called with the best instance after the search, and for quick updates during it."""
