"""Where the files of a store's work are kept: prepared data, trained models, logs."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from graphstore.url import MANAGED

SQLITE = "sqlite:///"


def work_folder(store_url: str) -> Path:
    """The folder that belongs to a store: beside an embedded one, in the user's data folder for a server.

    The managed server has one folder, whatever port it listens on.

    Args:
        store_url: without a password, as ``GraphStore.url`` gives it.
    """
    if store_url.startswith(SQLITE):
        return Path(f"{store_url.removeprefix(SQLITE)}.files").resolve()
    base = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    if store_url == MANAGED:
        return base / "archex" / f"{MANAGED}.files"
    return base / "archex" / hashlib.blake2b(store_url.encode(), digest_size=8).hexdigest()


def data_cache(store_url: str) -> Path:
    """Prepared text, tokenizers and tasks."""
    return work_folder(store_url) / "data"


def run_folder(store_url: str, study: str, run: str) -> Path:
    """Checkpoints and trained models of one trial."""
    return models_folder(store_url) / study / run


def models_folder(store_url: str) -> Path:
    """Checkpoints and trained models of all trials."""
    return work_folder(store_url) / "runs"


def workers_log(store_url: str, study: str) -> Path:
    """What the workers of a study said on this machine, in all its runs."""
    return log_folder(store_url) / f"{study}.workers.log"


def log_folder(store_url: str) -> Path:
    """Logs of jobs and workers."""
    return work_folder(store_url) / "logs"
