"""Measured shapes as arrays: their perplexity, and their latency on each machine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from explorer.documents.separated import TableOptions
from explorer.errors import DataError
from explorer.space.backbones import shape_widths
from explorer.space.imports.rows import FoundRow
from explorer.space.imports.supershaper import LATENCY, METRIC, TASK, find_shapes
from explorer.space.spec import ArchitectureSpec
from explorer.supershaper.shapes.grid import Array, ShapeGrid, Shapes


@dataclass(frozen=True, eq=False)
class ShapeTable:
    """Measured shapes.

    Attributes:
        shapes: ``[N, L]``.
        perplexity: masked-LM perplexity ``[N]``; NaN if not measured.
        latency: seconds ``[N]`` by machine; NaN if not measured.
    """

    shapes: Shapes
    perplexity: Array
    latency: Mapping[str, Array]

    @property
    def scored(self) -> tuple[Shapes, Array]:
        """Shapes with a perplexity ``[n, L]``, and their perplexities ``[n]``."""
        known = np.isfinite(self.perplexity)
        return self.shapes[known], self.perplexity[known]

    def timed(self, device: str) -> tuple[Shapes, Array]:
        """Return the shapes timed on a machine ``[n, L]`` and their seconds ``[n]``.

        Raises:
            DataError: the machine is unknown; the message lists all machines.
        """
        if device not in self.latency:
            rule = f"be one of: {', '.join(self.latency) or 'none, as the table has no latencies'}"
            raise DataError("device", rule, device, "Choose one of them.")
        known = np.isfinite(self.latency[device])
        return self.shapes[known], self.latency[device][known]

    @classmethod
    def of(cls, grid: ShapeGrid, rows: Iterable[FoundRow]) -> ShapeTable:
        """Build the table of at least one valid row. Raises SpecError if a width is not in the grid."""
        shapes, scores, latency = [], [], []
        for row in rows:
            assert isinstance(row.architecture, ArchitectureSpec)
            shapes.append(shape_widths(row.architecture))
            found = [-score.value for score in row.scores if (score.task, score.metric) == (TASK, METRIC)]
            scores.append(found[0] if found else np.nan)
            latency.append({one.device: one.value for one in row.measurements if one.quantity == LATENCY})
        devices = list(dict.fromkeys(name for seconds in latency for name in seconds))
        columns = {name: np.array([seconds.get(name, np.nan) for seconds in latency]) for name in devices}
        return cls(grid.check(shapes), np.array(scores), columns)


def read_shapes(path: Path, grid: ShapeGrid | None = None, options: TableOptions | None = None) -> ShapeTable:
    """Read a table; see ``explorer.space.imports.supershaper`` for its layout.

    Args:
        path: the file.
        grid: grid of the shapes; the paper's if ``None``.
        options: what the user says about the table's dialect.

    Raises:
        DataError: the file cannot be read, or a row is rejected; the message names the first one.
        SpecError: a width is not in the grid.
    """
    grid = grid or ShapeGrid()
    rows = find_shapes(path, grid.backbone, options)
    if rows.refused:
        raise rows.refused[0].error(path.name)
    return ShapeTable.of(grid, [row for _, row in rows.valid])
