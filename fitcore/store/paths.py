"""One result's corner of the store, as the hooks of an analysis see it: small files by checked names, written all at once.

These files are for people and for the next step of an analysis; they are not part of the committed result and are made again by
running the hooks again.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fitcore.errors import ConfigError, CorruptResultError, ResultNotFoundError, StoreError
from fitcore.store import durable, encoding
from fitcore.store.layout import checked_name

FILE_LIMIT = 256 * 2**20
FIGURES = ("png", "pdf", "svg", "jpg")


class Figure(Protocol):
    """Anything that can save itself as an image, such as a matplotlib figure."""

    def savefig(self, fname: Any, /, **kwargs: Any) -> Any:
        """Write the image to a file object, in the format named by ``format``."""
        ...


@dataclass(frozen=True)
class Paths:
    """A folder that nothing escapes: names match ``[A-Za-z0-9][A-Za-z0-9._+-]{0,63}``, links are not followed, files appear whole.

    Parameters
    ----------
    root : the store's folder.
    folder : this corner, inside ``root``.
    is_looking : what is saved goes nowhere: for those who only ask what would be done.
    """

    root: Path
    folder: Path
    is_looking: bool = False

    @property
    def output_path(self) -> Path:
        """The folder itself, made if need be, for writers that want a folder.

        Raises
        ------
        StoreError : it cannot be made, or a link leads out of it.
        """
        if self.is_looking:
            raise StoreError(f"the store {self.root} was opened to look at it, so {self.folder} is not made: open it without is_looking")
        with durable.explaining(self.folder, "making the output folder"):
            durable.refuse_links(self.root, self.folder)
            durable.make_folder(self.folder, self.root)
            durable.refuse_links(self.root, self.folder)
        return self.folder

    def child(self, name: str) -> "Paths":
        """A corner inside this one, with the same rules."""
        return Paths(self.root, self.folder / checked_name(name), self.is_looking)

    def names(self) -> list[str]:
        """The files that are here, sorted."""
        if not self.folder.is_dir():
            return []
        return sorted(path.name for path in self.folder.iterdir() if path.is_file() and not path.name.startswith("."))

    # ---- saving ----------------------------------------------------------------------------------------------------------------------

    def save_json(self, name: str, value: Any) -> Path:
        """Save plain data as ``name.json``.

        Raises
        ------
        CanonicalFormError : JSON cannot hold it.
        ConfigError, StoreError : as for every ``save_``: the name is not allowed; the disk is full or not writable.
        """
        data = json.dumps(encoding.plain(value, name), indent=1, ensure_ascii=False).encode()
        return self._save(name, ".json", data + b"\n")

    def save_array(self, name: str, value: ArrayLike) -> Path:
        """Save one array as ``name.npy``; arrays of objects are refused."""
        buffer = io.BytesIO()
        try:
            np.save(buffer, np.asarray(value), allow_pickle=False)
        except ValueError as error:
            raise ConfigError(f"array {name!r} cannot be saved: {error}; only numbers, booleans and strings of fixed length can") from error
        return self._save(name, ".npy", buffer.getvalue())

    def save_text(self, name: str, value: str) -> Path:
        """Save a text as ``name``, or ``name.txt`` when the name has no ending."""
        return self._save(name, "" if "." in name else ".txt", value.encode())

    def save_figure(self, name: str, figure: Figure, **options: Any) -> Path:
        """Save a figure as ``name``, or ``name.png`` when the name does not end in png, pdf, svg or jpg; options go to ``savefig``."""
        ending = name.rpartition(".")[2].lower()
        known = ending if ending in FIGURES and "." in name else ""
        buffer = io.BytesIO()
        figure.savefig(buffer, format=known or "png", **options)
        return self._save(name, "" if known else ".png", buffer.getvalue())

    # ---- loading ---------------------------------------------------------------------------------------------------------------------

    def load_json(self, name: str) -> Any:
        """What `save_json` saved.

        Raises
        ------
        ResultNotFoundError : there is no such file; as for every ``load_``.
        CorruptResultError : it is damaged; as for every ``load_``.
        """
        return self._load(name, ".json", json.loads)

    def load_array(self, name: str) -> NDArray[Any]:
        """What `save_array` saved; nothing is unpickled."""

        def reader(data: bytes) -> NDArray[Any]:
            # An archive of arrays would come out as something else, and its members would be read later, unchecked.
            if not data.startswith(np.lib.format.MAGIC_PREFIX):
                raise ValueError("it is not an array")
            return np.load(io.BytesIO(data), allow_pickle=False)

        return self._load(name, ".npy", reader)

    def load_text(self, name: str) -> str:
        """What `save_text` saved."""
        return self._load(name, "" if "." in name else ".txt", bytes.decode)

    def load_figure(self, name: str) -> bytes:
        """The image file that `save_figure` saved, as it is."""
        ending = name.rpartition(".")[2].lower()
        return self._load(name, "" if "." in name and ending in FIGURES else ".png", bytes)

    # ---- both ------------------------------------------------------------------------------------------------------------------------

    def _path(self, name: str, ending: str) -> Path:
        checked_name(name)
        return self.folder / checked_name(name if name.endswith(ending) else name + ending)

    def _save(self, name: str, ending: str, data: bytes) -> Path:
        path = self._path(name, ending)
        durable.refuse_links(self.root, self.folder)
        if len(data) > FILE_LIMIT:
            raise StoreError(f"{path.name} would have {len(data):,} bytes, more than the {FILE_LIMIT:,} allowed: save less, or in parts")
        if not self.is_looking:
            with durable.explaining(path, f"saving {path.name}"):
                durable.make_folder(self.folder, self.root)
                durable.replace(path, data)
        return path

    def _load(self, name: str, ending: str, reader: Any) -> Any:
        path = self._path(name, ending)
        durable.refuse_links(self.root, self.folder)
        try:
            data = durable.read_bytes(path, at_most=FILE_LIMIT)
        except FileNotFoundError:
            raise ResultNotFoundError(f"no file {path.name} in {self.folder}; it has: {', '.join(self.names()) or 'nothing'}") from None
        except OSError as error:
            raise StoreError(f"{path} cannot be read: {error.strerror or error}; only plain files are read, no links") from error
        try:
            return reader(data)
        except Exception as error:  # whatever a parser stumbles on, RecursionError, MemoryError and TokenError among it
            raise CorruptResultError(
                f"{path} is damaged: {str(error) or type(error).__name__}. Remove it and run the hooks of the analysis again"
            ) from error
