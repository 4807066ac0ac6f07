"""A part is one file: its commit record, then its HDF5 file. Those that earlier versions wrote as two are read as ever."""

import hashlib

import h5py
import numpy as np
import pytest

from fitcore.errors import StoreError
from fitcore.store import QuarantineWarning, Store, durable, encoding, hdf5
from fitcore.store.reading import MANIFEST, hdf5_marks

DIGEST = "ab" * 32


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path)
    store.commit(DIGEST, arrays={"x": np.arange(4.0)}, attributes={"of": "result"}, spec={"n": 1})
    return store


def files(store):
    return sorted(path.name for path in (store.path / "results" / "ab" / DIGEST).iterdir())


def part(store, **more):
    return store.commit_part(DIGEST, "latents", arrays={"m": np.arange(3.0)}, attributes={"of": "part"}, **more)


def as_two_files(store):
    """The part as earlier versions wrote it."""
    record = part(store)
    folder, arrays = record.path.parent, {"m": np.arange(3.0)}
    texts = {"attributes.json": b'{"of":"part"}', "spec.json": b"null"}
    data = hdf5.image(arrays, texts, hdf5_marks(DIGEST, "latents", str(record.manifest["parent_sha256"])))
    promise = {"latents.h5": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}
    record.path.unlink()
    (folder / "latents.h5").write_bytes(data)
    body = {name: value for name, value in record.manifest.items() if name not in ("files", "hmac")}
    (folder / "latents.manifest.json").write_bytes(encoding.signed({**body, "files": promise}, MANIFEST, store.key))
    return folder


def test_a_result_with_a_part_is_three_files(store):
    part(store, provenance={"device": "x" * 5000})
    assert files(store) == ["latents.part.h5", "manifest.json", "result.h5"]
    record = store.read(DIGEST, "latents")
    assert (record.attributes, record.arrays()["m"].tolist()) == ({"of": "part"}, [0, 1, 2])
    assert record.provenance["device"] == "x" * 5000
    assert store.parts(DIGEST) == ["latents"]
    assert store.verify() == []
    with h5py.File(record.path) as file:  # other programs read it too
        assert np.asarray(file["m"]).tolist() == [0, 1, 2]
    data = record.path.read_bytes()
    head, block = hdf5.parted(data)
    assert hashlib.sha256(data[block:]).hexdigest() == record.sha256
    assert encoding.unsigned(head)["digest"] == DIGEST


def test_the_first_part_wins_and_equal_ones_have_equal_arrays(store, tmp_path):
    first = part(store, provenance={"who": "first"})
    assert part(store, provenance={"who": "second"}).provenance["who"] == "first"
    other = Store(tmp_path / "other")
    other.commit(DIGEST, arrays={"x": np.arange(4.0)}, attributes={"of": "result"}, spec={"n": 1})
    assert part(other, provenance={"who": "other"}).sha256 == first.sha256


def test_every_byte_of_a_part_is_guarded(store):
    record = part(store)
    good, rng = record.path.read_bytes(), np.random.default_rng(1)
    block = hdf5.parted(good)[1]
    record.path.chmod(0o644)
    places = [0, block - 1, block, len(good) - 1, *rng.integers(0, block, 40), *rng.integers(block, len(good), 40)]
    bad = [good[:i] + bytes([good[i] ^ (1 << int(rng.integers(8)))]) + good[i + 1 :] for i in map(int, places)]
    bad += [good[:n] for n in (0, 1, block - 1, block, len(good) - 1)] + [good + b"\0", good[: block - 1] + b" " + good[block:]]
    for data in bad:
        record.path.unlink()
        record.path.write_bytes(data)
        with pytest.warns(QuarantineWarning):
            assert store.lookup(DIGEST, "latents") is None
        record.path.write_bytes(good)
        assert store.lookup(DIGEST, "latents") is not None


def test_a_part_of_another_result_or_name_is_not_served(store):
    record = part(store)
    (record.path.parent / "others.part.h5").write_bytes(record.path.read_bytes())
    with pytest.warns(QuarantineWarning, match="belongs to another result"):
        assert store.lookup(DIGEST, "others") is None


def test_a_torn_part_is_put_aside_and_published_again(store):
    folder = store.path / "results" / "ab" / DIGEST
    (folder / "latents.part.h5").write_bytes(b'{"half": ')
    with pytest.warns(QuarantineWarning, match="no commit record at its beginning"):
        assert part(store).attributes == {"of": "part"}
    assert store.verify() == []


def test_without_hard_links_the_name_is_given_to_a_whole_file(store, monkeypatch):
    def no_links(source, target):
        raise OSError(95, "not supported")

    monkeypatch.setattr(durable, "link", no_links)
    assert part(store, provenance={"who": "first"}).provenance["who"] == "first"
    assert part(store, provenance={"who": "second"}).provenance["who"] == "first"
    assert files(store) == ["latents.part.h5", "manifest.json", "result.h5"]


def test_two_files_of_an_earlier_version_are_read_as_ever(store):
    folder = as_two_files(store)
    record = store.read(DIGEST, "latents")
    assert (record.path.name, record.attributes, record.arrays()["m"].tolist()) == ("latents.h5", {"of": "part"}, [0, 1, 2])
    assert part(store).path.name == "latents.h5"  # it is there: nothing is written
    assert store.parts(DIGEST) == ["latents"]
    assert store.verify() == []
    assert store.collect_garbage() == []
    (folder / "latents.h5").write_bytes(b"x" + (folder / "latents.h5").read_bytes()[1:])
    with pytest.warns(QuarantineWarning):
        assert store.lookup(DIGEST, "latents") is None
    assert part(store).path.name == "latents.part.h5"
    assert store.verify() == []


def test_a_part_that_is_not_signed_is_not_read(tmp_path, store):
    part(store)
    keyed = Store(tmp_path, key=b"secret")
    with pytest.raises(StoreError, match="was not signed with this store's key"):
        keyed.lookup(DIGEST, "latents")
    assert "latents.part.h5" in files(store)
