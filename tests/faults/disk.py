"""A model of a disk that loses its power: what may be left of the calls that were made until then.

It assumes of the file system, and no more:

- `fsync` of a file makes the content that it had then lasting. Of what was written since, anything may be missing: all of it, its second
  half, or its bytes are zeros. Content that is overwritten in place may be old, new, half new or zeros.
- `fsync` of a folder makes the names in it lasting, not those of the folders above it. Of the names made, linked, renamed and removed
  since, any may be lost, whatever their order, within one folder and between folders; a rename within a folder is there whole or not at
  all. Tried are: all lost, none, each one alone lost, each one alone kept.
- `fsync` of a file does not make its name lasting, and a name may last longer than the content behind it.
- What lasts does not change by itself: no bit flips, no disk that says it has written what it has not.
- The folder that the store is made in lasts.

The usual file systems keep more order than this. Not modelled: a rename from one folder into another (only a quarantine does that),
several files cut short in different ways at once, and how a library of others writes its checkpoint: its file is one write to us.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = "folder"


@dataclass(eq=False)
class Content:
    """A file's bytes: those that last, and those that are seen while the power is on."""

    lasting: bytes = b""
    now: bytes = b""

    def after_cut(self, how: str) -> bytes:
        """What is found after the power cut: "now", "lasting", "half" or "zeros"."""
        if how == "now" or self.now == self.lasting:
            return self.now
        if how == "lasting":
            return self.lasting
        if how == "zeros":
            return bytes(len(self.now))
        middle = len(self.now) // 2
        return self.now[:middle] + (self.lasting[middle:] if len(self.lasting) == len(self.now) else b"")


Entry = Content | str
Change = tuple[tuple[str, Entry | None], ...]
Tree = dict[str, bytes | None]


@dataclass
class Disk:
    """The names of every folder that last, and the changes of names since; folders are told apart by their path."""

    base: Path
    lasting: dict[Path, dict[str, Entry]] = field(default_factory=dict)
    pending: list[tuple[Path, Change]] = field(default_factory=list)
    by_inode: dict[int, Content] = field(default_factory=dict)

    def apply(self, name: str, told: tuple[Any, ...]) -> None:
        """One call that succeeded; files that are open are told by their inode."""
        if name in ("open_exclusive", "write_foreign"):
            path, inode, data = told
            self.by_inode[inode] = Content(now=data)
            self._change(path.parent, (path.name, self.by_inode[inode]))
        elif name == "write":
            self.by_inode[told[0]].now += told[1]
        elif name == "write_at_start":
            content = self.by_inode[told[0]]
            content.now = told[1] + content.now[len(told[1]) :]
        elif name == "fsync":
            self.by_inode[told[0]].lasting = self.by_inode[told[0]].now
        elif name == "link":
            self._change(told[1].parent, (told[1].name, self._entry(told[0])))
        elif name == "rename":
            source, target = told
            assert source.parent == target.parent, "a rename between folders is not modelled"
            self._change(source.parent, (source.name, None), (target.name, self._entry(source)))
        elif name == "unlink":
            self._change(told[0].parent, (told[0].name, None))
        elif name == "make_one_folder":
            self._change(told[0].parent, (told[0].name, FOLDER))
        elif name == "fsync_folder":
            for folder, change in [item for item in self.pending if item[0] == told[0]]:
                _merge(self.lasting.setdefault(folder, {}), change)
            self.pending = [item for item in self.pending if item[0] != told[0]]
        else:
            raise NotImplementedError(name)

    def _change(self, folder: Path, *change: tuple[str, Entry | None]) -> None:
        self.pending.append((folder, change))

    def _entry(self, path: Path) -> Entry:
        return self._names(path.parent, self.pending)[path.name]

    def _names(self, folder: Path, kept: list[tuple[Path, Change]]) -> dict[str, Entry]:
        names = dict(self.lasting.get(folder, {}))
        for where, change in kept:
            if where == folder:
                _merge(names, change)
        return names

    def _tree(self, kept: list[tuple[Path, Change]], content: Callable[[Content], str]) -> Tree:
        """Everything that can be reached from the base: bytes of files, None for folders."""
        found: Tree = {}
        waiting = [self.base]
        while waiting:
            folder = waiting.pop()
            for name, entry in self._names(folder, kept).items():
                path = folder / name
                found[path.relative_to(self.base).as_posix()] = None if isinstance(entry, str) else entry.after_cut(content(entry))
                if isinstance(entry, str):
                    waiting.append(path)
        return found

    def after_cut(self) -> Iterator[tuple[str, Tree]]:
        """What may be found after a power cut now, with a word for each.

        All names since the last `fsync` of their folder lost, none, each one alone lost, each one alone kept, always with the contents
        that last and with those that were seen; and with every name, the contents cut short, as zeros, and each one alone lost.
        """
        kept = {"no name lost": self.pending, "every name lost": []}
        if len(self.pending) > 1:
            for i, (_, change) in enumerate(self.pending):
                kept[f"only {change[-1][0]} lost"] = self.pending[:i] + self.pending[i + 1 :]
                kept[f"all but {change[-1][0]} lost"] = self.pending[i : i + 1]
        for word, some in kept.items():
            for how in ("now", "lasting"):
                yield f"{word}, contents {how}", self._tree(some, lambda _, how=how: how)
        for how in ("half", "zeros"):
            yield f"no name lost, contents {how}", self._tree(self.pending, lambda _, how=how: how)
        dirty = [content for content in self.by_inode.values() if content.now != content.lasting]
        for content in dirty if len(dirty) > 1 else []:
            for how in ("lasting", "half", "zeros"):
                yield f"one content {how}", self._tree(self.pending, lambda one, how=how, content=content: how if one is content else "now")


def _merge(names: dict[str, Entry], change: Change) -> None:
    for name, entry in change:
        if entry is None:
            names.pop(name, None)
        else:
            names[name] = entry
