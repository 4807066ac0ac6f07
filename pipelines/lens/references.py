"""What the lens pipelines use that a paper should name: by the components and analyses of a recorded request."""

from __future__ import annotations

from typing import Any

from fitcore.references import Reference, names_in, reference

ASTROPY = reference(
    "astropy2022",
    author="{Astropy Collaboration} and others",
    title="The {Astropy} Project: Sustaining and Growing a Community-oriented Open-source Project and the Latest Major Release (v5.0) of "
    "the Core Package",
    journal="The Astrophysical Journal",
    volume="935",
    number="2",
    pages="167",
    year="2022",
    doi="10.3847/1538-4357/ac7c74",
)
CAPPELLARI = reference(
    "cappellari2002mge",
    author="Cappellari, Michele",
    title="Efficient multi-{Gaussian} expansion of galaxies",
    journal="Monthly Notices of the Royal Astronomical Society",
    volume="333",
    pages="400--410",
    year="2002",
    doi="10.1046/j.1365-8711.2002.05412.x",
)
LAWSON_HANSON = reference(
    "lawson1974solving",
    "book",
    author="Lawson, Charles L. and Hanson, Richard J.",
    title="Solving Least Squares Problems",
    publisher="Prentice-Hall",
    year="1974",
)
BRO_DE_JONG = reference(
    "bro1997fast",
    author="Bro, Rasmus and De Jong, Sijmen",
    title="A fast non-negativity-constrained least squares algorithm",
    journal="Journal of Chemometrics",
    volume="11",
    number="5",
    pages="393--401",
    year="1997",
)
GOLUB_PEREYRA = reference(
    "golub1973differentiation",
    author="Golub, Gene H. and Pereyra, Victor",
    title="The Differentiation of Pseudo-Inverses and Nonlinear Least Squares Problems Whose Variables Separate",
    journal="SIAM Journal on Numerical Analysis",
    volume="10",
    number="2",
    pages="413--432",
    year="1973",
    doi="10.1137/0710036",
)
TESSORE_METCALF = reference(
    "tessore2015elliptical",
    author="Tessore, Nicolas and Metcalf, R. Benton",
    title="The elliptical power law profile lens",
    journal="Astronomy \\& Astrophysics",
    volume="580",
    pages="A79",
    year="2015",
)
KORMANN = reference(
    "kormann1994isothermal",
    author="Kormann, R. and Schneider, P. and Bartelmann, M.",
    title="Isothermal elliptical gravitational lens models",
    journal="Astronomy \\& Astrophysics",
    volume="284",
    pages="285--299",
    year="1994",
)
NFW = reference(
    "navarro1997universal",
    author="Navarro, Julio F. and Frenk, Carlos S. and White, Simon D. M.",
    title="A Universal Density Profile from Hierarchical Clustering",
    journal="The Astrophysical Journal",
    volume="490",
    number="2",
    pages="493--508",
    year="1997",
    doi="10.1086/304888",
)
SERSIC = reference(
    "sersic1968atlas",
    "book",
    author="S{\\'e}rsic, Jos{\\'e} Luis",
    title="Atlas de Galaxias Australes",
    publisher="Observatorio Astron{\\'o}mico, C{\\'o}rdoba",
    year="1968",
)

ALWAYS = (
    ASTROPY.because("FITS files, WCS, cosmology"),
    LAWSON_HANSON.because("non-negative amplitudes of the Gaussians"),
    BRO_DE_JONG.because("non-negative least squares in the normal equations"),
)
BY_CLASS: dict[str, tuple[Reference, ...]] = {
    "GaussianBasis": (CAPPELLARI.because("light as a multi-Gaussian expansion"),),
    "Isothermal": (
        KORMANN.because("singular isothermal ellipsoid"),
        TESSORE_METCALF.because("deflection of the isothermal ellipsoid, as a power law"),
    ),
    "PowerLaw": (TESSORE_METCALF.because("deflection of the elliptical power law"),),
    "NFW": (NFW.because("NFW halo"),),
    "Sersic": (SERSIC.because("Sersic profile"),),
    "Basin": (GOLUB_PEREYRA.because("variable projection in the search for the solution"),),
    "JointDescent": (GOLUB_PEREYRA.because("variable projection in the search for the solution"),),
}
"""By the name of a component, or of a search."""


def references_of(spec: Any) -> list[Reference]:
    """What a stage with this recorded request used; nothing for a request of no lens."""
    names = {name.rpartition(":")[2] for name in names_in(spec)}
    if "Imaging" not in names and "LensAnalysis" not in names:
        return []
    return [*ALWAYS, *(entry for name in sorted(names & set(BY_CLASS)) for entry in BY_CLASS[name])]
