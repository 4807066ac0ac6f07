"""`LensAnalysis`: the likelihood, the latent variables and the pictures of a lens, behind fitcore's interface."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import jax.numpy as jnp
import numpy as np

from fitcore.analysis.analysis import Analysis
from fitcore.evaluation import compiled
from fitcore.model import Model, Normal
from pipelines.lens.caustics import effective_einstein_radius
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.linear import HeldLight, Pictures, held_light, log_likelihood, masses_of, pictures
from pipelines.lens.prepare import Preparation, full_frame, prepare

del _backend

CENTERS = ("lens_light.first.center", "mass.center", "source.main.center")


class LensAnalysis(Analysis):
    """A lens image at full resolution.

    Parameters
    ----------
    dataset : the image.
    recenter : move the model's normal priors on centers to where the lens is; for a chain's first stage.
    """

    LATENT_KEYS = (
        "einstein_radius_effective",
        "axis_ratio",
        "position_angle",
        "shear",
        "shear_angle",
        "source_offset",
    )
    batching = "map"
    n_batch = 32

    def __init__(self, dataset: Imaging, *, recenter: bool = False) -> None:
        super().__init__(use_jax=True)
        self.dataset = dataset
        self.preparation: Preparation = prepare(dataset)
        self.recenter = recenter
        self.held: HeldLight | None = None

    def identity(self) -> dict[str, Any]:
        """The image by content, and what was decided about it."""
        return {
            "dataset": self.dataset,
            "preparation": self.preparation.identity(),
            "recenter": self.recenter,
        }

    @cached_property
    def frame(self) -> Frame:
        """The window that is compared with the model; its arrays are values even where it is first asked for inside a traced function."""
        with jax.ensure_compile_time_eval():
            return full_frame(self.dataset, self.preparation)

    def modify_model(self, model: Model) -> Model:
        """Normal priors on centers, moved by the lens's position, where ``recenter``."""
        if not self.recenter:
            return model
        moved = {}
        for stem in CENTERS:
            for axis, shift in zip(("_x", "_y"), self.preparation.center, strict=True):
                prior = model.priors.get(stem + axis)
                if isinstance(prior, Normal):
                    moved[stem + axis] = Normal(prior.mean + shift, prior.sigma)
        return model.replace(moved)

    def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
        """Where the model fixes the shape of the lens's light, its columns are computed once for the whole search."""
        if any(path.startswith("lens_light") for path in model.paths):
            return self
        light = model.instance_from_vector(np.asarray(model.prior_transform(np.full(model.n_dim, 0.5))))["lens_light"]
        other = copy.copy(self)
        other.held = compiled(held_light)(light, self.frame)
        return other

    def traced_arrays(self) -> tuple[Frame, HeldLight | None]:
        """Frame and held light: arguments of the compiled likelihood, so that one serves all lenses of a survey."""
        return self.frame, self.held

    def with_traced_arrays(self, arrays: tuple[Frame, HeldLight | None]) -> Analysis:
        """The analysis on another frame's arrays."""
        other = copy.copy(self)
        other.__dict__["frame"], other.held = arrays
        return other

    def log_likelihood_function(self, instance: Any) -> Any:
        """Gaussian log-likelihood at the best non-negative amplitudes; see `pipelines.lens.linear`."""
        return log_likelihood(instance, self.frame, self.held)

    def fit_from(self, instance: Any) -> Pictures:
        """Lens light, lensed source, residual of one instance."""
        return pictures(instance, self.frame)

    @property
    def supports_jax_visualization(self) -> bool:
        """True: `fit_from` is traceable."""
        return True

    def compute_latent_variables(self, parameters: Any, model: Model) -> tuple[Any, ...]:
        """Effective Einstein radius (arcsec), axis ratio and angles (degrees) of mass and shear, source offset (Einstein radii)."""
        instance = model.instance_from_vector(parameters)
        mass, shear, source = instance["mass"], instance["shear"], instance["source"]["main"]
        radius = effective_einstein_radius(masses_of(instance), center=(mass.center_x, mass.center_y))
        size = jnp.hypot(mass.ellipticity_1, mass.ellipticity_2)
        offset = jnp.hypot(source.center_x - mass.center_x, source.center_y - mass.center_y)
        return (
            radius,
            (1.0 - size) / (1.0 + size),
            jnp.degrees(0.5 * jnp.arctan2(mass.ellipticity_2, mass.ellipticity_1)),
            jnp.hypot(shear.gamma_1, shear.gamma_2),
            jnp.degrees(0.5 * jnp.arctan2(shear.gamma_2, shear.gamma_1)),
            offset / radius,
        )
