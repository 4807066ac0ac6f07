"""`JointAnalysis`: the likelihood of one lens in several bands. Mass, shear and the source's shape are shared, the light is each band's.

Each band has a `LensAnalysis` of its own; their log-likelihoods add. A further band has its own shape of the lens light, in its own
coordinates, and lies at an offset from the reference's; the amplitudes are solved band by band.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fitcore.analysis.analysis import Analysis
from fitcore.model import Model, Normal, Tied
from fitcore.samples import Samples
from pipelines.lens.analysis import LensAnalysis, fixed_light
from pipelines.lens.bands import Bands
from pipelines.lens.inadequacy import Misfit
from pipelines.lens.latents import OF_ZERO_POINT, light_latents
from pipelines.lens.linear import BANDS, LENS_LIGHT, Pictures, band_of

OFFSET_SIGMA = 0.05
"""Arcsec, of the normal prior on each coordinate of a band's offset."""
OF_EACH_BAND = (
    "lens_flux",
    "lensed_source_flux",
    "source_flux",
    "lens_magnitude",
    "lensed_source_magnitude",
    "source_magnitude",
    "chi2_per_pixel_arc",
)
"""Latent variables of a further band, under ``BAND.NAME``; those of the reference have no prefix."""


class JointAnalysis(Analysis):
    """Several images of one lens at full resolution.

    Parameters
    ----------
    dataset : the images.
    start : parameters of the reference by path, from which a search may start; part of the identity.
    misfits : of each band, the reference first, an earlier fit whose inadequacy is added to the noise; None for the noise alone.

    An instance is that of one image with the entry ``bands`` beside it, by the further bands' names: ``offset_x``, ``offset_y`` in arcsec,
    and ``lens_light``. What lies at (x, y) in the reference lies at (x + offset_x, y + offset_y) in the band.
    """

    version = 4
    batching = "map"
    n_batch = 32

    def __init__(self, dataset: Bands, *, start: Mapping[str, float] | None = None, misfits: Sequence[Misfit | None] | None = None) -> None:
        super().__init__(use_jax=True)
        self.names = dataset.names
        images = zip(dataset.images, misfits or [None] * len(dataset.images), strict=True)
        self.children: tuple[LensAnalysis, ...] = tuple(LensAnalysis(image, misfit=misfit) for image, misfit in images)
        self.start = None if start is None else dict(start)
        self.LATENT_KEYS = (*self.children[0].LATENT_KEYS, *self._further_keys())  # type: ignore[misc]

    @property
    def bands(self) -> tuple[str | None, ...]:
        """The bands as `linear.band_of` takes them: None for the reference, then the names of the others."""
        return (None, *self.names[1:])

    def _further_keys(self) -> list[str]:
        return [
            f"{band}.{key}"
            for band, child in zip(self.names[1:], self.children[1:], strict=True)
            for key in OF_EACH_BAND
            if key not in OF_ZERO_POINT or child.dataset.magnitude_zero_point is not None
        ]

    def identity(self) -> dict[str, Any]:
        """Every band by name, content and what was decided about it; the start."""
        return {
            "bands": [
                {"name": name, "version": child.version, **child.identity()} for name, child in zip(self.names, self.children, strict=True)
            ],
            "start": self.start,
        }

    def modify_model(self, model: Model) -> Model:
        """The model with an offset and a lens light for each further band, where it has none yet."""
        if BANDS in model.tree:
            return model
        further = {
            name: {"offset_x": Normal(0.0, OFFSET_SIGMA), "offset_y": Normal(0.0, OFFSET_SIGMA), LENS_LIGHT: own_light(model, name)}
            for name in self.names[1:]
        }
        return Model({**model.tree, BANDS: further}, model.constraints)

    def modify_before_fit(self, paths: Any, model: Model) -> Analysis:
        """In each band whose lens light has a fixed shape, its columns are computed once for the whole search."""
        lights = [fixed_light(model, band) for band in self.bands]
        return self._with([child if light is None else child.holding(light) for child, light in zip(self.children, lights, strict=True)])

    def with_misfits(self, misfits: Sequence[Misfit]) -> JointAnalysis:
        """The same analysis with the misfit of each band in its noise."""
        return self._with([child.with_misfit(misfit) for child, misfit in zip(self.children, misfits, strict=True)])

    def _with(self, children: Sequence[LensAnalysis]) -> JointAnalysis:
        other = copy.copy(self)
        other.children = tuple(children)
        return other

    def traced_arrays(self) -> tuple[Any, ...]:
        """Those of each band."""
        return tuple(child.traced_arrays() for child in self.children)

    def with_traced_arrays(self, arrays: Sequence[Any]) -> Analysis:
        """The analysis on other frames' arrays."""
        return self._with([child.with_traced_arrays(own) for child, own in zip(self.children, arrays, strict=True)])  # type: ignore[misc]

    def log_likelihood_function(self, instance: Any) -> Any:
        """Sum over the bands, each at its own best non-negative amplitudes."""
        return sum(child.log_likelihood_function(band_of(instance, band)) for child, band in zip(self.children, self.bands, strict=True))

    def fit_from(self, instance: Any) -> tuple[Pictures, ...]:
        """Lens light, lensed source, residual of each band."""
        return tuple(child.fit_from(band_of(instance, band)) for child, band in zip(self.children, self.bands, strict=True))

    @property
    def supports_jax_visualization(self) -> bool:
        """True: `fit_from` is traceable."""
        return True

    def compute_latent_variables(self, parameters: Any, model: Model) -> dict[str, Any]:
        """The reference's latent variables under their names, and those of `OF_EACH_BAND` under the other bands'."""
        instance = model.instance_from_vector(parameters)
        reference = self.children[0]
        found = dict(zip(reference.LATENT_KEYS, reference.latents_of_instance(band_of(instance, None)), strict=True))
        for band, child in zip(self.names[1:], self.children[1:], strict=True):
            own = light_latents(band_of(instance, band), child.frame, child.held, child.facts)
            found |= {f"{band}.{key}": value for key, value in own.items()}
        return {key: found[key] for key in self.LATENT_KEYS}

    def compute_latent_samples(self, samples: Samples, batch_size: int | None = None) -> Samples | None:
        """Latent variables of every sample; see `LensAnalysis.compute_latent_samples`."""
        model = samples.model
        if model is None:
            return super().compute_latent_samples(samples, batch_size)  # refuses it
        ready = [child.ready_for_latents(samples, fixed_light(model, band)) for child, band in zip(self.children, self.bands, strict=True)]
        return Analysis.compute_latent_samples(self._with(ready), samples, batch_size)


def own_light(model: Model, band: str) -> dict[str, Any]:
    """Lens light of a further band: the reference's sets under the same priors, with ties to leaves of its own."""
    stem = f"{BANDS}.{band}."
    return {name: _with_own_ties(light, stem) for name, light in model.tree[LENS_LIGHT].items()}


def _with_own_ties(light: Any, stem: str) -> Any:
    ties = {name: Tied(stem + leaf.path) for name, leaf in vars(light).items() if isinstance(leaf, Tied)}
    return replace(light, **ties)
