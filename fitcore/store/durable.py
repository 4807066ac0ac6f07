"""Every call by which the store changes the disk, so that nothing else has to think about power cuts, and tests can hook each one.

The upper half are single system calls (`open_exclusive`, `write`, `fsync`, `link`, `rename`, `unlink`, `make_one_folder`,
`fsync_folder`): a fault harness replaces them here, by name. The lower half builds on them what the store uses. What the bytes mean is
none of this module's business.
"""

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from fitcore.errors import FitcoreError, StoreError

TEMPORARY_PREFIX = ".tmp-"
READ_ONLY = 0o444
NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
NO_PERMISSION = {errno.EACCES, errno.EPERM, errno.EROFS}
NO_HARD_LINKS = {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EINVAL}


# ---- single system calls -------------------------------------------------------------------------------------------------------------


def open_exclusive(path: Path, mode: int = 0o644) -> int:
    """A descriptor of a new file; `FileExistsError` when there is one already. It can be written whatever ``mode`` says."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0), mode)


def write(descriptor: int, data: memoryview) -> int:
    """Write some of ``data``; how many bytes were written."""
    return os.write(descriptor, data)


def write_at_start(descriptor: int, data: bytes) -> int:
    """Overwrite the first bytes of an open file."""
    return os.pwrite(descriptor, data, 0)


def fsync(descriptor: int) -> None:
    """Force a file's content to the disk."""
    os.fsync(descriptor)


def link(source: Path, target: Path) -> None:
    """A second name for a file; `FileExistsError` when the name is taken: the first one wins."""
    os.link(source, target)


def rename(source: Path, target: Path) -> None:
    """A new name for a file or folder; a file that had this name is replaced."""
    os.replace(source, target)


def unlink(path: Path) -> None:
    """Remove a name."""
    os.unlink(path)


def make_one_folder(path: Path) -> None:
    """Make one folder; `FileExistsError` when the name is taken."""
    os.mkdir(path)


def remove_folder(path: Path) -> None:
    """Remove an empty folder."""
    os.rmdir(path)


def fsync_folder(path: Path) -> None:
    """Force the names in a folder to the disk; file systems that cannot do this are left to their own order."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EBADF, errno.EACCES}:
            raise
    finally:
        os.close(descriptor)


# ---- what the store uses -------------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def explaining(path: Path, doing: str) -> Iterator[None]:
    """Turn an `OSError` of the disk into a `StoreError` that names the disk and the remedy.

    Parameters
    ----------
    path : where in the store the work is.
    doing : what was being done, to follow "while".
    """
    try:
        yield
    except FitcoreError:
        raise
    except OSError as error:
        raise StoreError(_explanation(error, path, doing)) from error


def _explanation(error: OSError, path: Path, doing: str) -> str:
    if error.errno in NO_SPACE:
        return (
            f"no space left while {doing}: the disk that holds {path} {free_space_text(path)} ({error.strerror}); a write needs room for "
            f"the whole file. Nothing that was committed is lost: free some space there (`fitcore gc` names what is rubbish) or name a "
            f"store on another disk, then run the same command again"
        )
    if error.errno in NO_PERMISSION:
        return (
            f"not allowed while {doing}: {path} cannot be written ({error.strerror}); a store must be a folder that this user can write. "
            f"Change its permissions or name another store; reading results from it still works"
        )
    return f"the disk failed while {doing}: {path}: {error.strerror or error}. Check the disk, or name a store on another one"


def free_space_text(path: Path) -> str:
    """How much room the disk of ``path`` has, in words."""
    try:
        return f"has {shutil.disk_usage(nearest_folder(path)).free / 1e6:,.1f} MB free"
    except OSError:
        return "cannot say how much is free"


def nearest_folder(path: Path) -> Path:
    """The folder itself, or the nearest one above it that exists."""
    while not path.is_dir() and path.parent != path:
        path = path.parent
    return path


def temporary_beside(path: Path, suffix: str = "") -> Path:
    """A fresh name in the same folder, which nobody else uses and which no reader looks at."""
    return path.parent / f"{TEMPORARY_PREFIX}{secrets.token_hex(8)}-{path.name}{suffix}"


def make_folder(path: Path, root: Path | None = None) -> None:
    """Make a folder and those above it, and force their names to the disk.

    Below ``root`` the names of folders that are there already are forced too: the process that made one may have been killed before it
    came to that, and what is put inside would be lost with the name.
    """
    if path.is_dir() and (root is None or not path.is_relative_to(root) or path == root):
        return
    make_folder(path.parent, root)
    if not path.is_dir():
        try:
            make_one_folder(path)
        except FileExistsError:
            if not path.is_dir():
                raise
    fsync_folder(path.parent)


def create(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a new file and force it to the disk; on failure nothing stays behind, and `FileExistsError` leaves the file that is there."""
    descriptor = open_exclusive(path, mode)
    try:
        view = memoryview(data)
        while view:
            view = view[write(descriptor, view) :]
        fsync(descriptor)
    except BaseException:
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), os.lstat(path)):  # the name may be another's file by now
                unlink(path)
        raise
    finally:
        os.close(descriptor)


def discard(path: Path) -> None:
    """Remove a file of ours if it is there; a failure leaves rubbish that `collect_garbage` finds."""
    with contextlib.suppress(OSError):
        unlink(path)


def replace(path: Path, data: bytes) -> None:
    """Give ``path`` new content all at once: readers see the old or the new, whatever happens in between."""
    temporary = temporary_beside(path)
    create(temporary, data)
    try:
        rename(temporary, path)
    except BaseException:
        discard(temporary)
        raise
    fsync_folder(path.parent)


def adopt(temporary: Path, path: Path) -> None:
    """Give a file that somebody else wrote its name, after forcing it to the disk."""
    descriptor = os.open(temporary, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fsync(descriptor)
    finally:
        os.close(descriptor)
    rename(temporary, path)
    fsync_folder(path.parent)


def publish_first(path: Path, data: bytes, *, small: bool = False) -> bool:
    """Give ``path`` its content once and for all: the first one wins, nobody ever sees half of it, and it is read-only.

    The file is written under a temporary name and then linked. Where the file system has no hard links, a small file is renamed when the
    name is free (its writers all say the same), and a large one is written under its own name, opened exclusively: that can be torn by a
    kill, so its readers must not believe it before its commit record exists.

    Returns
    -------
    True when this call's content is there now, False when another's was first.
    """
    temporary = temporary_beside(path)
    create(temporary, data, READ_ONLY)
    try:
        if read_bytes(temporary, at_most=len(data)) != data:
            raise OSError(errno.EIO, "what was written does not read back", str(temporary))
        try:
            link(temporary, path)
            won = True
        except FileExistsError:
            # A network file system may lose the answer to a link that succeeded; the file then has our own inode.
            won = _is_same_file(temporary, path)
        except OSError as error:
            if error.errno not in NO_HARD_LINKS:
                raise
            won = _publish_without_links(temporary, path, data, small=small)
    finally:
        discard(temporary)
    fsync_folder(path.parent)
    return won


def _publish_without_links(temporary: Path, path: Path, data: bytes, *, small: bool) -> bool:
    if small:
        if path.exists():
            return False
        rename(temporary, path)
        return True
    try:
        create(path, data, READ_ONLY)
    except FileExistsError:
        return False
    return True


def _is_same_file(first: Path, second: Path) -> bool:
    try:
        return os.path.samestat(os.lstat(first), os.lstat(second))
    except OSError:
        return False


def refuse_links(root: Path, folder: Path) -> None:
    """Make sure that no symbolic link between the store and a folder in it leads elsewhere.

    Raises
    ------
    StoreError : one does.
    """
    if Path(os.path.realpath(folder)) != Path(os.path.realpath(root), folder.relative_to(root)):
        raise StoreError(
            f"{folder} is reached through a symbolic link inside the store, which leads elsewhere: nothing is read or written "
            f"through it. Remove the link"
        )


def read_bytes(path: Path, *, at_most: int) -> bytes:
    """A regular file's content, never through a symbolic link in its last step.

    Raises
    ------
    OSError : it cannot be read, is no regular file, or is larger than ``at_most`` bytes.
    """
    # O_NONBLOCK: a pipe planted under this name must not hang us.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        if status.st_size > at_most:
            raise OSError(errno.EFBIG, f"{status.st_size:,} bytes, more than the {at_most:,} allowed", str(path))
        return file.read(min(at_most, status.st_size) + 1)  # so much memory is taken at once
