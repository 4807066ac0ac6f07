"""What the parameters and latent variables of a lens mean, for figures and for other tools: symbol, unit, a sentence with the convention.

The one table of them: nothing is computed here, and nothing costly imported, so that tables of results can read it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fitcore.board import About

_ELLIPTICITY = "(1-q)/(1+q) times {} of twice the angle of the major axis, anticlockwise from +x of the image"
_SHEAR = "external shear times {} of twice the angle in which it stretches images, anticlockwise from +x of the image"

PARAMETERS: dict[str, About] = {
    "center_x": About(latex="x", unit="arcsec", description="to the right of the middle of the image"),
    "center_y": About(latex="y", unit="arcsec", description="up from the middle of the image"),
    "offset_x": About(latex=r"\Delta x", unit="arcsec", description="to the right of what it is an offset from"),
    "offset_y": About(latex=r"\Delta y", unit="arcsec", description="up from what it is an offset from"),
    "ellipticity_1": About(latex=r"\epsilon_1", description=_ELLIPTICITY.format("the cosine")),
    "ellipticity_2": About(latex=r"\epsilon_2", description=_ELLIPTICITY.format("the sine")),
    "einstein_radius": About(
        latex=r"\theta_{\rm E}",
        unit="arcsec",
        description="on the intermediate axis: kappa = (3 - slope)/2 (einstein_radius/R)^(slope - 1) with R^2 = q x'^2 + y'^2/q",
    ),
    "slope": About(latex=r"\gamma", description="logarithmic slope of the mass density in three dimensions; 2 is isothermal"),
    "gamma_1": About(latex=r"\gamma_1^{\rm ext}", description=_SHEAR.format("the cosine")),
    "gamma_2": About(latex=r"\gamma_2^{\rm ext}", description=_SHEAR.format("the sine")),
    "convergence_0": About(latex=r"\kappa_0", description="convergence of a sheet, or at the center"),
    "kappa_s": About(latex=r"\kappa_{\rm s}", description="scale density times scale radius over the critical surface density"),
    "scale_radius": About(latex=r"r_{\rm s}", unit="arcsec", description="of an NFW halo, on the major axis"),
    "core_radius": About(latex=r"r_{\rm c}", unit="arcsec", description="on the intermediate axis"),
    "sigma": About(latex=r"\sigma", unit="arcsec", description="width of a Gaussian, on the intermediate axis"),
    "effective_radius": About(latex=r"R_{\rm e}", unit="arcsec", description="holds half the light, on the intermediate axis"),
    "sersic_index": About(latex="n", description="of the Sersic profile"),
    "intensity": About(latex="I", unit="image units", description="per pixel, at the effective radius or at the center"),
}
"""By the last part of a path."""

LATENTS: dict[str, About] = {
    "einstein_radius_effective": About(
        latex=r"\theta_{\rm E,eff}", unit="arcsec", description="sqrt(area / pi) of the tangential critical curve, shear included"
    ),
    "einstein_radius_intermediate": About(
        latex=r"\theta_{\rm E,int}",
        unit="arcsec",
        description="Einstein radius of the mass alone, on the intermediate axis, as b_SIE of Bolton et al. 2008",
    ),
    "mass_in_einstein": About(
        latex=r"M_{\rm E}",
        unit="Msun",
        description="pi einstein_radius_effective^2 times the critical surface density, flat cosmology, H0 70, Om 0.3",
    ),
    "mass_axis_ratio": About(latex=r"q", description="minor over major axis of the convergence"),
    "mass_pa_e_of_n": About(
        latex=r"\phi", unit="deg", description="position angle of the mass's major axis, east of north; y is north without a WCS"
    ),
    "slope": About(latex=r"\gamma", description="logarithmic slope of the mass density in three dimensions; 2 is isothermal"),
    "shear_magnitude": About(latex=r"\gamma^{\rm ext}", description="external shear"),
    "shear_pa_e_of_n": About(
        latex=r"\phi^{\rm ext}",
        unit="deg",
        description="direction in which the shear stretches images, east of north; a perturber is at right angles to it",
    ),
    "lens_flux": About(
        latex=r"F_{\rm lens}", unit="image units", description="light of the lens within the mask's radius, before the PSF, without sky"
    ),
    "lensed_source_flux": About(
        latex=r"F_{\rm images}", unit="image units", description="light of all images of the source in the fitted window, before the PSF"
    ),
    "source_flux": About(latex=r"F_{\rm source}", unit="image units", description="light of the source without lensing, all of it"),
    "lens_magnitude": About(latex=r"m_{\rm lens}", unit="mag", description="lens_flux at the dataset's zero point"),
    "lensed_source_magnitude": About(latex=r"m_{\rm images}", unit="mag", description="lensed_source_flux at the dataset's zero point"),
    "source_magnitude": About(latex=r"m_{\rm source}", unit="mag", description="source_flux at the dataset's zero point"),
    "magnification": About(latex=r"\mu", description="lensed_source_flux over source_flux"),
    "source_half_light_radius": About(
        latex=r"r_{1/2}", unit="arcsec", description="of the circle around the source's center of light with half its flux"
    ),
    "light_mass_offset": About(
        latex=r"\Delta_{\rm light,mass}", unit="arcsec", description="from the center of the lens's light to that of its mass"
    ),
    "chi2_per_pixel_arc": About(
        latex=r"\chi^2_{\rm arc}",
        description="mean squared residual over noise in the arcs, which are found before any lens model; NaN where none are",
    ),
    "n_images": About(
        latex=r"n_{\rm images}", description="images of the source's center, without central ones (maxima, or within 0.06 arcsec)"
    ),
    "position_scatter": About(
        latex=r"\sigma_{\rm spots}",
        unit="arcsec",
        description="root mean square distance of the arcs' bright spots, traced back, from their mean; NaN under two",
    ),
}
"""Every latent variable that a lens may have, in the order of tables and reports."""
PLAIN_PLACES = ("mass", "shear")
"""Where a symbol that has a place in itself needs no other."""

CONVENTIONS = (
    "Coordinates are in arcsec from the middle of the image, x to the right and y up; ellipticities and shear are in these axes, their "
    "angles anticlockwise from +x.",
    "mass_pa_e_of_n and shear_pa_e_of_n are position angles on the sky, in degrees east of north, by the image's WCS; where it has none, "
    "+y is taken for north and +x for west.",
    "einstein_radius is on the intermediate axis (as in lenstronomy, COOLEST and Bolton et al. 2008; PyAutoLens and GLEE have another); "
    "einstein_radius_effective is sqrt(area/pi) of the tangential critical curve, shear included.",
    "Cosmology, for masses: flat, H0 70 km/s/Mpc, Om 0.3.",
)


def meaning(path: str) -> About:
    """What a parameter or latent variable means; an empty meaning for one that is not of this package."""
    place, _, leaf = path.rpartition(".")
    if leaf in PARAMETERS and place:
        found = PARAMETERS[leaf]
        is_told = "^" in found.latex or (place in PLAIN_PLACES and leaf in ("einstein_radius", "slope"))
        words = place.replace(".", " ").replace("_", " ")
        told = "" if is_told or not words.isascii() or not words.replace(" ", "").isalnum() else _above(words)
        return About(latex=found.latex + told, unit=found.unit, description=found.description)
    if leaf in LATENTS:
        told = _above(place) if place.isascii() and place.isalnum() else ""
        found = LATENTS[leaf]
        return About(latex=found.latex + ("" if "^" in found.latex else told), unit=found.unit, description=found.description)
    return About()


def _above(words: str) -> str:
    return rf"^{{\rm {words}}}".replace(" ", r"\ ").replace(r"\rm\ ", r"\rm ")


def drawn(paths: Sequence[str]) -> tuple[str, ...]:
    """What a corner plot shows of a lens: mass and shear."""
    return tuple(path for path in paths if path.startswith(("mass.", "shear.")))
