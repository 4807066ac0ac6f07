"""A posterior as files of other tools: CSV, GetDist chains, anesthetic's CSV, netCDF for ArviZ, a corner plot. Bytes by file name.

The plain formats are written here, so that the other tool need not be installed; the figure is drawn by the package corner. Nothing is put
on a disk here, and nothing is known of any science: what a parameter means comes as an `About`. The forms in memory are in
`fitcore.handover`.

Other tools know no masked values (NaN): a column that has some where a sample has weight is left out there (`Posterior.left_out`); the CSV
table has all of them.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fitcore.board import About
from fitcore.errors import SpecError
from fitcore.handover import in_math_mode
from fitcore.model import Model
from fitcore.netcdf import Group, netcdf_bytes
from fitcore.samples import Samples
from fitcore.statistics import systematic_resampling
from fitcore.text import CONTROLS

LONGEST_NAME, LONGEST_TEXT = 64, 300
NO_NAME = re.compile(r"[^A-Za-z0-9_.+-]+")
NOT_IN_MATH = re.compile(r"[^A-Za-z0-9 _.^{}\\+*/=()<>|,:;'\[\]-]")
NOT_IN_FONT = re.compile("[^ -~\u00a0-\u024f\u0370-\u03ff]")
LONGEST_LABEL = 40
DOTS_PER_INCH = 150
MOST_DRAWN = 12
"""Parameters of a corner plot: 21 took two minutes and could not be read."""
LEAST_DRAWS = 100
Files = dict[str, bytes]


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """The posterior of one stage, to be handed over.

    Parameters
    ----------
    stem : of the files' names: letters, digits, ``. _ + -``.
    samples : the parameters, and after them the derived quantities with the same weights.
    n_parameters : how many of the columns are parameters.
    model : that was fitted, for the hard limits of its priors; None where it is not known.
    meanings : by path; a path without one is its own label.
    drawn : paths that a figure shows; empty for the first `MOST_DRAWN` parameters.
    about : JSON-able facts: where the samples come from, conventions.

    Raises
    ------
    SpecError : the stem is no name of a file.
    """

    stem: str
    samples: Samples
    n_parameters: int
    model: Model | None = None
    meanings: Mapping[str, About] = field(default_factory=dict)
    drawn: tuple[str, ...] = ()
    about: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if NO_NAME.search(self.stem) or not self.stem or self.stem.startswith("."):
            raise SpecError(f"The stem of the files is {self.stem!r:.80}; it must be of letters, digits, '.', '_', '+' and '-'.")

    @property
    def names(self) -> dict[str, str]:
        """By path, the name that files use, of letters, digits, ``. _ + -``, each once: the path itself where it is of these."""
        found: dict[str, str] = {}
        for path in self.samples.paths:
            name = plain = NO_NAME.sub("_", path).lstrip(".")[:LONGEST_NAME] or "_"
            number = 1
            while name in found.values():
                number += 1
                name = f"{plain[: LONGEST_NAME - 6]}_{number}"
            found[path] = name
        return found

    @property
    def known(self) -> Posterior:
        """The samples of weight above zero, with the columns that are known in all of them."""
        has_weight = self.samples.weight > 0.0
        columns = np.asarray((~np.isnan(self.samples.parameters[has_weight])).all(axis=0))
        if not columns.any():
            raise SpecError("No parameter is known in all samples, so there is nothing to hand over.")
        cut = {name: getattr(self.samples, name)[has_weight] for name in ("log_likelihood", "log_prior", "log_weight")}
        paths = tuple(path for path, is_kept in zip(self.samples.paths, columns, strict=True) if is_kept)
        kept = replace(self.samples, paths=paths, parameters=self.samples.parameters[np.ix_(has_weight, columns)], model=None, **cut)
        return replace(self, samples=kept, n_parameters=int(columns[: self.n_parameters].sum()))

    @property
    def left_out(self) -> tuple[str, ...]:
        """Paths that `known` lacks."""
        return tuple(path for path in self.samples.paths if path not in self.known.samples.paths)

    def is_derived(self, path: str) -> bool:
        """Whether a column is no parameter of the fit."""
        return self.samples.paths.index(path) >= self.n_parameters

    def latex(self, path: str) -> str:
        """The label with the unit, for math mode; never with a character that a file of names could take for a sign."""
        meaning = self.meanings.get(path, About())
        symbol = in_math_mode(f"${meaning.latex}$") if meaning.latex else in_math_mode(NOT_IN_MATH.sub("?", short(path)))
        unit = NOT_IN_MATH.sub("?", short(meaning.unit)).replace(" ", r"\ ")
        return symbol + (rf"\ [\mathrm{{{unit}}}]" if unit else "")

    def label(self, path: str) -> str:
        """The label with the unit, as matplotlib shows it."""
        meaning = self.meanings.get(path, About())
        # a dollar would begin mathematics
        symbol = f"${meaning.latex}$" if meaning.latex else short(path).replace("$", r"\$")
        return symbol + (f" [{short(meaning.unit)}]".replace("$", r"\$") if meaning.unit else "")

    def with_columns(self, keep: Iterable[str]) -> Posterior:
        """The same with some of the columns, in their own order."""
        wanted = set(keep)
        index = [i for i, path in enumerate(self.samples.paths) if path in wanted]
        paths = tuple(self.samples.paths[i] for i in index)
        kept = replace(self.samples, paths=paths, parameters=self.samples.parameters[:, index], model=None)
        return replace(self, samples=kept, n_parameters=sum(i < self.n_parameters for i in index))


def joined(samples: Samples, latents: Samples | None) -> Samples | None:
    """Parameters and latent variables side by side; None where the latter have other samples, or a name of the former."""
    if latents is None:
        return samples
    if not np.array_equal(samples.log_weight, latents.log_weight) or set(samples.paths) & set(latents.paths):
        return None
    return replace(samples, paths=samples.paths + latents.paths, parameters=np.hstack([samples.parameters, latents.parameters]), model=None)


def short(text: str) -> str:
    """A text from outside on one line, without what steers a terminal or turns text around, and not endless."""
    plain = CONTROLS.sub("?", re.sub("[\t\n]", "?", text))
    return plain if len(plain) <= LONGEST_TEXT else f"{plain[: LONGEST_TEXT - 3]}..."


# ---- the formats ---------------------------------------------------------------------------------------------------------------------


def csv_files(posterior: Posterior) -> Files:
    """``STEM.csv``: every digit of every sample, as `fitcore.samples.Samples.from_csv` reads it; ``STEM.columns.csv``: what they are."""
    names = posterior.names
    samples = replace(posterior.samples, paths=tuple(names[path] for path in posterior.samples.paths), model=None)
    rows = [["name", "path", "kind", "latex", "unit", "description"]]
    for path, name in names.items():
        meaning = posterior.meanings.get(path, About())
        kind = "derived" if posterior.is_derived(path) else "parameter"
        rows.append([name, short(path), kind, meaning.latex, meaning.unit, meaning.description])
    return {f"{posterior.stem}.csv": samples.to_csv().encode(), f"{posterior.stem}.columns.csv": _csv(rows).encode()}


def getdist_files(posterior: Posterior) -> Files:
    """GetDist's chain: ``STEM.txt`` (weight, minus log of likelihood times prior, columns) and what it is told about it.

    That is ``STEM.paramnames``, ``STEM.ranges`` and ``STEM.properties.ini``. Derived columns are marked by ``*``; hard limits of the priors
    are in the ranges. The samples are said to be uncorrelated, so that no burn-in is cut off. Where a log-likelihood is
    unknown the second column is zero throughout.
    """
    known, names = posterior.known, posterior.names
    samples = known.samples
    minus = -(samples.log_likelihood + samples.log_prior)
    minus = minus if np.isfinite(minus).all() else np.zeros(len(samples))
    table = np.column_stack([samples.weight, minus, samples.parameters])
    supports = {} if posterior.model is None else {path: prior.support for path, prior in posterior.model.priors.items()}
    params, ranges = [], []
    for path in samples.paths:
        params.append(f"{names[path]}{'*' if known.is_derived(path) else ''}\t{known.latex(path)}\n")
        ends = [repr(float(end)) if math.isfinite(end) else "N" for end in supports.get(path, (-math.inf, math.inf))]
        ranges.append(f"{names[path]} {ends[0]} {ends[1]}\n")
    return {
        f"{posterior.stem}.txt": "".join(" ".join(map(repr, row)) + "\n" for row in table.tolist()).encode(),
        f"{posterior.stem}.paramnames": "".join(params).encode(),
        f"{posterior.stem}.ranges": "".join(ranges).encode(),
        f"{posterior.stem}.properties.ini": b"sampler=uncorrelated\nignore_rows=0\n",
    }


def anesthetic_files(posterior: Posterior) -> Files:
    """``STEM.anesthetic.csv``, as ``anesthetic.read_csv`` reads it: columns with their labels, the weights in the index, ``logL``."""
    known, names = posterior.known, posterior.names
    samples = known.samples
    labels = [*(known.label(path) for path in samples.paths), r"$\ln\mathcal{L}$", r"$\ln\pi$"]
    head = [["", "", *(names[path] for path in samples.paths), "logL", "log_prior"], ["labels", "", *labels]]
    head.append(["", "weights", *[""] * len(labels)])
    table = np.column_stack([samples.weight, samples.parameters, samples.log_likelihood, samples.log_prior])
    rows = [f"{i}," + ",".join(map(repr, row)) + "\n" for i, row in enumerate(table.tolist())]
    return {f"{posterior.stem}.anesthetic.csv": (_csv(head) + "".join(rows)).encode()}


def arviz_files(posterior: Posterior, *, seed: int = 0) -> Files:
    """``STEM.nc``, netCDF as both lines of ArviZ read it (``InferenceData`` of 0.x, ``DataTree`` of 1.x).

    ArviZ knows no weights. Groups ``posterior`` and ``sample_stats`` hold draws of equal weight by systematic resampling, as many as the
    samples are worth; ``weighted_posterior`` holds every sample, and ``weight`` beside it (they sum to one).
    """
    known, names = posterior.known, posterior.names
    samples = known.samples
    n = max(LEAST_DRAWS, math.floor(samples.effective_sample_size * (1.0 + 1e-9)))  # equal weights are worth all of them
    index = systematic_resampling(samples.weight, n, seed)
    columns = {names[path]: samples.column(path) for path in samples.paths}
    told = {names[path]: _attributes(known, path) for path in samples.paths}
    statistics = {
        "lp": samples.log_likelihood + samples.log_prior,
        "log_likelihood": samples.log_likelihood,
        "log_prior": samples.log_prior,
    }
    facts = {
        "inference_library": "fitcore",
        "log_evidence": samples.log_evidence,
        "log_evidence_error": samples.log_evidence_error,
        "effective_sample_size": samples.effective_sample_size,
        "resampling": f"systematic, {n} draws of equal weight, seed {seed}",
        "about": _json(posterior.about),
    }

    def group(values: Mapping[str, Any], rows: Any, size: int) -> Group:
        dimensions = {"chain": np.zeros(1, dtype=np.int64), "draw": np.arange(size, dtype=np.int64)}
        variables = {name: np.ascontiguousarray(column[rows][None]) for name, column in values.items()}
        return Group(dimensions=dimensions, variables=variables, attributes=facts, variable_attributes=told)

    groups = {
        "posterior": group(columns, index, n),
        "sample_stats": group(statistics, index, n),
        "weighted_posterior": group({**columns, "weight": samples.weight, **statistics}, slice(None), len(samples)),
    }
    return {f"{posterior.stem}.nc": netcdf_bytes(groups, facts)}


def corner_files(posterior: Posterior) -> Files:
    """``STEM.corner.png`` and ``STEM.corner.pdf``: parameters against each other by the package corner, but for those of a single value."""
    known = posterior.known
    wanted = [path for path in known.samples.paths if (path in posterior.drawn if posterior.drawn else not known.is_derived(path))]
    drawn = [path for path in wanted if np.ptp(known.samples.column(path)) > 0.0][:MOST_DRAWN]
    if not drawn:
        raise SpecError("corner: no parameter has more than one value, so no axis can be drawn. Take another format.")
    shown = known.with_columns(drawn)
    size = 1.5 + 1.7 * len(drawn)
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(size, size))  # half a second that other formats need not wait
    labels = {path: NOT_IN_FONT.sub("?", shown.label(path)) for path in drawn}
    labels = {
        path: label if len(label) <= LONGEST_LABEL or "$" in label else f"{label[: LONGEST_LABEL - 3]}..." for path, label in labels.items()
    }
    shown.samples.to_corner(labels=labels, fig=figure, plot_datapoints=False, max_n_ticks=3, labelpad=0.1, quiet=True)
    figure.suptitle(posterior.stem, x=0.98, ha="right", parse_math=False)
    files = {}
    for kind, metadata in (("png", {"Software": "fitcore"}), ("pdf", {"Creator": "fitcore", "CreationDate": None})):
        buffer = io.BytesIO()
        figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, bbox_inches="tight", metadata=metadata)
        files[f"{posterior.stem}.corner.{kind}"] = buffer.getvalue()
    return files


def about_file(posteriors: Sequence[Posterior]) -> Files:
    """``STEM.about.json``, of the first: where the files come from, and of every column name, path, label, unit and meaning."""
    first = posteriors[0]
    columns = [
        {
            "name": posterior.names[path],
            "path": path,
            "kind": "derived" if posterior.is_derived(path) else "parameter",
            **_words(posterior.meanings.get(path, About())),
        }
        for posterior in posteriors
        for path in posterior.samples.paths
    ]
    return {f"{first.stem}.about.json": _json({**first.about, "columns": columns}, indent=1).encode()}


FORMATS: dict[str, Callable[[Posterior], Files]] = {
    "corner": corner_files,
    "getdist": getdist_files,
    "anesthetic": anesthetic_files,
    "arviz": arviz_files,
    "csv": csv_files,
}
"""By the name that `fitcore export` takes."""
MASKING = ("csv",)
"""Formats that keep columns with masked values."""


def _words(meaning: About) -> dict[str, str]:
    return {"latex": meaning.latex, "unit": meaning.unit, "description": meaning.description}


def _attributes(posterior: Posterior, path: str) -> dict[str, str]:
    meaning = posterior.meanings.get(path, About())
    found = {"long_name": posterior.label(path), "units": meaning.unit, "description": meaning.description, "path": short(path)}
    return {key: short(text) for key, text in found.items() if text}


def _csv(rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([short(cell) for cell in row] for row in rows)
    return text.getvalue()


def _json(value: Any, indent: int | None = None) -> str:
    """JSON as every reader takes it: no NaN, ASCII alone."""
    return json.dumps(_finite(value), allow_nan=False, indent=indent)


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
