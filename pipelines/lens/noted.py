"""What the searches note of themselves, in words: a title, a unit and a meaning for each number that a reader of a report can use.

What is not in the table is kept too, by its key; a report folds it away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fitcore.board import About

NOTED: dict[str, About] = {
    "grade": About(title="grade", description="of the samples: A, B, or F (not usable); laplace: a normal distribution at the best fit"),
    "n_eff": About(title="effective sample size", description="the samples are worth so many of equal weight"),
    "efficiency": About(title="efficiency", description="effective sample size over draws of the final proposal; 1 is perfect"),
    "pareto_k": About(title="Pareto k", description="how heavy the tail of the weights is; below 0.7 the weights can be trusted"),
    "shift": About(title="shift", unit="sigma", description="of the posterior from what the search began with, in that one's errors"),
    "width_ratio_min": About(title="smallest width ratio", description="of the posterior's widths to those the search began with"),
    "width_ratio_max": About(title="largest width ratio", description="of the posterior's widths to those the search began with"),
    "n_draws": About(title="draws", description="from the final proposal, which alone make evidence and posterior"),
    "n_adapt": About(title="calls to adapt", description="the proposal to the posterior; they enter no result"),
    "n_location": About(title="calls to locate", description="the peak before the proposal is adapted"),
    "n_gradients": About(title="gradients", description="evaluations of the likelihood's gradient"),
    "is_fallback": About(title="fell back", description="the proposal was of no use, and a search from the priors took over"),
    "was_scouted": About(title="scouted", description="other modes were looked for by ascents from the priors"),
    "n_new_modes": About(title="new modes", description="which the scout found beside the known one"),
    "einstein_radius": About(title="Einstein radius", unit="arcsec", description="of the chosen solution, median of the panel's models"),
    "gap_to_rival": About(title="gap to the next solution", description="chi^2 by which a solution of another radius is worse, a model"),
    "rivals": About(title="other solutions", unit="arcsec", description="their Einstein radii, and by how much chi^2 they are worse"),
    "n_solutions": About(title="solutions", description="that differ and were compared by the panel of models"),
    "n_dissenters": About(title="dissenting models", description="of the panel, which prefer another Einstein radius"),
    "dissenting_radii": About(title="their radii", unit="arcsec", description="that the dissenting models prefer"),
    "radius_spread": About(title="spread of the radius", description="largest less smallest of the panel's models, over its median"),
    "radius_error": About(title="error of the radius", description="standard deviation over the value"),
    "n_images": About(title="images", description="of the source's center, without a central one"),
    "explained": About(title="arcs explained", description="fraction of the arcs' chi^2 that the source explains"),
    "inside_flux": About(title="light inside", description="fraction of the lensed light inside the Einstein radius"),
    "inner_significance": About(title="inner images", unit="sigma", description="significance of those inside the critical curve"),
    "outer_significance": About(title="outer images", unit="sigma", description="significance of those outside the critical curve"),
    "inner_amplitude": About(title="inner amplitude", description="strength of the inner images in the data over the model's"),
    "outer_amplitude": About(title="outer amplitude", description="strength of the outer images in the data over the model's"),
    "lens_gain": About(title="gain by lensing", description="over the same source unlensed, as a fraction of what the source is worth"),
    "magnification": About(title="magnification", description="of the source by the chosen solution"),
    "axis_ratio": About(title="axis ratio", description="of the mass, minor over major"),
    "shear": About(title="shear", description="size of the external shear"),
    "center_offset": About(title="mass from light", unit="arcsec", description="distance of the mass's center from the light's"),
    "ellipticity_offset": About(title="ellipticity offset", description="of the mass from the light, in the plane of the two components"),
    "source_offset": About(title="source offset", unit="arcsec", description="of the source from the lens's center"),
    "lens_light_inadequacy": About(title="misfit of the lens light", description="as a fraction of it; added to the noise of later stages"),
    "source_inadequacy": About(title="misfit of the source", description="as a fraction of the arcs; added to the noise of later stages"),
    "arc_pixels": About(title="arc pixels", description="of the binned image in which the source is seen"),
    "used": About(title="used", description="fraction of the pixels within the mask's radius"),
}


@dataclass(frozen=True, kw_only=True)
class Noted:
    """One number of a search: ``key`` is its name in the result's file; ``title`` and ``meaning`` are empty where it is not known."""

    key: str
    value: Any
    title: str = ""
    unit: str = ""
    meaning: str = ""


def in_words(diagnostics: Mapping[str, Any]) -> Iterator[Noted]:
    """All that a search noted: what is known in the table's order, and then the rest. An empty text is told as none."""
    for key, about in NOTED.items():
        if key in diagnostics:
            value = diagnostics[key]
            yield Noted(key=key, value="none" if value == "" else value, title=about.title, unit=about.unit, meaning=about.description)
    for key, value in diagnostics.items():
        if key not in NOTED:
            yield Noted(key=key, value=value)
