"""Which trainings share a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from explorer.studies.spec import Trained
from explorer.studies.trained import TrainingChoices
from explorer.training.metrics import Metric
from explorer.training.prepared import EncodedExamples, EncodedTask, Prepared
from explorer.training.tasks.base import TaskKind

NOTHING = EncodedExamples(np.zeros(0, np.uint16), np.zeros(1, np.int64), np.zeros(0))


def prepared(*fingerprints):
    tasks = [
        EncodedTask("mine", Metric.ACCURACY, TaskKind.CLASSIFICATION, False, ("a", "b"), one, NOTHING, NOTHING)
        for one in fingerprints
    ]
    return Prepared(Path(), 300, 8, np.zeros(1, np.uint16), "the same text", tuple(tasks))


def test_tasks_of_one_name_with_other_examples_do_not_overwrite_each_others_models():
    choices = TrainingChoices.of(Trained(recipe="quick"))
    digests = {choices.run_digest(one, "id", 0) for one in (prepared("x"), prepared("y"), prepared("x", "y"))}
    assert len(digests) == 3
    assert choices.run_digest(prepared("x"), "id", 0) in digests
