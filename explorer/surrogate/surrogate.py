"""The paper's surrogate: NPN for mean and aleatoric noise, teacher and student for epistemic uncertainty.

Source: FlexiBERT (arXiv 2205.11656), section 3. Points are vectors ``[N, d]`` of an embedding; means and deviations
are in the units of the targets. Training is full-batch, in float64, and deterministic given seed and data.
"""

from __future__ import annotations

import copy

import numpy as np
import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.records import Prediction
from explorer.surrogate.contract import Points, Region, Surrogate, check_observed
from explorer.surrogate.layers import DTYPE
from explorer.surrogate.npn import VARIANCE_FLOOR, NaturalParameterNetwork
from explorer.surrogate.settings import SurrogateSettings
from explorer.surrogate.student import Student
from explorer.surrogate.teacher import Teacher


class BoshnasSurrogate(Surrogate):
    """Posterior of the score at any point of a box.

    Args:
        seed: seed of all random numbers.
        settings: training and acquisition.
    """

    def __init__(self, seed: int, settings: SurrogateSettings | None = None) -> None:
        self._seed = seed
        self.settings = settings or SurrogateSettings()
        self._fitted = False

    def fit(
        self, x: Points, y: Points, region: Region | None = None, start: BoshnasSurrogate | None = None
    ) -> BoshnasSurrogate:
        """Fit to observations. See the contract."""
        x, y, region = check_observed(x, y, region)
        low, high = region.box
        self._set_scales(low, high, y)
        s, generator = self.settings, torch.Generator().manual_seed(self._seed)
        points, targets = self._scaled(torch.tensor(x)), torch.tensor((y - self._offset) / self._unit)
        dims = x.shape[1]
        if start is None:
            self._npn, epochs = NaturalParameterNetwork((dims, 32, 32, 1), generator), s.epochs
            self._teacher, self._student = Teacher(dims, s.dropout, generator), Student(dims, generator)
        else:
            self._npn, epochs = copy.deepcopy(start._npn), -(-s.epochs // 3)
            self._teacher, self._student = start._teacher.copy(generator), copy.deepcopy(start._student)
        self._npn.fit(points, targets, epochs, s.learning_rate, s.prior, s.heteroscedastic)
        with torch.no_grad():
            self._spread = float((self._npn(points)[0] - targets).square().mean()) + VARIANCE_FLOOR
        self._teacher.fit(points, targets, epochs, s.learning_rate, s.weight_decay)
        draws = torch.rand((s.region_points, dims), generator=generator, dtype=DTYPE)
        around = self._scaled(torch.tensor(low) + draws * torch.tensor(high - low))
        around = torch.cat([points, around])
        self._student.fit(around, self._teacher.spread(around, s.passes), epochs, s.learning_rate, s.weight_decay)
        self._fitted = True
        return self

    def _set_scales(self, low: Points, high: Points, y: Points) -> None:
        half = (high - low) / 2.0
        self._middle = torch.tensor(low + half)
        # Scale all dimensions by one unit: distances of an embedding must keep their ratios.
        self._half = float(half.max()) or 1.0
        largest = float(np.abs(y).max()) or 1.0  # avoids overflow of squared huge values
        spread = float((y / largest).std())
        self._offset = largest * float((y / largest).mean())
        self._unit = largest * spread if spread > 1e-12 else 1.0

    def _scaled(self, x: Tensor) -> Tensor:
        return (x - self._middle) / self._half

    def components(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return mean μ, aleatoric deviation σ and epistemic deviation ξ at ``x`` ``[N, d]``, ``[N]`` each.

        Raises:
            InputError: the surrogate has not been fitted.
        """
        if not self._fitted:
            raise InputError("surrogate", "be fitted before it predicts", None, "Call fit first.")
        scaled = self._scaled(x.to(DTYPE))
        mean, variance = self._npn(scaled)
        if not self.settings.heteroscedastic:
            variance = torch.full_like(mean, self._spread)
        return (
            self._offset + self._unit * mean,
            self._unit * variance.sqrt(),
            self._unit * self._student(scaled),
        )

    def acquisition(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return UCB and its uncertain part in the units of the targets. See the contract."""
        mean, aleatoric, epistemic = self.components(x)
        uncertain = self.settings.k_aleatoric * aleatoric + self.settings.k_epistemic * epistemic
        return mean + uncertain, uncertain

    @torch.no_grad()
    def predict(self, x: Points) -> Prediction:
        """Return the posterior at ``x`` ``[N, d]``, in the units of the targets."""
        parts = self.components(torch.tensor(np.asarray(x, dtype=np.float64)))
        return Prediction(*(part.numpy() for part in parts))
