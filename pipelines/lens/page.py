"""The report of a finished chain: gathers what `report` draws."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from fitcore import Result, StageOutcome, __version__
from pipelines.lens.assess import FINDER, Assessment, Seen, assess, at_bound, misfit_of, seen_in
from pipelines.lens.bands import Bands, reference_of
from pipelines.lens.critical import CriticalCurve, critical_curves
from pipelines.lens.dataset import Imaging
from pipelines.lens.enclosed import mass_planes
from pipelines.lens.export import EXPORTS
from pipelines.lens.latents import left_out
from pipelines.lens.linear import BANDS, OFFSET, SOURCE, band_of, lights_of, masses_of, source_plane
from pipelines.lens.loader import read_truth
from pipelines.lens.meanings import LATENTS, meaning
from pipelines.lens.page_chain import healths, provenance, stage_rows, table_of
from pipelines.lens.preparation_pictures import PreparationPlanes
from pipelines.lens.prepare import prepare
from pipelines.lens.report import render, write_page, write_report
from pipelines.lens.report_content import (
    BandContent,
    Headline,
    ImagePlanes,
    Posterior,
    Quantity,
    ReportContent,
    SourcePlane,
)
from pipelines.lens.strip import write_strip
from pipelines.lens.verdict import verdict_of

SOURCE_PIXELS, SOURCE_HALF_WIDTH = 151, 0.6


class LensPage:
    """Registered under the name ``lens`` among the reports; ``exports`` is what `fitcore export` has beside samples."""

    exports = EXPORTS

    def report(
        self,
        dataset: Imaging | Bands,
        results: Mapping[str, Result],
        outcomes: Sequence[StageOutcome],
        *,
        links: Sequence[Mapping[str, Any]],
        target: Path,
        context: Mapping[str, Any],
    ) -> None:
        """Write the report, and the thumbnails of campaign pages beside it.

        ``context`` has the command, the dataset's folder, the seed, and where they are known why each stage was a hit or a run (``why``)
        and the commands that write files for other tools (``exports``).
        """
        found, image = assess(dataset, results), reference_of(dataset)
        last = list(results.values())[-1]
        verdict, reasons = verdict_of(found.measures)
        parameters, latents = _parameters(last), _latents(last)
        curves = _critical(found)
        content = ReportContent(
            **_of_any(dataset, found, curves, context),
            verdict=verdict,
            reasons=reasons,
            headline=Headline(
                einstein_radius_effective=next((q for q in latents if q.path == "einstein_radius_effective"), None),
                chi_squared_per_pixel=found.chi_squared,
                chi_squared_per_pixel_arcs=found.chi_squared_arcs,
                log_evidence=last.log_evidence,
                log_evidence_error=last.log_evidence_error,
            ),
            digests={outcome.name: outcome.digest for outcome in outcomes},
            mass=mass_planes(found, last, curves),
            bands=[_band(band, curves, last) for band in found.further],
            parameters=parameters,
            latents=latents,
            preparation=_preparation(image, found),
            stages=stage_rows(outcomes, results, links, context.get("why", {})),
            health=healths(outcomes, results),
            downloads=[
                table_of("parameters.csv", "parameters of the last stage", parameters),
                *([table_of("latents.csv", "derived quantities", latents)] if latents else []),
            ],
            exports=context.get("exports", {}),
            samples=_posterior(last),
            provenance=provenance(last, context),
            truth=_truth(Path(str(context.get("dataset", ""))), last, latents),
        )
        write_report(content, target)
        write_strip(content.planes, content.source, target.with_suffix(".webp"))

    def preview(
        self,
        dataset: Imaging | Bands,
        results: Mapping[str, Result],
        outcomes: Sequence[StageOutcome],
        *,
        links: Sequence[Mapping[str, Any]],
        target: Path,
        context: Mapping[str, Any],
        best: Mapping[str, float],
        instance: Mapping[str, Any],
        running: str,
    ) -> Callable[[], Path]:
        """The same page of a search that is running, as `report` draws it of what is known by now; what is returned writes it.

        ``results`` and ``outcomes`` are those of the stages that are done, ``best`` the parameters of the best point so far and
        ``instance`` its tree; ``running`` says how far the search is.
        """
        image = reference_of(dataset)
        found = seen_in(image, band_of(instance, None), misfit_of(results, None) if FINDER in results else None)
        content = ReportContent(
            **_of_any(dataset, found, _critical(found), context),
            verdict="running",
            reasons=[running, "a preview: the report takes its place when the chain is done"],
            headline=Headline(chi_squared_per_pixel=found.chi_squared, chi_squared_per_pixel_arcs=found.chi_squared_arcs),
            digests={outcome.name: outcome.digest for outcome in outcomes},
            parameters=[_best(path, value) for path, value in best.items()],
            stages=stage_rows(outcomes, results, links, {}),
            health=healths(outcomes, results),
        )
        page = render(content)
        return lambda: write_page(page, target)


Curves = Sequence[CriticalCurve]


def _center(found: Seen) -> tuple[float, float]:
    mass = found.instance["mass"]
    return float(mass.center_x), float(mass.center_y)


def _critical(found: Seen) -> list[CriticalCurve]:
    return critical_curves(masses_of(found.instance), center=_center(found))


def _of_any(dataset: Imaging | Bands, found: Seen, curves: Curves, context: Mapping[str, Any]) -> dict[str, Any]:
    """What a report and a preview say alike: of the image, and of one instance in it."""
    image = reference_of(dataset)
    return {
        "name": dataset.name,
        "command": str(context.get("command", "")),
        "version": __version__,
        "seed": context.get("seed"),
        "planes": _planes(image, found, curves),
        "source": _source(found, curves),
        "center": _center(found),
        "band": dataset.names[0] if isinstance(dataset, Bands) else "",
        "decisions": prepare(image).decisions,
        "prepared": _prepared(image, found.spots),
    }


def _planes(dataset: Imaging, found: Seen, curves: Curves) -> ImagePlanes:
    frame, seen = found.frame, found.pictures
    weight = np.asarray(frame.weight)
    x, y = frame.pixel_centers
    half = 0.5 * dataset.pixel_scale
    light, source = np.asarray(seen.lens_light), np.asarray(seen.lensed_source)
    return ImagePlanes(
        data=np.asarray(frame.data),
        noise=np.where(weight > 0, 1.0 / np.where(weight > 0, weight, 1.0), np.inf),
        mask=weight > 0,
        model=light + source + float(seen.sky),
        lens_light=light + float(seen.sky),
        lensed_source=source,
        extent=(float(x.min() - half), float(x.max() + half), float(y.min() - half), float(y.max() + half)),
        pixel_scale=dataset.pixel_scale,
        position_angle_of_y=dataset.position_angle_of_y,
        critical_curves=[curve.curve + found.instance.get(OFFSET, (0.0, 0.0)) for curve in curves if curve.kind != "cut"],
    )


def _band(found: Seen, curves: Curves, last: Result) -> BandContent:
    summary = last.samples_summary
    median, lower, upper = (summary.by_path(which) for which in ("median", "lower_1_sigma", "upper_1_sigma"))
    paths = [f"{BANDS}.{found.name}.offset_{axis}" for axis in "xy"]
    shifts = ", ".join(f"{1e3 * median[path]:+.1f} ± {500 * (upper[path] - lower[path]):.1f}" for path in paths)
    return BandContent(
        name=found.name,
        offset=f"offset from the first band, x and y: {shifts} milliarcsec".replace("-", "\N{MINUS SIGN}"),
        planes=_planes(found.dataset, found, curves),
        source=_source(found, curves),
        chi_squared_per_pixel=found.chi_squared,
        chi_squared_per_pixel_arcs=found.chi_squared_arcs,
    )


def _source(found: Seen, curves: Curves) -> SourcePlane:
    source = lights_of(found.instance[SOURCE])[0]
    c_x, c_y = float(source.center_x), float(source.center_y)
    axis = np.linspace(-SOURCE_HALF_WIDTH, SOURCE_HALF_WIDTH, SOURCE_PIXELS)
    x, y = np.meshgrid(axis + c_x, axis + c_y)
    image = np.asarray(source_plane(found.instance, found.pictures.amplitudes, x, y))
    extent = (c_x - SOURCE_HALF_WIDTH, c_x + SOURCE_HALF_WIDTH, c_y - SOURCE_HALF_WIDTH, c_y + SOURCE_HALF_WIDTH)
    return SourcePlane(image=image, extent=extent, caustics=[curve.caustic for curve in curves])


def _parameters(last: Result) -> list[Quantity]:
    summary = last.samples_summary
    deviation = np.sqrt(np.diag(last.samples.covariance()))
    limits = at_bound(last)
    rows = []
    for i, (path, prior) in enumerate(last.model.priors.items()):
        quantiles = np.asarray(prior.transform(np.linspace(0.0005, 0.9995, 1000)))
        rows.append(
            Quantity(
                path=path,
                unit=meaning(path).unit,
                prior=str(prior),
                median=summary.median[i],
                lower=summary.lower_1_sigma[i],
                upper=summary.upper_1_sigma[i],
                lower_3=summary.lower_3_sigma[i],
                upper_3=summary.upper_3_sigma[i],
                best=summary.best[i],
                shrinkage=float(deviation[i] / quantiles.std()),
                is_at_bound=path in limits,
            )
        )
    return rows


def _best(path: str, value: float) -> Quantity:
    """A parameter of which the best value is known, and nothing else."""
    return Quantity(path=path, unit=meaning(path).unit, median=math.nan, lower=math.nan, upper=math.nan, best=value)


def _latents(last: Result) -> list[Quantity]:
    samples = last.latent_samples
    if samples is None:
        return []
    one, three = samples.values_at_sigma(1.0), samples.values_at_sigma(3.0)
    return [
        Quantity(
            path=path,
            unit=LATENTS[name].unit if (name := path.rsplit(".", 1)[-1]) in LATENTS else "",
            median=float(samples.median_pdf()[i]),
            lower=float(one[i, 0]),
            upper=float(one[i, 1]),
            lower_3=float(three[i, 0]),
            upper_3=float(three[i, 1]),
        )
        for i, path in enumerate(samples.paths)
        if np.isfinite(one[i]).all()  # not where no sample has a value
    ]


def _preparation(dataset: Imaging, found: Assessment) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "pixel scale": f"{dataset.pixel_scale} arcsec",
        "used pixels": found.frame.n_used,
        "arc pixels": int(found.arcs.sum()),
        "images of the source": found.measures.n_images,
        "arcs explained": f"{found.measures.explained:.0%}",
        "lensed light inside the Einstein radius": f"{found.measures.inside_flux:.0%}",
        "gap to the next solution": "no other found" if np.isinf(found.measures.gap) else f"{found.measures.gap:.0f}",
    }
    facts.update({key: f"left out: {reason}" for key, reason in left_out(dataset).items()})
    return facts


def _prepared(dataset: Imaging, spots: np.ndarray) -> PreparationPlanes | None:
    decided = prepare(dataset)
    sky, found = decided.sky, decided.surroundings
    if sky is None or found is None:
        return None
    return PreparationPlanes(
        data=sky.data,
        significance=found.significance,
        used=sky.used,
        neighbors=decided.on_coarse_pixels(dataset),
        noise=float(np.median(sky.noise[sky.used])),
        x=sky.x[0],
        y=sky.y[:, 0],
        center=decided.center,
        mask_radius=decided.mask_radius,
        position_angle_of_y=dataset.position_angle_of_y,
        positions=spots,
    )


def _posterior(last: Result) -> Posterior:
    """Of mass and shear without the center, which is told by its distance from the light and would make half as many plots again."""
    wanted = [path for path in last.samples.paths if path.startswith(("mass.", "shear."))]
    paths = tuple(path for path in wanted if not path.startswith("mass.center"))
    columns = [last.samples.paths.index(path) for path in paths]
    return Posterior(paths=paths, parameters=last.samples.parameters[:, columns], log_weight=last.samples.log_weight)


def _truth(folder: Path, last: Result, latents: Sequence[Quantity]) -> dict[str, float]:
    """The truth of a simulated dataset, for the parameters and latents that the report lists."""
    known = read_truth(folder)
    named = {"source.main" + key[len("source") :]: value for key, value in known.items() if key.startswith("source.")}
    wanted = {*last.model.paths, *(latent.path for latent in latents)}
    return {key: value for key, value in {**known, **named}.items() if key in wanted}


PAGE = LensPage()
