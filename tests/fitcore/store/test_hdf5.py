"""HDF5 images: readable by anyone, checked by us before the library sees them. What is refused is in `test_reading`."""

import io

import h5py
import numpy as np
import pytest

from fitcore.errors import CanonicalFormError
from fitcore.store import hdf5


def test_other_programs_can_read_it():
    rng = np.random.default_rng(1)
    arrays = hdf5.checked_arrays({"x": rng.normal(size=(1000, 3)), "names": np.array(["a", "bc"])})
    data = hdf5.image(arrays, {"attributes.json": b"{}"}, {"digest": "d"})
    with h5py.File(io.BytesIO(data)) as file:
        assert np.array_equal(file["x"], arrays["x"])
        assert list(file["names"]) == [b"a", b"bc"]
        assert file.attrs["digest"] == "d"
        assert file["x"].fletcher32
    assert data.startswith(b"fitcore HDF5 file; sha256 of the bytes from 512 on: ")


@pytest.mark.parametrize("shape", [(1_000_000,), (3, 400_000), (2, 2, 300_000), (0,), (5, 0), ()])
def test_arrays_of_every_shape(shape):
    arrays = hdf5.checked_arrays({"x": np.zeros(shape)})
    found, _ = hdf5.contents(hdf5.image(arrays, {}, {}))
    assert found["x"].shape == shape


def test_views_and_orders_do_not_matter():
    x = np.arange(24.0).reshape(4, 6)
    images = {hdf5.image(hdf5.checked_arrays({"x": view}), {}, {}) for view in (x, np.asfortranarray(x), np.hstack([x, x])[:, :6])}
    assert len(images) == 1


def test_nothing_is_opened_before_its_hash_is_checked():
    """Flipped bits in the library's own tables can make it loop for ever or crash: every one must be stopped before."""
    data = hdf5.image({"x": np.arange(100.0)}, {}, {})
    rng = np.random.default_rng(1)
    for position in rng.integers(len(data), size=300):
        bad = bytearray(data)
        bad[position] ^= 1 << int(rng.integers(8))
        with pytest.raises(hdf5.ForeignContentError, match="the sha256 at its beginning does not match the rest"):
            hdf5.contents(bytes(bad))


@pytest.mark.parametrize(
    "value", [np.array([None]), np.array(["a"], dtype=object), np.array([1], dtype="M8[s]"), np.zeros(2, dtype=[("a", "f8")])]
)
def test_types_that_are_refused(value):
    with pytest.raises(CanonicalFormError, match=r"array 'x' has the type .*: only booleans, numbers and strings of fixed length"):
        hdf5.checked_arrays({"x": value})


def test_a_claimed_text_type_cannot_blow_up():
    data = hdf5.image(hdf5.checked_arrays({"names": np.array(["a", "bc"])}), {}, {})
    buffer = io.BytesIO(data)
    with h5py.File(buffer, "r+") as file:
        file["names"].attrs["text_dtype"] = "<U99999999"
    data = buffer.getvalue()
    with pytest.raises(hdf5.ForeignContentError, match="claims the type '<U99999999'"):
        hdf5.contents(hdf5._seal(data) + data[hdf5.SEAL_BYTES :])


def test_files_of_other_libraries(tmp_path):
    with h5py.File(tmp_path / "good.h5", "w") as file:
        file.create_group("a/b").create_dataset("x", data=np.zeros(10), compression="gzip")
    hdf5.check_foreign(tmp_path / "good.h5")
    with h5py.File(tmp_path / "bad.h5", "w") as file:
        file.create_group("a")["b"] = h5py.ExternalLink("/etc/hostname", "/")
    with pytest.raises(hdf5.ForeignContentError, match="'b' is a link that leaves the file"):
        hdf5.check_foreign(tmp_path / "bad.h5")
