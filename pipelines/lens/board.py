"""What the lens pipelines say of themselves to tables and campaign pages: units, symbols, columns, and how a person grades a fit."""

from __future__ import annotations

from collections.abc import Sequence

from fitcore.board import About, Board, Grade
from pipelines.lens.latents import LATENTS
from pipelines.lens.verdict import stage_to_blame

PICTURES = ("data", "model", "residual", "lensed source", "source")
"""The parts of the strip that `strip` draws."""
_NAMED = {
    "einstein_radius_effective": ("Einstein radius", r"\theta_\mathrm{E}"),
    "einstein_radius_intermediate": ("radius of the mass", r"\theta_\mathrm{E}^\mathrm{mass}"),
    "mass_in_einstein": ("mass", r"M_\mathrm{E}"),
    "mass_axis_ratio": ("axis ratio", r"q"),
    "mass_pa_e_of_n": ("position angle", r"\phi"),
    "slope": ("slope", r"\gamma"),
    "shear_magnitude": ("shear", r"\gamma_\mathrm{ext}"),
    "shear_pa_e_of_n": ("shear angle", r"\phi_\mathrm{ext}"),
    "magnification": ("magnification", r"\mu"),
    "chi2_per_pixel_arc": ("χ² in arcs", r"\chi^2_\mathrm{arc}"),
    "source_half_light_radius": ("source radius", r"r_\mathrm{half}"),
}
_MEASURES = {
    "chi2_per_pixel": About(title="χ²", latex=r"\chi^2", description="mean squared residual over noise of all used pixels"),
    "residual_peak": About(
        unit="sigma", title="residual peak", description="largest residual of a used pixel over its noise, by size, in the best fit"
    ),
}
_PARAMETERS = {
    "center_x": About(unit="arcsec", description="to the right of the middle of the frame"),
    "center_y": About(unit="arcsec", description="above the middle of the frame"),
    "einstein_radius": About(unit="arcsec", description="on the intermediate axis", latex=r"b"),
    "offset_x": About(unit="arcsec", description="from that of the first, to the right"),
    "offset_y": About(unit="arcsec", description="from that of the first, upwards"),
    "ellipticity_1": About(description="(1 - q) / (1 + q) cos(2 phi), phi anticlockwise from +x"),
    "ellipticity_2": About(description="(1 - q) / (1 + q) sin(2 phi)"),
    "gamma_1": About(description="external shear along x"),
    "gamma_2": About(description="external shear along the diagonal"),
}


def _about() -> dict[str, About]:
    latents = {
        name: About(
            unit=latent.unit,
            description=latent.description,
            title=_NAMED.get(name, (name.replace("_", " "), ""))[0],
            latex=_NAMED.get(name, ("", ""))[1],
        )
        for name, latent in LATENTS.items()
    }
    return {**_PARAMETERS, **_MEASURES, **latents}


def _blame(reasons: Sequence[str]) -> str:
    return stage_to_blame(list(reasons)) or ""


BOARD = Board(
    about=_about(),
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
