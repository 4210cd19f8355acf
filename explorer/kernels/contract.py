"""What every graph kernel offers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from explorer.graphs import ArchitectureGraph


class GraphKernel(ABC):
    """A normalised similarity of graphs: 1 for graphs it cannot tell apart, never above; dissimilarity is 1 − it."""

    name: str

    @abstractmethod
    def fit_transform(self, graphs: Sequence[ArchitectureGraph]) -> NDArray[np.float64]:
        """Learn what the kernel needs from ``graphs`` and return their Gram matrix ``[N, N]``."""

    @abstractmethod
    def transform(self, graphs: Sequence[ArchitectureGraph]) -> NDArray[np.float64]:
        """Similarities ``[M, N]`` of other graphs to those the kernel was fitted on."""
