"""What a downstream task is: labelled sentences or sentence pairs, and a metric."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from explorer.errors import DataError
from explorer.training.files import digest
from explorer.training.metrics import Metric


class Kind(StrEnum):
    """What is predicted."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"


@dataclass(frozen=True)
class Example:
    """One labelled sentence, or pair of sentences where ``second`` is given; a class is a whole number from 0."""

    label: float
    first: str
    second: str | None = None


@dataclass(frozen=True)
class Task:
    """A downstream task.

    Attributes:
        name: as the user names it, for example ``SST-2``.
        metric: how it is scored.
        kind: classification or regression.
        pair: whether examples are pairs of sentences.
        classes: names of the classes, label 0 first; empty for regression.
        train: examples to learn from.
        dev: examples to be scored on; disjoint from ``train``.
        mismatched: a second set to be scored on, from sources that ``train`` does not have (MNLI); else empty.

    Raises:
        DataError: a part is empty, or has only one class or value.
    """

    name: str
    metric: Metric
    kind: Kind
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
        """Its sets of examples: ``train``, ``dev`` and, where there is one, ``mismatched``."""
        parts = {"train": self.train, "dev": self.dev}
        return parts | {"mismatched": self.mismatched} if self.mismatched else parts

    @property
    def labels(self) -> int:
        """Number of outputs of a model for it: one per class, or one for regression."""
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
