"""Location of the shipped data files: next to the package in a checkout, inside it in an installed wheel."""

from __future__ import annotations

from pathlib import Path

import explorer


def data_folder() -> Path:
    """Return the folder with the design-space presets and named models."""
    package = Path(explorer.__file__).resolve().parent
    installed = package / "_data"
    return installed if installed.is_dir() else package.parent / "data"
