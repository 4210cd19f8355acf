"""BANANAS: an ensemble of small networks on encoded architectures, mutants of the best, independent Thompson sampling.

Source: White, Neiswanger and Savani (arXiv 1910.11858). What differs: the architectures here are
chains of layers, so paths from input to output say nothing that one-hot choices do not, and these are the encoding;
the members are trained together in one batch of matrix products, on standardised values with the squared error.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from explorer.errors import InputError
from explorer.search.modelled import Array, Choice, Indices, ModelledPolicy, differences, figures_at, one_hot
from explorer.search.settings import read_settings
from explorer.surrogate.layers import DTYPE, train

WIDTHS = (32, 32)
LEARNING_RATE = 0.01
WEIGHT_DECAY = 1e-4


@dataclass(frozen=True)
class BananasSettings:
    """Settings of BANANAS.

    Attributes:
        initial: trials drawn at random before any is learned from (failed ones not counted).
        members: networks of the ensemble.
        epochs: full-batch training steps.
        parents: best completed trials that are mutated.
        mutants: untried candidates nearest to each parent that may be proposed.
        strangers: random untried candidates that may be proposed besides.
    """

    initial: int = 10
    members: int = 5
    epochs: int = 200
    parents: int = 10
    mutants: int = 20
    strangers: int = 50

    def __post_init__(self) -> None:
        for name, least in (("members", 2), ("epochs", 1), ("parents", 1), ("mutants", 1)):
            if getattr(self, name) < least:
                value = getattr(self, name)
                raise InputError(f"bananas setting {name}", f"be at least {least}", value, "Use more.")


class Bananas(ModelledPolicy):
    """Proposes mutants whose value, drawn from what the ensemble believes, is highest."""

    name: ClassVar[str] = "bananas"
    _settings: BananasSettings

    def _configure(self, settings: Mapping[str, Any]) -> None:
        self._settings = read_settings(BananasSettings, settings, self.name)
        self._features = one_hot(self.candidates.choices)

    def _choose(self, count: int, free: Indices) -> list[Choice]:
        observed, values = self._observed()
        generator = self._generator(1, self._next_number())
        pool = self._pool(observed, values, count, free, generator)
        mean, spread = self._believe(observed, values, pool)
        drawn = mean + spread * generator.standard_normal(len(pool))
        return [
            Choice(int(pool[i]), "optimise", figures_at(i, mean=mean, spread=spread, draw=drawn))
            for i in np.argsort(-drawn, kind="stable")[:count]
        ]

    def _pool(
        self, observed: Indices, values: Array, count: int, free: Indices, generator: np.random.Generator
    ) -> Indices:
        """What may be proposed: the untried candidates nearest to each of the best, and some strangers."""
        s, choices = self._settings, self.candidates.choices
        ties = generator.random(len(free))
        chosen: list[Indices] = []
        for parent in observed[np.argsort(-values, kind="stable")][: s.parents]:
            apart = differences(choices[free], choices[parent])
            chosen.append(free[np.lexsort((ties, apart))[: s.mutants]])
        shuffled = generator.permutation(free)
        pool = np.unique(np.concatenate([*chosen, shuffled[: s.strangers]]))
        if len(pool) < count:
            pool = np.unique(np.concatenate([pool, shuffled]))
        return pool

    def _believe(self, observed: Indices, values: Array, pool: Indices) -> tuple[Array, Array]:
        """Mean and deviation ``[P]`` of the members' predictions."""
        seed = int(self._generator(2, self._next_number()).integers(2**31))
        ensemble = _Ensemble(self._settings.members, self._features.shape[1], torch.Generator().manual_seed(seed))
        x, y = torch.tensor(self._features[observed]), torch.tensor(values)
        train(
            ensemble.parameters,
            lambda: (ensemble(x) - y).square().mean(dim=1).sum(),
            self._settings.epochs,
            LEARNING_RATE,
            WEIGHT_DECAY,
        )
        with torch.no_grad():
            guesses = ensemble(torch.tensor(self._features[pool])).numpy()
        return guesses.mean(axis=0), guesses.std(axis=0, ddof=1)


class _Ensemble:
    """E multi-layer perceptrons of one shape, as batched matrices."""

    def __init__(self, members: int, inputs: int, generator: torch.Generator) -> None:
        sizes = (inputs, *WIDTHS, 1)
        self._weights, self._biases = [], []
        for a, b in pairwise(sizes):
            weight = torch.randn((members, a, b), generator=generator, dtype=DTYPE) * math.sqrt(2.0 / a)
            self._weights.append(weight.requires_grad_())
            self._biases.append(torch.zeros((members, 1, b), dtype=DTYPE).requires_grad_())

    @property
    def parameters(self) -> list[Tensor]:
        return [*self._weights, *self._biases]

    def __call__(self, x: Tensor) -> Tensor:
        """Predictions ``[E, N]`` at ``x`` ``[N, F]``."""
        h = x
        for weight, bias in zip(self._weights[:-1], self._biases[:-1], strict=True):
            h = torch.relu(h @ weight + bias)
        return (h @ self._weights[-1] + self._biases[-1]).squeeze(-1)
