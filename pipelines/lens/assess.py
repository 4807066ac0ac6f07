"""What is measured of a finished chain for the verdict, the table and the report: pictures of the best fit, images, fluxes, chi^2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from fitcore import Result, Samples
from fitcore.evaluation import compiled
from fitcore.statistics import weighted_quantile
from pipelines.lens.analysis import LensAnalysis
from pipelines.lens.arcs import seen_arcs
from pipelines.lens.bands import Bands, reference_of
from pipelines.lens.dataset import Imaging
from pipelines.lens.frame import Frame
from pipelines.lens.geometry import axis_ratio, elliptical_radius
from pipelines.lens.inadequacy import Misfit, is_noted
from pipelines.lens.joint_analysis import OFFSET_SIGMA
from pipelines.lens.linear import BANDS, LENS_LIGHT, OFFSET, Pictures, band_of, lights_of, pictures
from pipelines.lens.modes import count_images_of
from pipelines.lens.verdict import BandMeasures, Measures

Array = NDArray[np.float64]
EDGE = 1e-3
"""A parameter is on a limit when its median lies within this probability of the end of its prior."""
ONE_SIGMA = (0.15865525393145707, 0.5, 0.8413447460685429)
FINDER, FINDER_OF_BANDS = "basin", "bands"
"""The stages that find the solution, of one image and of several; they note how far it is from the data."""
ELLIPTICITY = ("ellipticity_1", "ellipticity_2")
OF_THE_LENS = ("mass.", "shear.")
"""A source's shape on a limit says nothing about the lens."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Seen:
    """The best fit in one image.

    Parameters
    ----------
    name : of the band; empty for the only one.
    dataset : the image.
    instance, pictures, frame : the best fit, and the window it is on, with the noise alone; planes are (v, v).
    arcs : True where the lensed source was seen before any lens model.
    spots : bright spots of the arcs, arcsec, (n, 2).
    chi_squared, chi_squared_arcs : per used pixel, over all and in the arcs.
    explained : fraction of the arcs' chi^2 that the source explains; NaN where no arcs are seen.
    """

    name: str
    dataset: Imaging
    instance: Mapping[str, Any]
    pictures: Pictures
    frame: Frame
    arcs: NDArray[np.bool_]
    spots: Array
    chi_squared: float
    chi_squared_arcs: float
    explained: float

    @property
    def residual_peak(self) -> float:
        """The largest residual of a used pixel over its noise, by size."""
        return float(np.abs(np.asarray(self.pictures.residual) * np.asarray(self.frame.weight)).max())


@dataclass(frozen=True, kw_only=True, eq=False)
class Assessment(Seen):
    """One finished chain, measured: the best fit of its last stage in the first band.

    Parameters
    ----------
    measures : for the verdict.
    further : the other bands, where several are fitted.
    """

    measures: Measures
    further: tuple[Seen, ...] = ()


_SEEN: WeakKeyDictionary[Result, Assessment] = WeakKeyDictionary()
_pictures = compiled(pictures)


def assess(dataset: Imaging | Bands, results: Mapping[str, Result]) -> Assessment:
    """Measure the last stage's best fit; once for each result in memory."""
    last = list(results.values())[-1]
    if last not in _SEEN:
        _SEEN[last] = _assessed(dataset, results, last)
    return _SEEN[last]


def _assessed(dataset: Imaging | Bands, results: Mapping[str, Result], last: Result) -> Assessment:
    basin = results["basin"].samples_summary.diagnostics
    whole = last.max_log_likelihood_instance
    seen = seen_in(reference_of(dataset), band_of(whole, None), misfit_of(results, None))
    # a chain of one stage has looked at the reference alone
    further = _further(dataset, whole, results) if isinstance(dataset, Bands) and BANDS in whole else ()
    mass, shear, first = whole["mass"], whole["shear"], lights_of(whole[LENS_LIGHT])[0]
    x, y = seen.frame.pixel_centers
    source = np.asarray(seen.pictures.lensed_source)
    inner = elliptical_radius(x - mass.center_x, y - mass.center_y, mass.ellipticity_1, mass.ellipticity_2) < mass.einstein_radius
    return Assessment(
        **vars(seen),
        measures=replace(
            measures_of_search(basin),
            n_images=count_images_of(seen.instance),
            inside_flux=float(source[inner].sum() / source.sum()) if source.sum() > 0 else float("nan"),
            explained=seen.explained,
            axis_ratio=float(axis_ratio(mass.ellipticity_1, mass.ellipticity_2)),
            shear=float(np.hypot(shear.gamma_1, shear.gamma_2)),
            ellipticity_offset=float(np.hypot(*(getattr(mass, key) - _noted(basin, f"light_{key}") for key in ELLIPTICITY))),
            center_offset=float(np.hypot(*(getattr(mass, axis) - getattr(first, axis) for axis in ("center_x", "center_y")))),
            drift=abs(float(mass.einstein_radius) / _noted(basin, "einstein_radius") - 1.0),
            radius_error=relative_error(last.samples, "mass.einstein_radius"),
            at_bound=tuple(path for path in at_bound(last) if path.startswith(OF_THE_LENS)),
            bands=tuple(_measures_of(band) for band in further),
        ),
        further=further,
    )


def misfit_of(results: Mapping[str, Result], band: str | None) -> Misfit | None:
    """What is in the noise of the last stage: the misfit of the stage that found the solution; None where its search notes none."""
    finder = results.get(FINDER_OF_BANDS, results[FINDER])
    return Misfit.of(finder, band) if is_noted(finder.samples_summary.diagnostics) else None


def seen_in(dataset: Imaging, instance: Mapping[str, Any], misfit: Misfit | None, name: str = "") -> Seen:
    """One instance in one image, with the misfit in the noise of the fit."""
    analysis = LensAnalysis(dataset, misfit=misfit)
    frame = analysis.plain_frame
    seen = _pictures(instance, analysis.frame.whole())
    lensed = seen_arcs(dataset, analysis.preparation, frame)
    arcs = lensed.mask
    weight = np.asarray(frame.weight)
    chi = (np.asarray(seen.residual) * weight) ** 2
    without = (np.asarray(seen.residual) + np.asarray(seen.lensed_source)) * weight
    return Seen(
        name=name,
        dataset=dataset,
        instance=instance,
        pictures=seen,
        frame=frame,
        arcs=arcs,
        spots=lensed.spots,
        chi_squared=float(chi[weight > 0].mean()),
        chi_squared_arcs=float(chi[arcs].mean()) if arcs.any() else float("nan"),
        explained=float(1.0 - chi[arcs].sum() / (without[arcs] ** 2).sum()) if arcs.any() else float("nan"),
    )


def _further(dataset: Bands, instance: Mapping[str, Any], results: Mapping[str, Result]) -> tuple[Seen, ...]:
    pairs = zip(dataset.names[1:], dataset.images[1:], strict=True)
    return tuple(seen_in(image, band_of(instance, name), misfit_of(results, name), name) for name, image in pairs)


def _measures_of(band: Seen) -> BandMeasures:
    farthest = max(abs(float(shift)) for shift in band.instance[OFFSET])
    return BandMeasures(name=band.name, explained=band.explained, offset=farthest / OFFSET_SIGMA)


def _noted(basin: Mapping[str, Any], key: str) -> float:
    return float(basin.get(key, float("nan")))


def measures_of_search(basin: Mapping[str, Any]) -> Measures:
    """What the basin search has noted of its solution, for a verdict in seconds; NaN where it has not, which no limit admits."""
    return Measures(
        n_images=int(basin.get("n_images", 0)),
        inside_flux=_noted(basin, "inside_flux"),
        explained=_noted(basin, "explained"),
        axis_ratio=_noted(basin, "axis_ratio"),
        shear=_noted(basin, "shear"),
        gap=_noted(basin, "gap_to_rival"),
        radius_spread=_noted(basin, "radius_spread"),
        n_dissenters=int(basin.get("n_dissenters", 0)),
        significance=float(np.minimum(_noted(basin, "inner_significance"), _noted(basin, "outer_significance"))),
        amplitudes=(_noted(basin, "inner_amplitude"), _noted(basin, "outer_amplitude")),
        ellipticity_offset=_noted(basin, "ellipticity_offset"),
        center_offset=_noted(basin, "center_offset"),
        radius_error=_noted(basin, "radius_error"),
        lens_gain=_noted(basin, "lens_gain"),
        used=_noted(basin, "used"),
        drift=0.0,  # it is the solution that later stages begin with
    )


def relative_error(samples: Samples, path: str) -> float:
    """Standard deviation of a parameter over its mean."""
    i = samples.paths.index(path)
    return float(np.sqrt(samples.covariance()[i, i]) / samples.mean()[i])


def at_bound(result: Result) -> tuple[str, ...]:
    """Paths whose median lies at an end of a bounded prior."""
    medians = np.asarray(result.samples_summary.median)
    u = np.asarray(result.model.inverse_transform(medians))
    bounded = [np.isfinite(prior.support).any() for prior in result.model.priors.values()]
    return tuple(
        path for path, value, limited in zip(result.model.paths, u, bounded, strict=True) if limited and not EDGE < value < 1.0 - EDGE
    )


def intervals(samples: Samples) -> dict[str, dict[str, float]]:
    """Median, lower and upper at 1 sigma of every column; NaN samples of a column are left out, and a column that has nothing else."""
    rows = {}
    for path in samples.paths:
        column = samples.column(path)
        good = np.isfinite(column) & (samples.weight > 0)
        if not good.any():
            continue
        lower, median, upper = weighted_quantile(column[good], ONE_SIGMA, samples.weight[good])
        rows[path] = {"median": float(median), "lower": float(lower), "upper": float(upper)}
    return rows
