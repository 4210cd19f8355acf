"""Settings of the surrogates. They need no torch, so a form or a command reads and checks them quickly."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from pydantic.dataclasses import dataclass

STRICT = ConfigDict(strict=True, allow_inf_nan=False)
"""Settings take no text for a number, no number for a switch, and neither NaN nor infinity."""


@dataclass(frozen=True, config=STRICT)
class ProcessSettings:
    """Settings of ``ProcessSurrogate`` and its acquisition function.

    Attributes:
        k_aleatoric: weight k₁ of σ in the UCB.
        k_epistemic: weight k₂ of ξ in the UCB.
        heteroscedastic: whether the noise may vary over the region.
        epochs: full-batch steps of the noise network; a third of them when training continues from an earlier one.
        learning_rate: initial learning rate of the noise network; decays to 0 by a cosine.
        prior: weight of the network's divergence from its prior; 1 is Bayes' rule.
    """

    k_aleatoric: NonNegativeFloat = 0.5
    k_epistemic: NonNegativeFloat = 0.5
    heteroscedastic: bool = True
    epochs: PositiveInt = 90
    learning_rate: PositiveFloat = 0.03
    prior: NonNegativeFloat = 1.0


@dataclass(frozen=True, config=STRICT)
class SurrogateSettings:
    """Settings of ``BoshnasSurrogate``, the paper's networks, and of its acquisition function.

    Attributes:
        k_aleatoric: weight k₁ of σ in the UCB.
        k_epistemic: weight k₂ of ξ in the UCB.
        heteroscedastic: whether the NPN learns the noise at each point; otherwise (the paper's ablation) it learns the
            mean by squared error, and the noise is the same everywhere.
        epochs: full-batch steps of each network; a third of them when training continues from an earlier one.
        learning_rate: initial learning rate; decays to 0 by a cosine.
        weight_decay: of the weights of teacher and student (AdamW).
        prior: weight of the NPN's divergence from its prior; 1 is Bayes' rule.
        dropout: dropout rate of the teacher.
        passes: Monte-Carlo passes of the teacher.
        region_points: random points of the box that the student is trained on in addition to the observed ones.
    """

    k_aleatoric: NonNegativeFloat = 0.5
    k_epistemic: NonNegativeFloat = 0.5
    heteroscedastic: bool = True
    epochs: PositiveInt = 150
    learning_rate: PositiveFloat = 0.03
    weight_decay: NonNegativeFloat = 0.01
    prior: NonNegativeFloat = 1.0
    dropout: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.1
    passes: Annotated[int, Field(ge=2)] = 64
    region_points: NonNegativeInt = 256
