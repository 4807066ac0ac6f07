"""netCDF-4 files in memory: groups of variables on named dimensions, as ArviZ reads them. Nothing of a posterior is known here.

A netCDF-4 file is an HDF5 file whose dimensions are dimension scales (Unidata, "NetCDF-4 file format specification"), so h5py, which is
here anyway, writes it. The same bytes come of the same content: no times are kept.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass, field

import h5py
import numpy as np
from numpy.typing import NDArray

Attributes = Mapping[str, str | int | float]


@dataclass(frozen=True, kw_only=True)
class Group:
    """One group.

    Parameters
    ----------
    dimensions : by name, the coordinate's values, shape (n,), in the order of the axes that all variables have.
    variables : by name, arrays of the shape that the dimensions give.
    attributes : of the group.
    variable_attributes : by variable.
    """

    dimensions: Mapping[str, NDArray[np.int64]]
    variables: Mapping[str, NDArray[np.float64]]
    attributes: Attributes = field(default_factory=dict)
    variable_attributes: Mapping[str, Attributes] = field(default_factory=dict)


def netcdf_bytes(groups: Mapping[str, Group], attributes: Attributes) -> bytes:
    """The file as bytes; ``attributes`` are those of the whole."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", track_order=True) as file:
        _describe(file, attributes)
        first = 0  # every dimension of a file has a number of its own
        for name, group in groups.items():
            _fill(file.create_group(name, track_order=True), group, first)
            first += len(group.dimensions)
    return buffer.getvalue()


def _fill(target: h5py.Group, group: Group, first: int) -> None:
    _describe(target, group.attributes)
    scales = []
    for number, (name, values) in enumerate(group.dimensions.items(), first):
        scale = target.create_dataset(name, data=values, track_order=True)
        scale.make_scale(name)
        scale.attrs["_Netcdf4Dimid"] = np.int32(number)
        scales.append(scale)
    for name, values in group.variables.items():
        variable = target.create_dataset(name, data=values, track_order=True)
        for axis, scale in enumerate(scales):
            variable.dims[axis].attach_scale(scale)
        variable.attrs["_FillValue"] = np.full(1, np.nan)
        _describe(variable, group.variable_attributes.get(name, {}))


def _describe(target: h5py.HLObject, attributes: Attributes) -> None:
    for key, value in attributes.items():
        target.attrs[key] = value
