"""An architecture as one file to take away: its export folder, zipped, within a limit of size."""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from explorer.errors import InputError
from explorer.library.exporting import TrainedRun, export_architecture, trained_runs
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore

MOST_BYTES = 256 * 2**20
"""Of the models of a run that are packed; larger ones are exported by the command line."""
DATE = (1980, 1, 1, 0, 0, 0)
"""Of all files in the archive, so that the same folder makes the same archive."""


def run_bytes(run: TrainedRun) -> int:
    """Size of everything in a run's folder, which what is exported of it does not exceed."""
    return sum(file.stat().st_size for file in run.folder.rglob("*") if file.is_file())


def packed(store: GraphStore, spec: ArchitectureSpec, name: str, source: str = "") -> bytes:
    """A ZIP archive with one folder, as ``explorer.library.exporting`` describes it.

    Args:
        store: where the architecture is.
        spec: the architecture.
        name: of the folder.
        source: of the training whose models go with it; by default that with the best mean, if there is one.

    Raises:
        InputError: there is no such training, or its models are too large. DataError: a stored model is damaged.
    """
    run = next((one for one in trained_runs(store, spec) if source in ("", one.source)), None)
    if run is not None and (size := run_bytes(run)) > MOST_BYTES:
        rule = f"have at most {MOST_BYTES >> 20} MiB to be packed"
        raise InputError("models", rule, f"{size >> 20} MiB", "Use `archex export` on the machine of the store.")
    with TemporaryDirectory(prefix="export-") as folder:
        target = Path(folder) / name
        export_architecture(store, spec, target, run=source if run is None else run.source)
        return _zipped(target)


def _zipped(folder: Path) -> bytes:
    stream = BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(file.relative_to(folder.parent).as_posix(), DATE)
                entry.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(entry, file.read_bytes())
    return stream.getvalue()
