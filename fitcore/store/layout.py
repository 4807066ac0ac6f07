"""Where everything lies in a store, and which names are allowed. Nothing is read or written here.

STORE/fitcore-store.json                     the format file: schema version
STORE/results/ab/abcd.../manifest.json       the commit record of result.h5; without it there is no result
                         result.h5           arrays, attributes and spec; the same bytes whoever computed it
                         latents.part.h5     a part, added later: its commit record and its HDF5 file in one
                         latents.h5, latents.manifest.json     the same, as earlier versions wrote it; it is read as ever
                         output/             what the hooks of the analysis saved
STORE/work/ab/abcd.../state-*.h5, state-*.json     checkpoints and their records
                      attempts/              leases, which are the record of the attempts too
STORE/runs/NAME/PIPELINE.json                which digests a dataset's chain has: a view, made anew from the manifests
STORE/quarantine/abcd...-token/              what was found damaged, with the reason
STORE/index-*.json                           what listings have read, so that they need not read it again; may be removed at any time
"""

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from fitcore.errors import ConfigError

SCHEMA_VERSION = 1
FORMAT_FILE = "fitcore-store.json"
RESULT = "result"
INTERNAL = "internal"
PART_SUFFIX = ".part.h5"
INDEX_PREFIX = "index-"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
DIGEST_PATTERN = re.compile(r"[0-9a-f]{64}")
MANIFEST_LIMIT = 2**20
SMALL_LIMIT = 2**20


def checked_name(name: str, what: str = "name") -> str:
    """The name itself, if it may become a file's name.

    Raises
    ------
    ConfigError : it does not match ``[A-Za-z0-9][A-Za-z0-9._+-]{0,63}``.
    """
    if not isinstance(name, str) or not NAME_PATTERN.fullmatch(name):
        raise ConfigError(
            f"{what} {name!r} cannot be used as a file name: it must start with a letter or digit and hold only letters, digits, '.', "
            f"'_', '+' and '-', 64 at most. Choose another {what}"
        )
    return name


def checked_digest(digest: str) -> str:
    """The digest itself, if it is one.

    Raises
    ------
    ConfigError : it is not 64 lower-case hexadecimal digits.
    """
    if not isinstance(digest, str) or not DIGEST_PATTERN.fullmatch(digest):
        raise ConfigError(
            f"{digest!r} is not a digest: 64 lower-case hexadecimal digits are expected. `fitcore table` lists the digests of a store"
        )
    return digest


@dataclass(frozen=True)
class Layout:
    """The paths inside one store's folder.

    Parameters
    ----------
    root : the folder.
    key : the secret that the store's records are signed with, for those who read and write them; None signs and checks nothing.
    is_looking : nothing may be written or moved; what is damaged is told and left where it is.
    """

    root: Path
    key: bytes | None = field(default=None, repr=False)
    is_looking: bool = False

    @property
    def format_file(self) -> Path:
        """The file that says what this folder is."""
        return self.root / FORMAT_FILE

    @property
    def reports(self) -> Path:
        """Folder of the reports, made by those who write them; the store never reads it."""
        return self.root / "reports"

    @property
    def results(self) -> Path:
        """Folder of all results."""
        return self.root / "results"

    @property
    def work(self) -> Path:
        """Folder of all work in progress."""
        return self.root / "work"

    @property
    def runs(self) -> Path:
        """Folder of the index of names."""
        return self.root / "runs"

    @property
    def quarantine(self) -> Path:
        """Folder of what was found damaged."""
        return self.root / "quarantine"

    def index(self, kind: str) -> Path:
        """The file in which one kind of listing keeps what it has read."""
        return self.root / f"{INDEX_PREFIX}{checked_name(kind, 'kind of index')}.json"

    def result_folder(self, digest: str) -> Path:
        """Folder of one result."""
        return self.results / checked_digest(digest)[:2] / digest

    def work_folder(self, digest: str) -> Path:
        """Folder of one result's checkpoints and attempts."""
        return self.work / checked_digest(digest)[:2] / digest

    def attempts_folder(self, digest: str) -> Path:
        """Folder of one result's leases."""
        return self.work_folder(digest) / "attempts"

    def manifest(self, digest: str, part: str = RESULT) -> Path:
        """The commit record of a result, or of a part that an earlier version wrote."""
        return self.result_folder(digest) / ("manifest.json" if part == RESULT else f"{checked_name(part, 'part')}.manifest.json")

    def part_file(self, digest: str, part: str) -> Path:
        """The file of a part, with its commit record in it."""
        return self.result_folder(digest) / f"{checked_name(part, 'part')}{PART_SUFFIX}"

    def places(self, digest: str, part: str = RESULT) -> tuple[Path, Path]:
        """The commit record and the HDF5 file of a result or a part: one file for a part, two where an earlier version wrote it."""
        record, file = self.manifest(digest, part), self.result_folder(digest) / f"{part}.h5"
        if part == RESULT or (record.exists() and not self.part_file(digest, part).exists()):
            return record, file
        return self.part_file(digest, part), self.part_file(digest, part)

    def digests(self) -> list[str]:
        """All digests that have a folder under ``results``, sorted."""
        return _folder_names(self.results)

    def digests_at_work(self) -> list[str]:
        """All digests that have a folder under ``work``, sorted."""
        return _folder_names(self.work)


def report_file(reports: Path, pipeline: str, name: str) -> Path:
    """Where in the folder of reports that of a dataset is."""
    return reports / pipeline / f"{name}.html"


def _folder_names(folder: Path) -> list[str]:
    found: list[str] = []
    for above in folder.glob("[0-9a-f][0-9a-f]"):
        with contextlib.suppress(OSError), os.scandir(above) as entries:
            found += [entry.name for entry in entries if DIGEST_PATTERN.fullmatch(entry.name) and entry.is_dir()]
    return sorted(found)
