"""A posterior as files: read back by each tool's own reader, it has the same weighted medians and errors; hostile names do no harm."""

from __future__ import annotations

import csv
import io
import json
import math
import re
import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from fitcore.board import About
from fitcore.errors import SpecError
from fitcore.exports import FORMATS, MOST_DRAWN, Posterior, about_file, joined
from fitcore.model import LogUniform, Model, Normal, Uniform
from fitcore.samples import Samples
from fitcore.statistics import central_interval, weighted_quantile

PATHS = ("mass.einstein_radius", "flux", "slope", "radius_effective", "angle")
MEANINGS = {
    "mass.einstein_radius": About(latex=r"\theta_{\rm E}", unit="arcsec", description="on the intermediate axis"),
    "angle": About(latex=r"\phi", unit="deg", description="east of north"),
    "slope": About(latex=r"\gamma"),
}
MODEL = Model({"mass": {"einstein_radius": LogUniform(0.1, 4)}, "flux": Normal(0, 1), "slope": Uniform(1.5, 2.5)})
HOSTILE = (
    "<b>x</b>",
    "\x1b[2Jy",
    "a/../b",
    "quote\"'`",
    "x" * 10_000,
    "日本語",
    "日本人",
    "new\nline,comma",
    "#!*?",
    " ",
    "$\\frac{",
    "..",
)


def made(n: int = 400) -> Samples:
    """Weights over three decades; one sample in ten has none and lies far out, with unknown values."""
    rng = np.random.default_rng(11)
    parameters = rng.normal([1.2, 0.0, 2.0, 1.1, 95.0], [0.1, 1.0, 0.2, 0.05, 12.0], size=(n, 5))
    log_weight = rng.normal(size=n)
    parameters[::10] = 50.0
    parameters[::10, 4] = math.nan
    log_weight[::10] = -math.inf
    return Samples(
        paths=PATHS, parameters=parameters, log_likelihood=-0.5 * parameters[:, 1] ** 2, log_prior=-parameters[:, 0], log_weight=log_weight,
        log_evidence=-12.5, log_evidence_error=0.25,
    )  # fmt: skip


def posterior(**changes: Any) -> Posterior:
    fields = {"stem": "lens-stage", "samples": made(), "n_parameters": 3, "model": MODEL, "meanings": MEANINGS, "about": {"name": "lens"}}
    return Posterior(**{**fields, **changes})


def written(folder: Path, form: str, item: Posterior | None = None) -> Path:
    """Write the files of one format; the path of the stem."""
    item = item or posterior()
    for name, data in FORMATS[form](item).items():
        (folder / name).write_bytes(data)
    return folder / item.stem


def assert_same(values: Any, weights: Any, path: str, samples: Samples | None = None) -> None:
    """Weighted median and both 1-sigma errors of a column that was read back, to 1e-6 of the error."""
    own = samples or made()
    column = own.column(path)
    known = ~np.isnan(column) & (own.weight > 0)
    lower, median, upper = weighted_quantile(column[known], [0.15865525393145707, 0.5, 0.8413447460685429], own.weight[known])
    got = weighted_quantile(np.asarray(values, float), [0.15865525393145707, 0.5, 0.8413447460685429], np.asarray(weights, float))
    np.testing.assert_allclose(got, [lower, median, upper], rtol=0, atol=1e-6 * (upper - lower))


def test_csv(tmp_path: Path) -> None:
    stem = written(tmp_path, "csv")
    back = Samples.from_csv(Path(f"{stem}.csv").read_text())
    assert back == made()  # every digit, masked values and weights of zero included
    rows = list(csv.DictReader(io.StringIO(Path(f"{stem}.columns.csv").read_text())))
    assert [row["name"] for row in rows] == list(PATHS)
    assert [row["kind"] for row in rows] == ["parameter"] * 3 + ["derived"] * 2
    assert (rows[0]["latex"], rows[0]["unit"], rows[0]["description"]) == (r"\theta_{\rm E}", "arcsec", "on the intermediate axis")
    for path in PATHS:
        has_weight = back.weight > 0
        assert_same(back.column(path)[has_weight], back.weight[has_weight], path)


def test_csv_by_pandas(tmp_path: Path) -> None:
    pandas = pytest.importorskip("pandas", reason="pandas reads the table as most people do; it comes with anesthetic")
    table = pandas.read_csv(f"{written(tmp_path, 'csv')}.csv")
    np.testing.assert_allclose(table["flux"].to_numpy(), made().column("flux"), rtol=1e-12, atol=1e-14)


def test_getdist(tmp_path: Path) -> None:
    getdist = pytest.importorskip("getdist", reason="GetDist, of the extra handover")
    stem = written(tmp_path, "getdist")
    chains = getdist.loadMCSamples(str(stem), no_cache=True)
    assert chains.getParamNames().list() == list(PATHS)
    assert [param.isDerived for param in chains.getParamNames().names] == [False, False, False, True, True]
    assert chains.getParamNames().labels()[0] == r"\theta_{\rm E}\ [\mathrm{arcsec}]"
    assert chains.sampler == "uncorrelated"
    limits = [(chains.ranges.getLower(path), chains.ranges.getUpper(path)) for path in PATHS]
    assert limits == [(0.1, 4.0), (None, None), (1.5, 2.5), (None, None), (None, None)]
    kept = made().weight > 0
    np.testing.assert_allclose(chains.loglikes, -(made().log_likelihood + made().log_prior)[kept], rtol=1e-12)
    assert len(chains.weights) == kept.sum()  # no burn-in is cut off
    for i, path in enumerate(PATHS):
        assert_same(chains.samples[:, i], chains.weights, path)
    first = made().parameters[kept][:, :3]
    np.testing.assert_allclose(chains.getMeans()[:3], made().weight[kept] @ first, rtol=1e-9)  # GetDist's own
    getdist.loadMCSamples(str(stem), no_cache=True).getInlineLatex("angle", limit=1)


def test_getdist_without_likelihoods(tmp_path: Path) -> None:
    files = FORMATS["getdist"](posterior(samples=replace(made(), log_likelihood=np.full(400, math.nan)), model=None))
    table = np.loadtxt(io.BytesIO(files["lens-stage.txt"]))
    assert not table[:, 1].any()
    assert b"flux N N" in files["lens-stage.ranges"]


def test_anesthetic(tmp_path: Path) -> None:
    anesthetic = pytest.importorskip("anesthetic", reason="anesthetic, of the extra handover")
    stem = written(tmp_path, "anesthetic")
    frame = anesthetic.read_csv(f"{stem}.anesthetic.csv")
    plain = frame.drop_labels()
    assert list(plain.columns) == [*PATHS, "logL", "log_prior"]
    assert frame.get_label("mass.einstein_radius") == r"$\theta_{\rm E}$ [arcsec]"
    assert frame.get_label("flux") == "flux"
    kept = made().weight > 0
    np.testing.assert_allclose(frame.get_weights() / frame.get_weights().sum(), made().weight[kept] / made().weight[kept].sum(), rtol=1e-12)
    np.testing.assert_allclose(plain["logL"].to_numpy(), made().log_likelihood[kept], rtol=1e-12)
    for path in PATHS:
        assert_same(plain[path].to_numpy(), frame.get_weights(), path)
    np.testing.assert_allclose(float(frame["flux"].mean()), made().weight @ made().column("flux"), rtol=1e-9)  # anesthetic's own
    again = anesthetic.read_chains(str(written(tmp_path, "getdist")))  # it reads GetDist's form as well
    assert_same(again["slope"].to_numpy(), again.get_weights(), "slope")


def check_groups(posterior_group: Any, weighted: Any, statistics: Any) -> None:
    """What ArviZ has of the file, in either of its lines."""
    for path in PATHS:
        assert_same(weighted[path].values[0], weighted["weight"].values[0], path)
    assert weighted["weight"].values.sum() == pytest.approx(1.0, abs=1e-12)
    drawn = np.array([posterior_group[path].values[0] for path in PATHS]).T
    n = math.floor(made().effective_sample_size)
    assert drawn.shape == (n, 5)
    taken = np.array([(drawn == row).all(axis=1).sum() for row in made().parameters])
    assert np.all(np.abs(taken - n * made().weight) < 1.0)  # every sample as often as its weight says, rounded down or up
    assert posterior_group["mass.einstein_radius"].attrs["units"] == "arcsec"
    assert posterior_group["mass.einstein_radius"].attrs["long_name"] == r"$\theta_{\rm E}$ [arcsec]"
    assert posterior_group.attrs["log_evidence"] == -12.5
    assert json.loads(posterior_group.attrs["about"]) == {"name": "lens"}
    np.testing.assert_allclose(statistics["lp"], statistics["log_likelihood"] + statistics["log_prior"], rtol=1e-12)


@pytest.mark.filterwarnings("default")
def test_arviz(tmp_path: Path) -> None:
    """Line 0 makes an InferenceData of the file, line 1 a DataTree; whichever is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # line 0 announces line 1 when it is imported
        arviz = pytest.importorskip("arviz", reason="ArviZ reads netCDF by h5netcdf; Samples.to_arviz needs arviz-base alone")
    found = arviz.from_netcdf(f"{written(tmp_path, 'arviz')}.nc")
    assert type(found).__name__ == ("InferenceData" if arviz.__version__.startswith("0.") else "DataTree")
    check_groups(found["posterior"], found["weighted_posterior"], found["sample_stats"])


@pytest.mark.parametrize(("engine", "module"), [("h5netcdf", "h5netcdf"), ("netcdf4", "netCDF4")])
def test_netcdf_by_xarray(tmp_path: Path, engine: str, module: str) -> None:
    pytest.importorskip(module, reason=f"xarray reads netCDF by {module}")
    xarray = pytest.importorskip("xarray", reason="xarray, of the extra handover")
    tree = xarray.open_datatree(f"{written(tmp_path, 'arviz')}.nc", engine=engine)
    assert tree["posterior"]["flux"].dims == ("chain", "draw")
    check_groups(tree["posterior"], tree["weighted_posterior"], tree["sample_stats"])
    tree.close()


def test_netcdf_is_hdf5_with_dimensions() -> None:
    """Without any reader of netCDF: each variable has its two dimensions, each of which has a number."""
    data = FORMATS["arviz"](posterior())["lens-stage.nc"]
    with h5py.File(io.BytesIO(data)) as file:
        assert sorted(file) == ["posterior", "sample_stats", "weighted_posterior"]
        numbers = [file[group][name].attrs["_Netcdf4Dimid"] for group in file for name in ("chain", "draw")]
        assert sorted(numbers) == list(range(6))
        variable = file["weighted_posterior"]["flux"]
        assert [scale[0].name for scale in variable.dims] == ["/weighted_posterior/chain", "/weighted_posterior/draw"]
    assert FORMATS["arviz"](posterior())["lens-stage.nc"] == data


def test_corner() -> None:
    files = FORMATS["corner"](posterior(drawn=("mass.einstein_radius", "slope")))
    assert sorted(files) == ["lens-stage.corner.pdf", "lens-stage.corner.png"]
    assert files["lens-stage.corner.png"].startswith(b"\x89PNG")
    assert files["lens-stage.corner.pdf"].startswith(b"%PDF")


def test_corner_draws_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[Any] = []
    monkeypatch.setattr(Samples, "to_corner", lambda self, *, labels, fig, **options: shown.append((self.paths, labels)))
    FORMATS["corner"](posterior())
    FORMATS["corner"](posterior(drawn=("angle",)))
    assert [paths for paths, _ in shown] == [PATHS[:3], ("angle",)]  # parameters, unless something is named
    assert shown[0][1] == {"mass.einstein_radius": r"$\theta_{\rm E}$ [arcsec]", "flux": "flux", "slope": r"$\gamma$"}
    constant = replace(made(), parameters=np.where([False, True, False, False, False], made().parameters[:1, 1:2], made().parameters))
    FORMATS["corner"](posterior(samples=constant))
    assert shown[-1][0] == ("mass.einstein_radius", "slope")
    wide = replace(made(), paths=tuple(f"p{i}" for i in range(30)), parameters=np.tile(made().parameters[:, :1], 30))
    FORMATS["corner"](posterior(samples=wide, n_parameters=30))
    assert len(shown[-1][0]) == MOST_DRAWN
    alike = replace(made(), parameters=np.ones((400, 5)))
    with pytest.raises(SpecError, match="corner: no parameter has more than one value"):
        FORMATS["corner"](posterior(samples=alike))


def test_masked_columns_are_left_out_and_told(tmp_path: Path) -> None:
    parameters = made().parameters.copy()
    parameters[3, 4] = math.nan  # of a sample that has weight
    item = posterior(samples=replace(made(), parameters=parameters))
    assert item.left_out == ("angle",)
    assert posterior().left_out == ()
    table = np.loadtxt(io.BytesIO(FORMATS["getdist"](item)["lens-stage.txt"]))
    assert table.shape == (360, 2 + 4)
    assert np.isfinite(table).all()
    assert b"angle" not in FORMATS["anesthetic"](item)["lens-stage.anesthetic.csv"]
    assert Samples.from_csv(FORMATS["csv"](item)["lens-stage.csv"].decode()) == item.samples
    with pytest.raises(SpecError, match="No parameter is known in all samples"):
        _ = posterior(samples=replace(made(), parameters=np.full((400, 5), math.nan))).known


def test_latent_variables_are_joined_where_they_belong() -> None:
    samples = replace(made(), paths=("a", "b", "c", "d", "e"))
    both = joined(samples, made())
    assert both is not None
    assert both.paths == (*samples.paths, *PATHS)
    np.testing.assert_array_equal(both.parameters[:, 5:], made().parameters)
    assert joined(samples, None) is samples
    assert joined(samples, made(300)) is None
    assert joined(made(), made()) is None  # the same names


def test_about() -> None:
    told = json.loads(about_file([posterior(about={"x": math.nan, "name": "é"})])["lens-stage.about.json"])
    assert told["x"] is None
    assert told["name"] == "é"
    assert [column["name"] for column in told["columns"]] == list(PATHS)
    assert told["columns"][4] == {
        "name": "angle", "path": "angle", "kind": "derived", "latex": r"\phi", "unit": "deg", "description": "east of north"
    }  # fmt: skip


def hostile() -> Posterior:
    rng = np.random.default_rng(3)
    n = len(HOSTILE)
    samples = Samples(
        paths=HOSTILE, parameters=rng.normal(size=(300, n)), log_likelihood=np.zeros(300), log_prior=np.zeros(300), log_weight=np.zeros(300)
    )
    meanings = {HOSTILE[0]: About(unit="<i>\x1b$%#", description="a\nb\x00" + "z" * 10_000)}
    return Posterior(stem="lens", samples=samples, n_parameters=n, meanings=meanings, about={"note": "\x1b[2J</script>" + "y" * 10_000})


def test_names_are_plain_and_distinct() -> None:
    names = hostile().names
    assert len(set(names.values())) == len(HOSTILE)
    for name in names.values():
        assert re.fullmatch(r"[A-Za-z0-9_+-][A-Za-z0-9_.+-]{0,63}", name), name
    assert names["日本語"] != names["日本人"]
    assert posterior().names == {path: path for path in PATHS}


@pytest.mark.parametrize("stem", ["", "../x", "a/b", ".hidden", "a b", "ä", "\x1b"])
def test_a_stem_is_a_file_name(stem: str) -> None:
    with pytest.raises(SpecError, match="The stem of the files is"):
        posterior(stem=stem)


@pytest.mark.parametrize("form", FORMATS)
def test_hostile_names(form: str, tmp_path: Path) -> None:
    item = hostile()
    files = FORMATS[form](item.with_columns([HOSTILE[i] for i in (1, 3, 5)]) if form == "corner" else item)
    for name, data in files.items():
        assert re.fullmatch(r"lens(\.[a-z]+)+", name)
        if form in ("csv", "getdist", "anesthetic"):
            text = data.decode()
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f]", text), name
            assert max(len(line) for line in text.splitlines()) < 5_000, name
    if form == "getdist":
        getdist = pytest.importorskip("getdist", reason="GetDist, of the extra handover")
        stem = written(tmp_path, form, item)
        assert getdist.loadMCSamples(str(stem), no_cache=True).getParamNames().list() == list(item.names.values())
    if form == "anesthetic":
        anesthetic = pytest.importorskip("anesthetic", reason="anesthetic, of the extra handover")
        written(tmp_path, form, item)
        assert list(anesthetic.read_csv(f"{tmp_path / 'lens'}.anesthetic.csv").drop_labels().columns[:-2]) == list(item.names.values())


def test_both_lines_of_arviz_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Samples.to_arviz` makes an InferenceData where only arviz of line 0 is there."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        arviz = pytest.importorskip("arviz", reason="ArviZ of line 0; that of line 1 is tested by arviz-base")
    if not arviz.__version__.startswith("0."):
        pytest.skip("ArviZ is of line 1, whose form arviz-base makes")
    monkeypatch.setitem(sys.modules, "arviz_base", None)
    samples = made()
    kept = replace(samples, paths=PATHS[:4], parameters=samples.parameters[:, :4])
    found = kept.to_arviz(n=500, seed=1, labels={"flux": "$f$"})
    assert type(found).__name__ == "InferenceData"
    assert found["posterior"]["flux"].attrs["long_name"] == "$f$"
    assert found["posterior"].attrs["log_evidence"] == -12.5
    assert found["sample_stats"]["lp"].shape == (1, 500)


def test_the_intervals_are_those_of_the_tables() -> None:
    """The quantiles compared above are those that fitcore tells."""
    assert central_interval(1.0) == pytest.approx((0.15865525393145707, 0.8413447460685429), abs=1e-15)
