"""What a lens hands to other tools beside its samples: the object behind ``exports`` of the lens reports, as the flows see it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fitcore import ConfigError, Result
from fitcore.board import About
from fitcore.references import Reference
from pipelines.lens import meanings, references
from pipelines.lens.bands import Bands
from pipelines.lens.dataset import Imaging
from pipelines.lens.export_coolest import coolest_files
from pipelines.lens.export_ds9 import ds9_files
from pipelines.lens.export_fits import fits_file
from pipelines.lens.exported import Scene, scenes_of


class LensExports:
    """Images (``fits``), regions (``ds9``) and the lens model (``coolest``); labels, conventions and references of all exports."""

    formats = ("fits", "ds9", "coolest")
    conventions = meanings.CONVENTIONS

    def meaning(self, path: str) -> About:
        """Label, unit and words for a parameter or latent variable."""
        return meanings.meaning(path)

    def drawn(self, paths: Sequence[str]) -> tuple[str, ...]:
        """Which parameters a corner plot shows."""
        return meanings.drawn(paths)

    def references(self, spec: Any) -> list[Reference]:
        """What a stage with this recorded request used."""
        return references.references_of(spec)

    def files(
        self,
        form: str,
        dataset: Imaging | Bands,
        results: Mapping[str, Result],
        *,
        stem: str,
        folder: Path,
        about: Mapping[str, Any],
    ) -> dict[str, bytes]:
        """Files of one of ``formats`` of the last of ``results``; a further band has its name behind the stem.

        Parameters
        ----------
        folder : of the dataset, whose headers say where the sky is.
        about : plain facts for headers.

        Raises
        ------
        ConfigError
            for another format, or a mass that the format has no profile for.
        """
        if form not in self.formats:
            raise ConfigError(f"A lens has no format {form!r}; it has {list(self.formats)}.")
        scenes = scenes_of(dataset, results, folder)
        if form == "coolest":
            return coolest_files(scenes[""], list(results.values())[-1], stem, about)
        files: dict[str, bytes] = {}
        for band, scene in scenes.items():
            files |= _of_band(form, scene, f"{stem}-{band}" if band else stem, about)
        return files


def _of_band(form: str, scene: Scene, stem: str, about: Mapping[str, Any]) -> dict[str, bytes]:
    return {f"{stem}.fits": fits_file(scene, about)} if form == "fits" else ds9_files(scene, stem, about)


EXPORTS = LensExports()
