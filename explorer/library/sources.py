"""Sources of scores: texts such as ``trained:STUDY/3`` that identify the training behind a score."""

from __future__ import annotations

from typing import NamedTuple

PREFIX = "trained:"
SINGLE = "train"
"""Used in place of a study's name for trainings started by ``archex train``."""


class TrainedSource(NamedTuple):
    """A training run in the store's work folder.

    Attributes:
        study: name of the study; ``train`` for a run of ``archex train``.
        run: number of the trial; name of the run's folder for a run of ``archex train``.
    """

    study: str
    run: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.study}/{self.run}"


def trial_source(study: str, number: int) -> str:
    """Return the source of the scores of a study's trial."""
    return str(TrainedSource(study, str(number)))


def run_source(folder: str) -> str:
    """Return the source of the scores of a run of ``archex train``, given the name of its folder."""
    return str(TrainedSource(SINGLE, folder))


def is_trained(source: str) -> bool:
    """Whether a score comes from a training of this store and not from an imported table."""
    return source.startswith(PREFIX)


def trained_source(source: str) -> TrainedSource | None:
    """Parse a source; ``None`` if the score was not trained here."""
    study, _, run = source.removeprefix(PREFIX).rpartition("/")
    return TrainedSource(study, run) if is_trained(source) and study else None
