"""Looking up: nothing is believed that its commit record does not promise, and nothing damaged stays in the way."""

import contextlib
import hashlib
import io
import json
import shutil
import warnings

import h5py
import numpy as np
import pytest

from fitcore.errors import CorruptResultError, ResultNotFoundError, SchemaVersionError, StoreError
from fitcore.store import QuarantineWarning, Store, durable, encoding, hdf5

DIGEST = "ab" * 32


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    arrays = {"x": np.arange(40.0).reshape(20, 2), "w": np.linspace(0, 1, 20)}
    store.commit(DIGEST, arrays=arrays, attributes={"log_evidence": -2.0}, spec={"asked": 1}, provenance={"seconds": 3.0})
    return store


def same(store: Store) -> bool:
    """True when the result is there as it was, False when it counts as missing; anything else fails."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        record = store.lookup(DIGEST)
    if record is None:
        assert [warning.category for warning in caught] == [QuarantineWarning]
        return False
    assert record.attributes == {"log_evidence": -2.0}
    assert record.spec == {"asked": 1}
    assert record.provenance["seconds"] == 3.0
    assert np.array_equal(record.arrays()["x"], np.arange(40.0).reshape(20, 2))
    return True


@pytest.mark.parametrize("name", ["result.h5", "manifest.json"])
def test_no_flipped_bit_goes_unnoticed(store, tmp_path, name):
    folder = store.read(DIGEST).path.parent
    shutil.copytree(folder, tmp_path / "good")
    good = (folder / name).read_bytes()
    rng = np.random.default_rng(1)
    for position in rng.choice(len(good), size=200, replace=False):
        bad = bytearray(good)
        bad[position] ^= 1 << int(rng.integers(8))
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(bad)
        assert not same(store)
        assert not (folder / name).exists()
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "good", folder)
    assert same(store)


@pytest.mark.parametrize("name", ["result.h5", "manifest.json"])
def test_no_truncation_goes_unnoticed(store, tmp_path, name):
    folder = store.read(DIGEST).path.parent
    shutil.copytree(folder, tmp_path / "good")
    good = (folder / name).read_bytes()
    for length in np.linspace(0, len(good) - 2, 40).astype(int):
        (folder / name).chmod(0o644)
        (folder / name).write_bytes(good[:length])
        assert not same(store)
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "good", folder)
    (folder / name).chmod(0o644)
    (folder / name).write_bytes(good + b"x")
    assert not same(store)


def test_what_is_damaged_is_kept_with_the_reason(store):
    record = store.read(DIGEST)
    record.path.chmod(0o644)
    record.path.write_bytes(b"rubbish")
    with pytest.warns(QuarantineWarning, match=r"the sha256 of result\.h5 is not the one in manifest\.json.*computed again"):
        assert store.lookup(DIGEST) is None
    (aside,) = (store.path / "quarantine").iterdir()
    assert (aside / "result.h5").read_bytes() == b"rubbish"
    assert (aside / "manifest.json").exists()
    assert "sha256" in json.loads((aside / "reason.json").read_text())["reason"]
    assert store.lookup(DIGEST) is None  # a plain miss from now on, without a warning
    with pytest.raises(ResultNotFoundError, match="no result abab"):
        store.read(DIGEST)


def test_a_missing_file_is_a_miss(store):
    store.read(DIGEST).path.unlink()
    with pytest.warns(QuarantineWarning, match=r"result\.h5 cannot be read as promised: No such file"):
        assert store.lookup(DIGEST) is None


def test_arrays_damaged_after_the_lookup(store):
    record = store.read(DIGEST)
    record.path.chmod(0o644)
    record.path.write_bytes(b"rubbish")
    with pytest.warns(QuarantineWarning), pytest.raises(CorruptResultError, match="damaged or removed after it was looked up"):
        record.arrays()


def test_a_result_committed_anew_while_reading_is_not_moved_away(store, monkeypatch):
    """A reader that read the old manifest and the new file must look again, not move the good ones to quarantine."""
    folder = store.read(DIGEST).path.parent
    manifest = folder / "manifest.json"
    good = manifest.read_bytes()
    old = encoding.unsigned(good)
    old["files"]["result.h5"]["sha256"] = "0" * 64
    real = durable.read_bytes
    answers = [encoding.signed(old, "old")]

    def read_bytes(path, *, at_most):
        return answers.pop() if path == manifest and answers else real(path, at_most=at_most)

    monkeypatch.setattr(durable, "read_bytes", read_bytes)
    record = store.lookup(DIGEST)
    assert record is not None
    assert record.attributes == {"log_evidence": -2.0}
    assert manifest.read_bytes() == good


def test_a_file_that_may_not_be_read_is_not_called_damaged(store, monkeypatch):
    real = durable.read_bytes

    def read_bytes(path, *, at_most):
        if path.name == "result.h5":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path, at_most=at_most)

    monkeypatch.setattr(durable, "read_bytes", read_bytes)
    with pytest.raises(StoreError, match="cannot be read: Permission denied; check its permissions"):
        store.lookup(DIGEST)
    monkeypatch.undo()
    assert same(store)


def test_a_store_that_cannot_move_what_is_damaged_still_misses(store, monkeypatch):
    store.read(DIGEST).path.chmod(0o644)
    store.read(DIGEST).path.write_bytes(b"rubbish")

    def rename(source, target):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(durable, "rename", rename)
    with pytest.warns(QuarantineWarning, match="could not be moved away: Read-only file system"):
        assert store.lookup(DIGEST) is None


def test_another_schema_version_is_an_error_and_is_left_alone(store):
    manifest = store.read(DIGEST).path.parent / "manifest.json"
    record = encoding.unsigned(manifest.read_bytes())
    manifest.chmod(0o644)
    manifest.write_bytes(encoding.signed({**record, "schema_version": 99}, "manifest"))
    with pytest.raises(SchemaVersionError, match="has schema version 99, and this fitcore reads 1"):
        store.lookup(DIGEST)
    assert manifest.exists()


def forge(store: Store, data: bytes, **changes) -> None:
    """Put a file in place with a commit record that is right about its hash: what someone who sends us a store can do."""
    record = store.read(DIGEST)
    manifest = record.path.parent / "manifest.json"
    told = {**record.manifest, "files": {"result.h5": {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}}, **changes}
    record.path.unlink()
    record.path.write_bytes(data)
    manifest.chmod(0o644)
    manifest.write_bytes(encoding.signed(told, "manifest"))


def sealed(build) -> bytes:
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver="latest", userblock_size=hdf5.SEAL_BYTES) as file:
        file.attrs.update({"schema_version": 1, "digest": DIGEST, "part": "result", "parent_sha256": ""})
        file["attributes.json"] = np.frombuffer(b"{}", dtype=np.uint8)
        build(file)
    data = buffer.getvalue()
    return hdf5._seal(data) + data[hdf5.SEAL_BYTES :]


def external_link(file):
    file["x"] = h5py.ExternalLink("/etc/hostname", "/")


def soft_link(file):
    file["x"] = h5py.SoftLink("/attributes.json")


def external_storage(file):
    file.create_dataset("x", shape=(10,), dtype="u1", external=[("/etc/hostname", 0, 10)])


def virtual(file):
    layout = h5py.VirtualLayout(shape=(10,), dtype="u1")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape=(10,))
    file.create_virtual_dataset("x", layout)


def absurd(file):
    file.create_dataset("x", shape=(2**45,), dtype="f8", chunks=(1024,))


def compressed(file):
    file.create_dataset("x", data=np.zeros(100000), compression="gzip")


def group(file):
    file.create_group("x")


def objects(file):
    file.create_dataset("x", data=["a", "b"], dtype=h5py.string_dtype())


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (external_link, "is a link that leaves the file"),
        (soft_link, "is a link that leaves the file"),
        (external_storage, "keeps its data in another file"),
        (virtual, "is a virtual dataset"),
        (absurd, "larger than the file that holds it"),
        (compressed, "passes through filters"),
        (group, "not a dataset"),
        (objects, "has the type object"),
    ],
)
def test_foreign_content_is_refused(store, build, text):
    forge(store, sealed(build))
    with pytest.warns(QuarantineWarning, match=text):
        assert store.lookup(DIGEST) is None


def test_a_plain_forged_file_would_be_read(store):
    """The cases above are refused for what they hold, not for how the test makes them."""
    forge(store, sealed(lambda file: file.create_dataset("x", data=np.arange(3.0))))
    assert store.read(DIGEST).arrays()["x"].tolist() == [0.0, 1.0, 2.0]


def test_a_result_under_another_digest_is_not_believed(store):
    other = "cd" * 32
    folder = store.read(DIGEST).path.parent
    target = store.path / "results" / "cd" / other
    shutil.copytree(folder, target)
    with pytest.warns(QuarantineWarning, match="belongs to another result"):
        assert store.lookup(other) is None
    assert same(store)


def test_links_in_place_of_files_are_not_followed(store, tmp_path):
    record = store.read(DIGEST)
    elsewhere = tmp_path / "elsewhere"
    record.path.rename(elsewhere)
    record.path.symlink_to(elsewhere)
    with pytest.warns(QuarantineWarning, match="cannot be read as promised"):
        assert store.lookup(DIGEST) is None
    assert elsewhere.exists()


def test_a_size_beyond_all_limits_is_refused(store):
    record = store.read(DIGEST)
    forge(store, b"x", files={"result.h5": {"sha256": "0" * 64, "size": 2**60}})
    with pytest.warns(QuarantineWarning, match="bytes, more than the"):
        assert store.lookup(DIGEST) is None
    assert not record.path.exists()


def test_quarantine_on_request(store):
    store.commit_part(DIGEST, "latents", arrays={}, attributes={})
    with pytest.warns(QuarantineWarning, match="wrong PSF"):
        aside = store.quarantine(DIGEST, "wrong PSF")
    assert aside is not None
    assert {path.name for path in aside.iterdir()} >= {"result.h5", "manifest.json", "latents.part.h5", "reason.json"}
    assert store.lookup(DIGEST) is None
    assert store.quarantine(DIGEST, "again") is None
    with contextlib.suppress(ResultNotFoundError):
        store.read(DIGEST, "latents")
        pytest.fail("the part is still there")


@pytest.mark.parametrize(
    "changes",
    [
        {"files": []},
        {"files": None},
        {"files": {"../result.h5": {"sha256": "0" * 64, "size": 1}}},
        {"files": {"result.h5": []}},
        {"files": {"result.h5": {"sha256": "0" * 64, "size": "1"}}},
        {"files": {"result.h5": {"size": 10**6}}},
        {"part": "latents"},
        {"digest": "cd" * 32},
        {"parent_sha256": "0" * 64},
    ],
)
def test_a_commit_record_that_makes_no_sense_is_a_miss(store, changes):
    forge(store, store.read(DIGEST).path.read_bytes(), **changes)
    with pytest.warns(QuarantineWarning):
        assert store.lookup(DIGEST) is None


def test_a_commit_record_without_its_fields_is_a_miss(store):
    record = store.read(DIGEST)
    manifest = record.path.parent / "manifest.json"
    manifest.chmod(0o644)
    manifest.write_bytes(encoding.signed({name: value for name, value in record.manifest.items() if name != "provenance"}, "manifest"))
    with pytest.warns(QuarantineWarning, match="belongs to another result"):
        assert store.lookup(DIGEST) is None
