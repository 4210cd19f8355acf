"""Scores of shapes: minus log perplexity inside a super-network, or of a stand-alone training.

The fidelity says where a shape was evaluated: ``inside super-network MARK, …`` or ``stand-alone, …``. The two kinds are
never mixed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer.records import TaskScore

if TYPE_CHECKING:
    from explorer.supershaper.folder import OpenSuperNetwork

INSIDE_TASK, INSIDE_METRIC = "masked_lm", "minus log perplexity"
"""Task and metric of a shape's score."""
QUANTITY, UNIT = "perplexity", "perplexity"
"""Quantity and unit of the same value as a measurement of the device ``supernet-MARK``."""
ROWS = 256
"""Default number of held-out rows."""
Widths = tuple[int, ...]


@dataclass(frozen=True)
class ShapeScore:
    """Perplexity of a shape.

    Attributes:
        widths: the shape.
        perplexity: masked-LM perplexity on the held-out rows.
        rows: number of held-out rows.
        alone: steps and seed of a stand-alone training; ``None`` inside the super-network.
    """

    widths: Widths
    perplexity: float
    rows: int
    alone: tuple[int, int] | None = None


def device_name(opened: OpenSuperNetwork) -> str:
    """Return the device name under which the store keeps perplexities inside the super-network."""
    return f"supernet-{opened.mark}"


def inside_prefix(mark: str) -> str:
    """Return the prefix of the fidelity of every score inside a super-network."""
    return f"inside super-network {mark}, "


def task_score(opened: OpenSuperNetwork, found: ShapeScore, seconds: float = 0.0) -> TaskScore:
    """Return a perplexity as a score whose fidelity says where the shape was evaluated."""
    plan = opened.settings.plan
    fidelity, seed = f"{inside_prefix(opened.mark)}{plan.fidelity}", plan.seed
    if found.alone is not None:
        steps, seed = found.alone
        fidelity = f"stand-alone, pretrain {steps}x{plan.recipe.pretrain_batch}x{plan.recipe.pretrain_length}"
    dataset = f"{opened.text.fingerprint}/{found.rows}x{plan.recipe.pretrain_length}"
    value = -math.log(found.perplexity)
    return TaskScore(INSIDE_TASK, INSIDE_METRIC, value, seconds, dataset, fidelity, plan.recipe.digest, seed)
