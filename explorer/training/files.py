"""Files that are either complete or absent: temporary name first, then one rename. Also short content digests."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError

from explorer.errors import DataError, DiskError, ExplorerError, InputError


def digest(*parts: str | bytes) -> str:
    """Return 16 hexadecimal digits of BLAKE2b over the parts; every part is framed by its length."""
    state = hashlib.blake2b(digest_size=8)
    for part in parts:
        raw = part.encode("utf-8") if isinstance(part, str) else part
        state.update(len(raw).to_bytes(8, "little"))
        state.update(raw)
    return state.hexdigest()


def write_atomically(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Let ``write`` fill a temporary file next to ``path``, then rename it to ``path``.

    The bytes are flushed before the rename, so a power failure leaves the old or the new file, never a partial one.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_json(path: Path, document: Any) -> None:
    """Write a JSON document atomically."""
    raw = (json.dumps(document, ensure_ascii=False, indent=1) + "\n").encode("utf-8")
    write_atomically(path, lambda stream: stream.write(raw))


def write_array(path: Path, array: NDArray[Any]) -> None:
    """Write one array in numpy's own format atomically."""
    write_atomically(path, lambda stream: np.save(stream, array, allow_pickle=False))


@contextmanager
def writable(folder: Path, remedy: str = "Free some space; the same command resumes.") -> Iterator[None]:
    """Translate errors of writing into a folder inside the block.

    Args:
        folder: the folder as the user named it.
        remedy: remedy in the error.

    Raises:
        DiskError: writing failed, for example because the disk is full.
    """
    try:
        yield
    except ExplorerError:
        raise
    except Exception as error:
        # Libraries that write models raise their own errors: torch a RuntimeError with a source location, safetensors
        # and tokenizers one that ends like Rust's system errors.
        said = str(error)
        of_torch = isinstance(error, RuntimeError) and "inline_container" in said
        if not (isinstance(error, OSError) or of_torch or "(os error " in said):
            raise
        reason = "torch could not write" if of_torch else getattr(error, "strerror", None) or said
        rule = f"be a folder that can be written ({reason})"
        raise DiskError("folder", rule, str(folder), remedy) from None


@contextmanager
def new_folder(target: Path, shared: bool = True) -> Iterator[Path]:
    """Yield an empty temporary folder that becomes ``target`` when the block ends well.

    Args:
        target: the folder; absent or empty.
        shared: whether another process may have produced the same folder first; then its folder is kept.

    Raises:
        OSError: the folder cannot be written, or it is not ``shared`` and no longer empty.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    try:
        yield temporary
        temporary.chmod(0o755)
        try:
            os.rename(temporary, target)
        except OSError:
            if not (shared and target.is_dir()):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new(folder: Path) -> None:
    """Raise InputError if a folder that the user named is not empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("folder", "be new or empty", str(folder), "Choose another folder.")


@contextmanager
def named_folder(target: Path) -> Iterator[Path]:
    """Yield a ``new_folder`` for a target that the user named and that is not shared.

    Raises:
        InputError: it is not empty. DataError: it cannot be written.
    """
    with writable(target, "Check the path and the free space."):
        check_new(target)
        with new_folder(target, shared=False) as temporary:
            yield temporary


@contextmanager
def intact(path: Path, remedy: str) -> Iterator[None]:
    """Translate errors of reading a file that this package wrote inside the block.

    Args:
        path: the file.
        remedy: remedy in the error.

    Raises:
        DataError: the block raised an error that a damaged file causes.
    """
    try:
        yield
    except (
        OSError,
        EOFError,
        ValueError,
        LookupError,
        TypeError,
        AttributeError,
        BadZipFile,
        SafetensorError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        raise DataError(str(path), "be as it was written", reason, remedy) from None
