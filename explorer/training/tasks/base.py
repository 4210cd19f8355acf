"""Downstream tasks: labelled sentences or sentence pairs, and a metric."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from explorer.errors import DataError
from explorer.training.files import digest
from explorer.training.metrics import Metric


class TaskKind(StrEnum):
    """The type of prediction."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True)
class Example:
    """One labelled sentence, or a pair if ``second`` is given; classes are integers from 0."""

    label: float
    first: str
    second: str | None = None


@dataclass(frozen=True)
class Task:
    """A downstream task.

    Attributes:
        name: name of the task, for example ``SST-2``.
        metric: metric of its score.
        kind: classification or regression.
        pair: whether examples are pairs of sentences.
        classes: names of the classes, label 0 first; empty for regression.
        train: training examples.
        dev: evaluation examples, disjoint from ``train``.
        mismatched: a second evaluation set from sources absent in ``train`` (MNLI); else empty.

    Raises:
        DataError: a part is empty, or has only one class or value.
    """

    name: str
    metric: Metric
    kind: TaskKind
    pair: bool
    classes: tuple[str, ...]
    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    mismatched: tuple[Example, ...] = ()

    def __post_init__(self) -> None:
        for part, examples in self.parts.items():
            different = len({example.label for example in examples})
            if different < 2:
                rule = "hold examples of at least two different labels"
                raise DataError(f"{part} examples of task {self.name}", rule, different, "Give more data.")

    @property
    def parts(self) -> dict[str, tuple[Example, ...]]:
        """Its sets of examples: ``train``, ``dev`` and, if not empty, ``mismatched``."""
        parts = {"train": self.train, "dev": self.dev}
        return parts | {"mismatched": self.mismatched} if self.mismatched else parts

    @property
    def labels(self) -> int:
        """Number of model outputs: one per class, or one for regression."""
        return len(self.classes) or 1

    @cached_property
    def fingerprint(self) -> str:
        """Digest over name, metric and every example."""
        rows = (
            "\t".join((part, repr(e.label), e.first, e.second or ""))
            for part, examples in self.parts.items()
            for e in examples
        )
        return digest(self.name, self.metric, self.kind, str(self.labels), "\n".join(rows))
