"""Mistakes that newcomers make: how each is made, with which words of the command line, and what the program must say to it.

`tests/flows/test_mistakes.py` makes them; `docs/mistakes.md` is written from this table and from what the program said.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

import fitcore as fc
from fitcore.store import store as store_module

INFO = "pixel_scale: 0.05\nredshift_lens: 0.3\nredshift_source: 1.2\n"


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake.

    Parameters
    ----------
    title : in words, as a row of the document.
    words : of the command line, after ``fitcore``; {base} is the folder of the test, {lens} a right dataset, {store} a finished store.
    make : what is done before, in the folder of the test.
    python : what is called in place of the command line.
    remedy : what the message must hold: not that it failed, but what to do.
    code : the exit code.
    variables : of the environment.
    """

    title: str
    words: str = ""
    remedy: str
    code: int = 2
    make: Callable[[Path, Any], None] | None = None
    python: Callable[[], Any] | None = None
    variables: dict[str, str] = field(default_factory=dict)


def planes(seed: int = 1) -> dict[str, np.ndarray]:
    """An image of noise with its noise map and PSF: enough to be read."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-3:4, -3:4]
    return {"image": rng.normal(0, 0.1, (61, 61)), "noise": np.full((61, 61), 0.1), "psf": np.exp(-0.5 * (x**2 + y**2))}


def write(folder: Path, info: str = INFO, **changed: Any) -> Path:
    """A dataset folder; planes that are None are left out."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in {**planes(), **changed}.items():
        if array is not None:
            fits.writeto(folder / f"{name}.fits", array, overwrite=True)
    (folder / "info.yaml").write_text(info)
    return folder


def lens(**changed: Any) -> Callable[[Path, Any], None]:
    """Makes the dataset {base}/my_lens, with something wrong."""
    return lambda base, monkeypatch: (write(base / "my_lens", **changed), None)[1]


def text_file(name: str, text: str) -> Callable[[Path, Any], None]:
    def make(base: Path, monkeypatch: Any) -> None:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_text(text)

    return make


def swapped(first: str, second: str) -> Callable[[Path, Any], None]:
    right = planes()
    return lens(**{first: right[second], second: right[first]})


def spoiled(name: str, value: float, *, all_of_it: bool = False) -> Callable[[Path, Any], None]:
    array = planes()[name].copy()
    if all_of_it:
        array *= value
    else:
        array[30, 31] = value
    return lens(**{name: array})


def older(base: Path, monkeypatch: Any) -> None:
    fc.Store(base / "old")
    (base / "old" / "fitcore-store.json").chmod(0o644)
    (base / "old" / "fitcore-store.json").write_text('{"format": "fitcore store", "schema_version": 0}\n')


def full(base: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1e6})())


def not_allowed(base: Path, monkeypatch: Any) -> None:
    """The superuser, as whom tests may run, is refused nothing."""

    def refuse(path: Any, *more: Any, **others: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("fitcore.store.durable.os.mkdir", refuse)


def twins(base: Path, monkeypatch: Any) -> None:
    write(base / "a" / "my_lens")
    write(base / "b" / "my_lens")


def parent(base: Path, monkeypatch: Any) -> None:
    write(base / "lenses" / "one")
    write(base / "lenses" / "two")


class Forgetful(fc.Analysis):
    """Without a likelihood."""


RUN = "run {base}/my_lens --store {base}/new"
LENS = "run {lens} --store {base}/new"
MODEL = fc.Model({"a": fc.Uniform(0, 1)})

MISTAKES = [
    Mistake(title="a command misspelt", words="rum {lens}", remedy="Did you mean 'run'?"),
    Mistake(title="an option misspelt", words="run {lens} --sed 1", remedy="Possible options: --seed"),
    Mistake(title="the dataset forgotten", words="run", remedy="Try 'fitcore run --help' for help"),
    Mistake(title="a pipeline misspelt", words=f"{LENS} --pipeline lense", remedy="Did you mean 'lens'?"),
    Mistake(title="a stage misspelt", words=f"{LENS} --set powerlaw.n_eff=500", remedy="Did you mean 'power_law'?"),
    Mistake(title="a field misspelt", words=f"{LENS} --set power_law.neff=500", remedy="Did you mean 'n_eff'?"),
    Mistake(title="a setting of the wrong type", words=f"{LENS} --set power_law.n_eff=many", remedy="it must be"),
    Mistake(title="a setting without its stage", words=f"{LENS} --set n_eff=500", remedy="stage.field=value, such as power_law.n_eff=1000"),
    Mistake(title="a seed below zero", words=f"{LENS} --seed -1", remedy="greater than or equal to 0"),
    Mistake(title="a time limit in other words", words=f"{LENS} --time-limit 2hours", remedy="such as 90m"),
    Mistake(title="no datasets side by side", words=f"{LENS} --jobs 0", remedy="greater than or equal to 1"),
    Mistake(
        title="a dataset's name misspelt",
        words="run {base}/my_lems --store {base}/new",
        make=lens(),
        remedy="Did you mean '{base}/my_lens'?",
    ),
    Mistake(
        title="an empty folder",
        words=RUN,
        make=lambda base, monkeypatch: (base / "my_lens").mkdir(),
        remedy="Add what is missing",
    ),
    Mistake(
        title="the folder of all lenses", words="run {base}/lenses --store {base}/new", make=parent, remedy="fitcore run {base}/lenses/*"
    ),
    Mistake(
        title="a file in place of its folder", words="run {lens}/image.fits --store {base}/new", remedy="Did you mean its folder, {lens}?"
    ),
    Mistake(title="no noise map", words=RUN, make=lens(noise=None), remedy="has no noise.fits or noise_map.fits"),
    Mistake(title="image and PSF swapped", words=RUN, make=swapped("image", "psf"), remedy="Are the image and the PSF swapped?"),
    Mistake(
        title="image and noise map swapped", words=RUN, make=swapped("image", "noise"), remedy="Are the image and the noise map swapped?"
    ),
    Mistake(
        title="image and noise map of different shapes",
        words=RUN,
        make=lens(noise=np.full((60, 61), 0.1)),
        remedy="Cut both from the same frame",
    ),
    Mistake(
        title="a noise map below zero",
        words=RUN,
        make=spoiled("noise", -1.0, all_of_it=True),
        remedy="one standard deviation for each pixel",
    ),
    Mistake(title="NaN in the image", words=RUN, make=spoiled("image", np.nan), remedy="Mask them by a mask*.fits"),
    Mistake(title="a PSF of even size", words=RUN, make=lens(psf=np.ones((6, 6))), remedy="cut off one row or column and center it"),
    Mistake(
        title="a PSF off its middle", words=RUN, make=lens(psf=np.pad(planes()["psf"], ((0, 6), (0, 6)))), remedy="cut it about its peak"
    ),
    Mistake(title="no pixel scale", words=RUN, make=lens(info="redshift_lens: 0.3\n"), remedy="Add 'pixel_scale: 0.05' (arcsec a pixel)"),
    Mistake(title="a pixel scale in milliarcsec", words=RUN, make=lens(info="pixel_scale: 50\n"), remedy="in arcsec"),
    Mistake(
        title="a pixel scale with its unit",
        words=RUN,
        make=lens(info="pixel_scale: 0.05 arcsec\n"),
        remedy="a number of arcsec, such as 0.05",
    ),
    Mistake(title="a key of info.yaml misspelt", words=RUN, make=lens(info="pixelscale: 0.05\n"), remedy="Did you mean 'pixel_scale'?"),
    Mistake(
        title="an info.yaml that is no YAML",
        words=RUN,
        make=lens(info="pixel_scale 0.05\nname: [x\n"),
        remedy="Write one 'key: value' a line",
    ),
    Mistake(
        title="a picture in place of a FITS file",
        words=RUN,
        make=lambda base, monkeypatch: (write(base / "my_lens") / "image.fits").write_bytes(b"\x89PNG\r\n") and None,
        remedy="Write the image anew, as a plain FITS image",
    ),
    Mistake(
        title="two datasets of one name",
        words="run {base}/a/my_lens {base}/b/my_lens --store {base}/new",
        make=twins,
        remedy="Set another name",
    ),
    Mistake(title="a store that is a file", words="run {lens} --store {lens}/image.fits", remedy="name another path"),
    Mistake(title="a store in a folder of other things", words="run {lens} --store {lens}", remedy="name a new or empty folder"),
    Mistake(title="a store of another version", words="show my_lens --store {base}/old", make=older, remedy="use the fitcore that made it"),
    Mistake(title="a store where nothing may be written", words=LENS, make=not_allowed, remedy="permission"),
    Mistake(title="a full disk", words=LENS, make=full, remedy="name a store on another disk"),
    Mistake(title="a store that is not there", words="show my_lens --store {base}/none", remedy="Name one by --store or FITCORE_STORE"),
    Mistake(
        title="a store without results",
        words="show my_lens --store {base}/empty",
        make=lambda base, m: fc.Store(base / "empty") and None,
        remedy="`fitcore run` makes one",
    ),
    Mistake(title="a result's name misspelt", words="show lin --store {store}", remedy="Did you mean 'line'?"),
    Mistake(title="a result's stage misspelt", words="show line --stage secnd --store {store}", remedy="Did you mean 'second'?"),
    Mistake(title="a form of a table that there is not", words="table --format xml --store {store}", remedy="csv"),
    Mistake(title="a report whose data are gone", words="report gone --store {store}", remedy="say where they are by --dataset FOLDER"),
    Mistake(title="a new dataset over an old one", words="simulate {lens}", remedy="name a new one. Nothing was written"),
    Mistake(
        title="a settings file with a misspelt key",
        words=LENS,
        make=text_file("my.yaml", "threds: 2\n"),
        variables={"FITCORE_SETTINGS": "{base}/my.yaml"},
        remedy="Did you mean 'threads'?",
    ),
    Mistake(title="a variable with a wrong value", words=LENS, variables={"FITCORE_THREADS": "many"}, remedy="Correct or unset it"),
    Mistake(
        title="a Prefect server that is not there",
        words=f"{LENS}",
        variables={"PREFECT_API_URL": "http://127.0.0.1:9/api", "FITCORE_SERVER_SECONDS": "0.3"},
        remedy="Check PREFECT_API_URL, or unset it",
    ),
    Mistake(
        title="an Analysis without log_likelihood_function",
        python=lambda: fc.fit(MODEL, Forgetful(), fc.Nautilus(), progress=False),
        remedy="log_likelihood_function",
    ),
    Mistake(
        title="the class of an Analysis, not an instance",
        python=lambda: fc.fit(MODEL, Forgetful, fc.Nautilus()),
        remedy="not the class itself",
    ),  # type: ignore[arg-type]
    Mistake(title="a prior with its limits swapped", python=lambda: fc.Uniform(2.0, 1.0), remedy="lower"),
    Mistake(title="a path that the model does not have", python=lambda: MODEL.replace({"aa": fc.Uniform(0, 1)}), remedy="'a'"),
    Mistake(
        title="the path of a store in place of a store",
        python=lambda: fc.fit(MODEL, Forgetful(), fc.Nautilus(), store="results"),
        remedy="such as Store('results')",
    ),  # type: ignore[arg-type]
]
