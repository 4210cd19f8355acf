"""Where a store's file lies: network drives, on which SQLite cannot protect it.

The write-ahead log needs memory that all programs with the file open share, so they must run on one machine, and locks
of network file systems often fail (https://www.sqlite.org/wal.html, https://www.sqlite.org/faq.html#q5).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

NETWORK_TYPES = (
    *("9p", "afpfs", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs"),
    *("nfs", "nfs4", "ocfs2", "orangefs", "prl_fs", "pvfs2", "smb", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs"),
    *("vmhgfs", "webdav"),
)  # fmt: skip
"""Types of file systems that other machines, or the host of a virtual machine, write to as well."""

NETWORK_PROGRAMS = (
    *("ceph", "davfs", "gcsfuse", "gluster", "juicefs", "mfs", "mount-s3", "nfs", "rclone", "s3fs", "smb", "ssh"),
    *("vmhgfs", "webdav"),
)  # fmt: skip
"""Beginnings of the names of FUSE programs, as in ``fuse.sshfs``, that reach other machines."""


class Mount(NamedTuple):
    """An entry of the mount table: a folder and the type of the file system there."""

    folder: str
    type: str


def mounts() -> list[Mount]:
    """Return the mount table of this machine; a later entry hides earlier ones of the same folder."""
    return [Mount(part.mountpoint, part.fstype) for part in psutil.disk_partitions(all=True)]


def is_network(type: str) -> bool:
    """Return whether a file system of this type lies on another machine."""
    name = type.lower()
    kind, _, program = name.partition(".")
    return name in NETWORK_TYPES or (kind.startswith("fuse") and program.startswith(NETWORK_PROGRAMS))


def network_risks(path: Path, table: Iterable[Mount] | None = None) -> list[str]:
    """Return a sentence about the risk if a file lies on a network drive, else an empty list.

    Args:
        path: the file, which may be missing.
        table: the mount table; by default that of this machine.
    """
    place = path.resolve()
    found = Mount("", "")
    for mount in mounts() if table is None else table:
        if place.is_relative_to(mount.folder) and len(mount.folder) >= len(found.folder):
            found = mount
    if not is_network(found.type):
        return []
    return [
        f"the store {str(path)!r} lies on a network drive ({found.type} at {found.folder}). SQLite's locks and log do "
        "not work across machines: two that use the file at once can lose writes or damage it. Use it from one machine "
        "at a time, or keep it on a local disk or on a Neo4j server."
    ]
