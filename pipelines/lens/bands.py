"""`Bands`: several images of one lens, and the folder that holds them. Fitting them together is in `joint_analysis` and `joint_stages`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from fitcore.errors import DataError
from pipelines.lens import loader
from pipelines.lens.dataset import Imaging
from pipelines.lens.prepare import prepare

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,31}")
"""Of a band: it is a folder's name, and a part of the paths of parameters."""
FEWEST, MOST = 2, 8
ALLOWED = ("name", "bands")
"""Keys of the info file of a folder of bands; what is known of an image is said in the image's own."""
LARGEST_TURN = 0.5
"""Degrees between the frames of two bands; only a shift is fitted."""
REDSHIFTS = ("redshift_lens", "redshift_source")


@dataclass(frozen=True, kw_only=True, eq=False)
class Bands:
    """Images of one lens.

    Parameters
    ----------
    name : of the lens; not part of the identity.
    names : of the bands; the first is the reference.
    members : their images, in the same order.

    Raises
    ------
    DataError
        for one image, or too many; a name that is not allowed, or there twice; redshifts or orientations that contradict each other.
    """

    name: str
    names: tuple[str, ...]
    members: tuple[Imaging, ...]

    def __post_init__(self) -> None:
        check_names(self.name, self.names)
        if len(self.names) != len(self.members):
            raise DataError(f"{self.name}: {len(self.names)} bands are named and {len(self.members)} images given. Give one for each.")
        for band, image in zip(self.names[1:], self.members[1:], strict=True):
            _check_alike(self.name, (self.names[0], self.members[0]), (band, image))

    @property
    def reference(self) -> Imaging:
        """The first band's image: the solution is looked for there, and the verdict measured."""
        return self.members[0]

    @cached_property
    def images(self) -> tuple[Imaging, ...]:
        """The images as they are fitted: each within the reference's mask radius about its center, where its own info file says none."""
        decided = prepare(self.reference)
        others = [
            replace(
                image,
                center=decided.center if image.center is None else image.center,
                mask_radius=decided.mask_radius if image.mask_radius is None else image.mask_radius,
            )
            for image in self.members[1:]
        ]
        return (self.reference, *others)


def reference_of(dataset: Imaging | Bands) -> Imaging:
    """The image itself, or that of the first band."""
    return dataset.reference if isinstance(dataset, Bands) else dataset


def load(folder: Path) -> Imaging | Bands:
    """The dataset in a folder: one image, or several bands where the info file has ``bands``.

    Raises
    ------
    DataError
        for anything that cannot be fitted; the message says what is allowed.
    """
    if not folder.is_dir():
        return Imaging.from_folder(folder)  # refuses it
    loader.refuse_odd_files(folder)
    info = loader.read_info(folder)
    if info.bands is None:
        return Imaging.from_folder(folder)
    if more := sorted(info.model_fields_set - set(ALLOWED)):
        raise DataError(
            f"{folder}: the info file has bands, and beside it {more}; only {list(ALLOWED)} are allowed there. Each band is a dataset "
            "folder with an info file of its own: say it there."
        )
    names = tuple(info.bands)
    check_names(str(folder), names)
    return Bands(name=loader.name_of(folder, info), names=names, members=tuple(_member(folder, names)))


def check_names(whose: str, names: Sequence[str]) -> None:
    """Refuse too few or too many names of bands, one that is not allowed, or one that is there twice."""
    if len(names) == 1:
        raise DataError(f"{whose} has one band, {names[0]!r}; at least {FEWEST} are fitted jointly. Run the folder of that band itself.")
    if not FEWEST <= len(names) <= MOST:
        raise DataError(f"{whose} has {len(names)} bands; {FEWEST} to {MOST} are allowed. Name their folders in info.yaml.")
    for name in names:
        if not NAME.fullmatch(name):
            raise DataError(
                f"{whose}: the band {name!r:.60} is not allowed; it is the name of a folder inside: letters, digits, '_' and '-', at "
                "most 32, the first a letter. Rename or link the folder."
            )
    folded = [name.casefold() for name in names]
    if twice := [name for name in names if folded.count(name.casefold()) > 1]:
        raise DataError(f"{whose} has the same band twice: {', '.join(twice)}. Name each once: the same data would count twice.")


def _member(folder: Path, names: Sequence[str]) -> list[Imaging]:
    members: list[Imaging] = []
    seen: dict[Path, str] = {}
    for name in names:
        own = folder / name
        if not own.is_dir():
            there = sorted(path.name for path in folder.iterdir() if path.is_dir())
            raise DataError(
                f"{folder} has no folder for the band {name!r}; it has the folders {there}. Add it, or mend bands in info.yaml."
            )
        place = own.resolve()
        if place in seen:
            raise DataError(
                f"{folder}: the bands {seen[place]!r} and {name!r} are the same folder, {place}. Name it once: the same data would count "
                "twice."
            )
        seen[place] = name
        if loader.read_info(own).bands is not None:
            raise DataError(f"{own} has bands itself; a band is one image. Name the innermost folders in one info.yaml.")
        members.append(Imaging.from_folder(own))
    return members


def _check_alike(lens: str, first: tuple[str, Imaging], other: tuple[str, Imaging]) -> None:
    """Refuse two bands that cannot be images of one lens on parallel axes."""
    for key in REDSHIFTS:
        values: list[Any] = [getattr(image, key) for _, image in (first, other)]
        if None not in values and values[0] != values[1]:
            raise DataError(
                f"{lens}: {key} is {values[0]} in {first[0]} and {values[1]} in {other[0]}; the bands must be of one lens. Mend one "
                "info file."
            )
    one, two = first[1], other[1]
    turn = abs((one.position_angle_of_y - two.position_angle_of_y + 180.0) % 360.0 - 180.0)
    if turn > LARGEST_TURN or one.is_mirrored != two.is_mirrored:
        raise DataError(
            f"{lens}: {other[0]} is turned by {turn:.2f} degrees{'' if one.is_mirrored == two.is_mirrored else ' and mirrored'} against "
            f"{first[0]}; at most {LARGEST_TURN} is allowed, since only a shift is fitted. Resample both onto parallel axes."
        )
