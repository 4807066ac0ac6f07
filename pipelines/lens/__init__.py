"""Strong gravitational lensing: profiles, images, the linear multi-Gaussian likelihood, the basin search and the `lens` pipeline.

Coordinates: x right, y up, arcsec; images are (n_y, n_x) with row 0 at the bottom; angles are anticlockwise from +x.

The names below are imported when they are first used, so that reading a table of results waits for no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipelines.lens.analysis import LensAnalysis
    from pipelines.lens.bands import Bands
    from pipelines.lens.basin import Basin
    from pipelines.lens.columns import GaussianBasis
    from pipelines.lens.dataset import Imaging
    from pipelines.lens.joint_analysis import JointAnalysis
    from pipelines.lens.light import Gaussian, Sersic
    from pipelines.lens.mass import NFW, CoredPowerLaw, GaussianMass, Isothermal, PowerLaw, Shear, Sheet
    from pipelines.lens.stages import lens_pipeline

__all__ = [
    "NFW",
    "Bands",
    "Basin",
    "CoredPowerLaw",
    "Gaussian",
    "GaussianBasis",
    "GaussianMass",
    "Imaging",
    "Isothermal",
    "JointAnalysis",
    "LensAnalysis",
    "PowerLaw",
    "Sersic",
    "Shear",
    "Sheet",
    "lens_pipeline",
]

_MODULES = {
    "analysis": ("LensAnalysis",),
    "bands": ("Bands",),
    "basin": ("Basin",),
    "columns": ("GaussianBasis",),
    "dataset": ("Imaging",),
    "joint_analysis": ("JointAnalysis",),
    "light": ("Gaussian", "Sersic"),
    "mass": ("NFW", "CoredPowerLaw", "GaussianMass", "Isothermal", "PowerLaw", "Shear", "Sheet"),
    "stages": ("lens_pipeline",),
}


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(import_module(f"pipelines.lens.{module}"), name)
    raise AttributeError(f"module 'pipelines.lens' has no attribute {name!r}; it has {__all__}")
