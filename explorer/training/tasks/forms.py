"""The nine GLUE tasks and the layouts of their files (https://gluebenchmark.com/tasks).

The hub's tables are those of ``nyu-mll/glue``; the files are GLUE's own downloads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.training.metrics import Metric

ENTAILS = ("not_entailment", "entailment")
HIGHEST_SIMILARITY = 5.0


@dataclass(frozen=True)
class GlueForm:
    """A GLUE task.

    Attributes:
        metric: metric of the task.
        classes: names of the classes, label 0 first; empty if labels are values from 0 to 5.
        official: columns of GLUE's own files, label first; empty for CoLA, whose files lack a header.
        hub: its name on the hub.
        hub_columns: the sentences' columns there; the label's is ``label``.
        hub_classes: the classes in the hub's order, if it differs from ``classes``.
        devs: names of the dev files without suffix.
        hub_devs: names of the dev splits on the hub.
    """

    metric: Metric
    classes: tuple[str, ...]
    official: tuple[str, ...]
    hub: str
    hub_columns: tuple[str, ...]
    hub_classes: tuple[str, ...] = ()
    devs: tuple[str, ...] = ("dev",)
    hub_devs: tuple[str, ...] = ("validation",)

    @property
    def pair(self) -> bool:
        """Whether examples are pairs of sentences."""
        return len(self.hub_columns) == 2

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the columns in the simple layout, label first."""
        return ("label", "sentence", "sentence2") if self.pair else ("label", "sentence")

    @property
    def files(self) -> tuple[str, ...]:
        """Names of the files."""
        return tuple(f"{part}.tsv" for part in ("train", *self.devs))


SENTENCES = ("sentence1", "sentence2")

GLUE_TASKS: dict[str, GlueForm] = {
    "CoLA": GlueForm(
        metric=Metric.MATTHEWS,
        classes=("unacceptable", "acceptable"),
        official=(),
        hub="cola",
        hub_columns=("sentence",),
    ),
    "SST-2": GlueForm(
        metric=Metric.ACCURACY,
        classes=("negative", "positive"),
        official=("label", "sentence"),
        hub="sst2",
        hub_columns=("sentence",),
    ),
    "MRPC": GlueForm(
        metric=Metric.F1_ACCURACY,
        classes=("not_equivalent", "equivalent"),
        official=("Quality", "#1 String", "#2 String"),
        hub="mrpc",
        hub_columns=SENTENCES,
    ),
    "QQP": GlueForm(
        metric=Metric.F1_ACCURACY,
        classes=("not_duplicate", "duplicate"),
        official=("is_duplicate", "question1", "question2"),
        hub="qqp",
        hub_columns=("question1", "question2"),
    ),
    "STS-B": GlueForm(
        metric=Metric.PEARSON_SPEARMAN,
        classes=(),
        official=("score", *SENTENCES),
        hub="stsb",
        hub_columns=SENTENCES,
    ),
    "MNLI": GlueForm(
        metric=Metric.ACCURACY,
        classes=("entailment", "neutral", "contradiction"),
        official=("gold_label", *SENTENCES),
        hub="mnli",
        hub_columns=("premise", "hypothesis"),
        devs=("dev_matched", "dev_mismatched"),
        hub_devs=("validation_matched", "validation_mismatched"),
    ),
    "QNLI": GlueForm(
        metric=Metric.ACCURACY,
        classes=ENTAILS,
        official=("label", "question", "sentence"),
        hub="qnli",
        hub_columns=("question", "sentence"),
        hub_classes=ENTAILS[::-1],
    ),
    "RTE": GlueForm(
        metric=Metric.ACCURACY,
        classes=ENTAILS,
        official=("label", *SENTENCES),
        hub="rte",
        hub_columns=SENTENCES,
        hub_classes=ENTAILS[::-1],
    ),
    "WNLI": GlueForm(
        metric=Metric.ACCURACY, classes=ENTAILS, official=("label", *SENTENCES), hub="wnli", hub_columns=SENTENCES
    ),
}
"""The nine tasks by name."""
_BY_LETTERS = {"".join(filter(str.isalnum, name)).casefold(): name for name in GLUE_TASKS}


def glue_name(text: str) -> str | None:
    """Return the GLUE task that a text names, ignoring case and punctuation (``sst2``, ``sst-2``), or ``None``."""
    return _BY_LETTERS.get("".join(filter(str.isalnum, text)).casefold())


def tasks_with_columns(header: Sequence[str]) -> list[str]:
    """Return the GLUE tasks whose own files have these columns, those with most columns in common."""
    counts = {
        name: len(form.official)
        for name, form in GLUE_TASKS.items()
        if form.official and set(form.official) <= set(header)
    }
    return [name for name, count in counts.items() if count == max(counts.values())]
