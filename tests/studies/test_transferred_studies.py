"""A study whose second trial starts from the first one's weights, stopped and resumed on the way."""

import json

import pytest

from explorer.library.library import Library
from explorer.progress import SilentReporter
from explorer.space.spec import ArchitectureSpec, LayerSpec
from explorer.studies.donors import CHOICE_FILE, REPORT_FILE
from explorer.studies.evaluation import TrainingEvaluator
from explorer.studies.executors.contract import WorkerOrder
from explorer.studies.managing import open_study
from explorer.studies.spec import Trained
from explorer.testing.searches import search
from graphstore import open_store

FIRST = LayerSpec.per_layer(16, "sa", "sdp", 2, (16,))
DONOR = ArchitectureSpec((FIRST, LayerSpec.per_layer(16, "l", "dct", 2, (16,))))
RECIPIENT = ArchitectureSpec((FIRST, LayerSpec.per_layer(16, "l", "dct", 2, (32,))))


@pytest.fixture
def text(tmp_path):
    words = ["river", "garden", "bridge", "house", "market", "forest", "tower", "harbour"]
    documents = [
        "\n".join(
            f"The {words[(n + k) % 8]} number {n} stands near the old {words[n * k % 8]} of the town." for k in range(4)
        )
        for n in range(80)
    ]
    path = tmp_path / "words.txt"
    path.write_text("\n\n".join(documents), encoding="utf-8")
    return path


def test_the_second_trial_starts_from_the_first_ones_weights(tmp_path, text):
    recipe = {"base": "quick", "pretrain_steps": 12, "finetune_steps": 4}
    evaluation = Trained(recipe=recipe, tasks=("order",), data=str(text), transfer="ordered", transfer_overlap=0.5)
    with open_store(f"sqlite:///{tmp_path}/store.db") as store:
        Library.build(store, "two", [DONOR, RECIPIENT], SilentReporter(), source="here")
        study = open_study(store, search("s", "two", budget=2, evaluation=evaluation))
        donor, recipient = (summary.id for summary in store.summaries("two"))
        trials = store.add_trials("s", [(donor, {}), (recipient, {})])
        evaluator = TrainingEvaluator(store, study, WorkerOrder(store.url, "s", study.created, "", 1))

        def evaluate(trial, allowed=10**6):
            left = iter(range(allowed))
            return evaluator.evaluate(
                trial, lambda share, note: None, lambda score: None, lambda: next(left, None) is None
            )

        first = evaluate(trials[0])
        assert json.loads((evaluator.folder(trials[0]) / CHOICE_FILE).read_text()) is None
        assert store.lineage() == []
        assert evaluate(trials[1], allowed=5) is None
        (record,) = store.lineage()
        assert (record.run, record.donor_run) == ("trained:s/1", "trained:s/0")
        assert (record.architecture, record.donor, record.method) == (recipient, donor, "ordered")
        written = (evaluator.folder(trials[1]) / REPORT_FILE).stat().st_mtime_ns
        second = evaluate(trials[1])
        assert (evaluator.folder(trials[1]) / REPORT_FILE).stat().st_mtime_ns == written
        assert store.lineage() == [record]
        started = [
            json.loads((evaluator.folder(trial) / "pretrained" / "pretraining.json").read_text())["first_loss"]
            for trial in trials
        ]
        assert started[1] < started[0] - 0.1
        for score in (*first.scores, *second.scores):
            assert score.fidelity.endswith(", ordered from neighbours of overlap 0.5")
