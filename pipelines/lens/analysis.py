"""`LensAnalysis`: the likelihood, the latent variables and the pictures of a lens, behind fitcore's interface."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import cached_property
from typing import Any

from fitcore import backend as _backend  # isort: skip

import jax
import numpy as np

from fitcore.analysis.analysis import Analysis
from fitcore.evaluation import compiled
from fitcore.model import Model, Normal
from fitcore.samples import Samples
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.inadequacy import Misfit
from pipelines.lens.latents import Facts, critical_mass_of, latent_keys, latents_of_instance, light_sums, mean_angles
from pipelines.lens.linear import BANDS, LENS_LIGHT, HeldLight, Pictures, band_of, held_light, log_likelihood, pictures
from pipelines.lens.prepare import Preparation, full_frame, prepare

del _backend

FACTS = ("redshift_lens", "redshift_source", "magnitude_zero_point", "position_angle_of_y", "is_mirrored")
"""Of the dataset: what latent variables depend on, and no likelihood."""
CENTERS = ("lens_light.first.center", "mass.center", "source.main.center")


class LensAnalysis(Analysis):
    """A lens image at full resolution.

    Parameters
    ----------
    dataset : the image.
    recenter : move the model's normal priors on centers to where the lens is; for a chain's first stage.
    misfit : an earlier fit whose inadequacy is added to the noise; None for the noise alone.

    The latent variables are those of `meanings.LATENTS` that the dataset can have: mass needs redshifts, magnitudes a zero point.

    Raises
    ------
    DataError
        for redshifts of which the source's is not the larger.
    """

    version = 6
    batching = "map"
    n_batch = 32

    def __init__(self, dataset: Imaging, *, recenter: bool = False, misfit: Misfit | None = None) -> None:
        super().__init__(use_jax=True)
        self.dataset = dataset
        self.preparation: Preparation = prepare(dataset)
        self.recenter = recenter
        self.misfit = misfit
        self.held_shape: Any = None
        self.LATENT_KEYS = latent_keys(dataset)  # type: ignore[misc]
        critical_mass_of(dataset)  # redshifts that contradict each other are refused before any search

    def identity(self) -> dict[str, Any]:
        """The image by content, and what was decided about it."""
        return {
            "dataset": self.dataset,
            "preparation": self.preparation.identity(),
            "recenter": self.recenter,
            "misfit": self.misfit,
            **{name: getattr(self.dataset, name) for name in FACTS},
        }

    @cached_property
    def plain_frame(self) -> Frame:
        """The window that is compared with the model, with the noise alone; see `frame`."""
        with jax.ensure_compile_time_eval():
            return full_frame(self.dataset, self.preparation)

    @cached_property
    def frame(self) -> Frame:
        """The window that is compared with the model; its arrays are values even where it is first asked for inside a traced function."""
        with jax.ensure_compile_time_eval():
            return self.plain_frame if self.misfit is None else self.misfit.in_noise(self.plain_frame)

    @cached_property
    def facts(self) -> Facts:
        """What the latent variables need of the data; values, as those of `frame`. The lens's light is fitted for it, once."""
        with jax.ensure_compile_time_eval():
            return Facts.of(self.dataset, self.preparation, self.frame, self.plain_frame)

    @cached_property
    def held(self) -> HeldLight | None:
        """The columns of the lens's light, where its shape is fixed; computed when asked for, so that a stored result costs nothing."""
        if self.held_shape is None:
            return None
        with jax.ensure_compile_time_eval():
            return compiled(held_light)(self.held_shape, self.frame)

    def with_misfit(self, misfit: Misfit) -> LensAnalysis:
        """The same analysis with the inadequacy of a fit in its noise."""
        other = copy.copy(self)
        for name in ("frame", "facts", "held"):
            other.__dict__.pop(name, None)
        other.misfit = misfit
        return other

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
        """Where the model fixes the shape of the lens's light, its columns are computed once for the whole search, by `held`."""
        light = fixed_light(model)
        return self if light is None else self.holding(light)

    def holding(self, light: Any) -> LensAnalysis:
        """The same analysis with the shape of the lens's light fixed: a component, or a dict of them, whose columns are kept."""
        other = copy.copy(self)
        other.__dict__.pop("held", None)
        other.held_shape = light
        return other

    def traced_arrays(self) -> tuple[Frame, HeldLight | None, Facts | None]:
        """Frame, held light, facts once they were asked for: arguments of what is compiled, so that it serves all lenses of a survey."""
        return self.frame, self.held, self.__dict__.get("facts")

    def with_traced_arrays(self, arrays: tuple[Frame, HeldLight | None, Facts | None]) -> Analysis:
        """The analysis on another frame's arrays."""
        other = copy.copy(self)
        other.__dict__["frame"], other.__dict__["held"], facts = arrays
        if facts is not None:
            other.__dict__["facts"] = facts
        return other

    def log_likelihood_function(self, instance: Any) -> Any:
        """Gaussian log-likelihood at the best non-negative amplitudes; see `pipelines.lens.linear`."""
        return log_likelihood(instance, self.frame, self.held)

    def fit_from(self, instance: Any) -> Pictures:
        """Lens light, lensed source, residual of one instance; beyond the mask some of the light is missing, see `Frame.whole`."""
        return pictures(instance, self.frame)

    @property
    def supports_jax_visualization(self) -> bool:
        """True: `fit_from` is traceable."""
        return True

    def compute_latent_variables(self, parameters: Any, model: Model) -> tuple[Any, ...]:
        """The dataset's `LATENT_KEYS`; units and meanings are in `meanings.LATENTS`."""
        return self.latents_of_instance(model.instance_from_vector(parameters))

    def latents_of_instance(self, instance: Any) -> tuple[Any, ...]:
        """The dataset's `LATENT_KEYS` of one instance."""
        found = latents_of_instance(instance, self.frame, self.held, self.facts)
        return tuple(found[key] for key in self.LATENT_KEYS)

    def compute_latent_samples(self, samples: Samples, batch_size: int | None = None) -> Samples | None:
        """Latent variables of every sample. Position angles are within 90 degrees of their mean, and may so be below 0 or above 180."""
        if samples.model is None:
            return super().compute_latent_samples(samples, batch_size)  # refuses it
        return Analysis.compute_latent_samples(self.ready_for_latents(samples, fixed_light(samples.model)), samples, batch_size)

    def ready_for_latents(self, samples: Samples, light: Any) -> LensAnalysis:
        """The same analysis with all that the latent variables of ``samples`` share; ``light`` is the lens's where its shape is fixed."""
        other = copy.copy(self)
        facts = self.facts
        if light is not None:
            other.held = compiled(held_light)(light, self.frame)
            facts = replace(facts, light_sums=compiled(light_sums)(light, self.frame, facts.aperture))
        other.__dict__["facts"] = mean_angles(facts, samples)
        return other


def fixed_light(model: Model, band: str | None = None) -> Any:
    """The lens's light, or that of a further band, where the model fixes its shape; None where a parameter of it is free."""
    stem = LENS_LIGHT if band is None else f"{BANDS}.{band}.{LENS_LIGHT}"
    if any(path.startswith(f"{stem}.") for path in model.paths):
        return None
    return band_of(model.instance_from_vector(np.asarray(model.prior_transform(np.full(model.n_dim, 0.5)))), band)[LENS_LIGHT]
