"""What the lens pipelines say of themselves to tables and campaign pages: units, symbols, columns, and how a person grades a fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fitcore.board import About, Board, Grade
from pipelines.lens.meanings import LATENTS, meaning
from pipelines.lens.verdict import stage_to_blame

PICTURES = ("data", "model", "residual", "lensed source", "source")
"""The parts of the strip that `strip` draws."""
_TITLES = {
    "einstein_radius_effective": "Einstein radius",
    "einstein_radius_intermediate": "radius of the mass",
    "mass_in_einstein": "mass",
    "mass_axis_ratio": "axis ratio",
    "mass_pa_e_of_n": "position angle",
    "shear_magnitude": "shear",
    "shear_pa_e_of_n": "shear angle",
    "chi2_per_pixel_arc": "χ² in arcs",
    "source_half_light_radius": "source radius",
}
_MEASURES = {
    "chi2_per_pixel": About(title="χ²", latex=r"\chi^2", description="mean squared residual over noise of all used pixels"),
    "residual_peak": About(
        unit="sigma", title="residual peak", description="largest residual of a used pixel over its noise, by size, in the best fit"
    ),
}


def _known(path: str) -> About:
    """The meaning of a parameter or latent variable, as the exports tell it."""
    found, leaf = meaning(path), path.rpartition(".")[2]
    title = (_TITLES.get(path) or path.replace("_", " ")) if leaf == path else ""
    return replace(found, title=title)


def _blame(reasons: Sequence[str]) -> str:
    return stage_to_blame(list(reasons)) or ""


BOARD = Board(
    about={**_MEASURES, **{name: _known(name) for name in LATENTS}},
    otherwise=_known,
    columns=(
        "einstein_radius_effective",
        "mass_axis_ratio",
        "shear_magnitude",
        "slope",
        "chi2_per_pixel_arc",
        "residual_peak",
        "magnification",
    ),
    histograms=(
        "einstein_radius_effective",
        "mass_axis_ratio",
        "shear_magnitude",
        "slope",
        "chi2_per_pixel_arc",
        "residual_peak",
        "magnification",
        "seconds",
    ),
    grades=(
        Grade(word="success", key="s", title="Success"),
        Grade(word="failure: mask", key="m", title="Failure: mask"),
        Grade(word="failure: lens light", key="l", title="Failure: lens light"),
        Grade(word="failure: source", key="o", title="Failure: source"),
        Grade(word="unsure", key="u", title="Unsure"),
        Grade(word="double source plane", key="d", title="Double source plane"),
        Grade(word="several galaxies", key="g", title="Several galaxies"),
    ),
    pictures=PICTURES,
    blame=_blame,
)
