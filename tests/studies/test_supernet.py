"""Shapes of a super-network in the store: scores by where they stood, measurements, studies, the commands."""

from __future__ import annotations

import dataclasses
import json
import math
import time

import pytest
import torch
import transformers

from explorer.analysis.score_kinds import known_objective
from explorer.errors import InputError
from explorer.library.library import Library
from explorer.library.records import score_record
from explorer.library.sources import trial_source
from explorer.models import FlexiBertForMaskedLM, spec_of
from explorer.progress import SilentReporter
from explorer.search.registry import POLICIES
from explorer.similarity.graph import architecture_id
from explorer.space.backbones import Backbone, shape_widths
from explorer.space.formats import from_json
from explorer.studies.driver import StudyDriver
from explorer.studies.executors.contract import WorkerOrder
from explorer.studies.managing import open_study
from explorer.studies.objectives import study_candidates
from explorer.studies.spec import Inside
from explorer.studies.supernet import (
    EVALUATOR,
    ShapeScore,
    SupernetEvaluator,
    _check_same_network,
    check_supernet,
    keep_scores,
    task_score,
)
from explorer.supershaper.evaluation import HeldOut, perplexities
from explorer.supershaper.folder import SuperSettings, open_folder, train_folder
from explorer.supershaper.scores import INSIDE_TASK
from explorer.supershaper.training import SuperPlan
from explorer.testing.searches import search
from explorer.training.recipe import RECIPES
from graphstore import open_store
from graphstore.records import SpaceRecord, TrialStatus

CPU = torch.device("cpu")
NANO = Backbone(hidden=16, heads=2, feed_forward=24, layers=2)
QUICK = dataclasses.replace(RECIPES["quick"], pretrain_steps=3, pretrain_length=16, pretrain_rate=1e-3, vocab_size=320)
TEXT = "\n\n".join(f"The cat number {n} sees a dog and the bird {n % 7} follows it." for n in range(80))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A super-network of nine shapes."""
    found = tmp_path_factory.mktemp("supernet")
    (found / "text.txt").write_text(TEXT)
    settings = SuperSettings(SuperPlan(NANO, (4, 8, 16), QUICK), str(found / "text.txt"))
    silent = (lambda share, note: None, lambda step, loss: None, lambda: False)
    train_folder(found / "net", settings, CPU, *silent)
    return found / "net"


@pytest.fixture(scope="module")
def opened(folder):
    return open_folder(folder, CPU)


@pytest.fixture(scope="module")
def held_out(opened):
    return HeldOut.of(opened.text, 16, 32)


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db") as found:
        yield found


def test_scores_inside_and_alone_never_mix(store, opened, held_out):
    widths = (4, 16)
    value = perplexities(opened.network, [widths], held_out)[0]
    found = [ShapeScore(widths, value, 32), ShapeScore(widths, value * 1.5, 32, (100, 3))]
    for _ in range(2):  # the second time adds nothing
        keep_scores(store, opened, "shapes", found, SilentReporter())
    assert len(store.architecture_ids("shapes")) == 9, "a small space is there as a whole"
    id = architecture_id(NANO.spec(widths))
    inside, alone = sorted(store.scores(architecture=id, task=INSIDE_TASK), key=lambda one: one.fidelity)
    assert inside.fidelity == f"inside super-network {opened.mark}, super-pretrain 3x8x16 of 4 shapes"
    assert (alone.fidelity, alone.seed) == ("stand-alone, pretrain 100x8x16", 3)
    assert math.exp(-inside.value) == pytest.approx(value)
    (measured,) = store.measurements(architecture=id)
    assert (measured.device, measured.quantity) == (f"supernet-{opened.mark}", "perplexity")
    assert measured.value == pytest.approx(value)
    with pytest.raises(Exception, match="comparable"):
        known_objective(store, "shapes", INSIDE_TASK)
    other = dataclasses.replace(opened, settings=SuperSettings(SuperPlan(NANO, (4, 12, 16), QUICK)))
    with pytest.raises(InputError, match="has another definition"):
        keep_scores(store, other, "shapes", [ShapeScore((12, 12), 9.0, 32)], SilentReporter())


def test_an_interrupted_space_is_gone_on_with(store, opened):
    class Interrupting(SilentReporter):
        def update(self, phase, *more):
            if phase == "neighbours":
                raise KeyboardInterrupt

    found = [ShapeScore((4, 16), 9.0, 32)]
    with pytest.raises(KeyboardInterrupt):
        keep_scores(store, opened, "shapes", found, Interrupting())
    assert not store.space("shapes").info["ready"]
    keep_scores(store, opened, "shapes", found, SilentReporter())
    assert store.space("shapes").info["ready"]
    assert len(store.architecture_ids("shapes")) == 9
    assert len(store.scores(space="shapes", task=INSIDE_TASK)) == 1


def test_a_study_does_not_go_on_inside_another_super_network(store, folder, opened):
    keep_scores(store, opened, "shapes", [ShapeScore((4, 4), 9.0, 32)], SilentReporter())
    evaluation = Inside(supernet=str(folder), rows=32)
    spec = search("inside", "shapes", "random", INSIDE_TASK, 4, evaluation=evaluation)
    study = open_study(store, spec)
    StudyDriver(store, study, study_candidates(store, spec)).propose(1)
    trial = store.claim_trial("inside", "me", 60.0, time.time())
    score = task_score(opened, ShapeScore((4, 4), 9.0, 32))
    source = trial_source("inside", trial.number)
    store.add_scores([score_record(score, trial.architecture, source)])
    _check_same_network(store, study, folder)
    other = dataclasses.replace(score, fidelity=score.fidelity.replace(opened.mark, "another"))
    store.add_scores([score_record(other, trial.architecture, source)])
    with pytest.raises(InputError, match="was started with"):
        _check_same_network(store, study, folder)


@pytest.mark.parametrize("policy", POLICIES)
def test_every_policy_searches_shapes_by_perplexity_inside(store, folder, opened, held_out, policy):
    keep_scores(store, opened, "shapes", [ShapeScore((4, 4), 9.0, 32)], SilentReporter())
    evaluation = Inside(supernet=str(folder), rows=32)
    limits = ["parameters<=9000"]
    spec = search("inside", "shapes", policy, INSIDE_TASK, 4, evaluation=evaluation, constraints=limits)
    spec.check(store)
    study = open_study(store, spec)
    evaluator = SupernetEvaluator(store, study, WorkerOrder(store.url, "inside", study.created, evaluator=EVALUATOR))
    driver = StudyDriver(store, study, study_candidates(store, spec))
    while not driver.finished() and driver.propose(1):
        trial = store.claim_trial("inside", "me", 60.0, time.time())
        done = evaluator.evaluate(trial, lambda share, note: None, lambda score: None, lambda: False)
        store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=done.value)
        spec = from_json(store.architecture(trial.architecture).spec)
        inside = perplexities(opened.network, [shape_widths(spec)], held_out)[0]
        assert math.exp(-done.value) == pytest.approx(inside)
        assert done.scores[0].value == done.value
    trials = store.trials("inside")
    assert len(trials) == 4
    assert all(store.architecture(trial.architecture).parameters <= 9000 for trial in trials)


def test_a_study_inside_has_one_objective_and_needs_a_super_network(store, tmp_path, folder):
    with pytest.raises(InputError, match=INSIDE_TASK):
        check_supernet(store, "small", folder, "mean")
    with pytest.raises(Exception, match="trained super-network"):
        check_supernet(store, "small", tmp_path, INSIDE_TASK)


def test_evaluate_prints_and_keeps(archex, folder, opened, held_out):
    asked = ("supernet", "evaluate", str(folder), "4,16", "--sample", "2", "--rows", "32")
    code, out, err = archex(*asked, "--alone", "2", "--store", "sqlite:///x.db", "--json")
    assert code == 0, err
    document = json.loads(out)
    shapes = [tuple(one["shape"]) for one in document["shapes"]]
    assert len(set(shapes)) == 3
    assert shapes[0] == (4, 16)
    wanted = perplexities(opened.network, shapes, held_out)
    assert [one["perplexity"] for one in document["shapes"]] == pytest.approx(wanted)
    with open_store("sqlite:///x.db") as store:
        assert len(store.scores(space="shapes", task=INSIDE_TASK)) == 6
    for never_trained in (("4,12",), ("4,12", "--alone", "2")):
        code, _, err = archex("supernet", "evaluate", str(folder), *never_trained)
        assert code == 2
        assert "trained with: 4, 8, 16, but got '12'" in " ".join(err.split())
    assert archex("supernet", "evaluate", str(folder), "4,20")[0] == 2
    assert archex("supernet", "evaluate", str(folder))[0] == 2


def test_evaluate_evaluates_nothing_for_a_space_that_cannot_take_it(archex, folder):
    with open_store("sqlite:///x.db") as store:
        store.put_space(SpaceRecord("taken", {"source": {"from": "elsewhere"}}))
    asked = ("supernet", "evaluate", str(folder), "4,16", "--rows", "32", "--space", "taken")
    code, _, err = archex(*asked, "--store", "sqlite:///x.db")
    assert code == 2
    assert "space taken has another definition" in " ".join(err.split())
    assert "evaluating" not in err


def test_no_study_begins_in_a_space_with_shapes_that_were_never_trained(archex, folder):
    specs = [NANO.spec(widths) for widths in ((4, 16), (8, 12), (16, 16))]
    with open_store("sqlite:///x.db") as store:
        Library.build(store, "odd", specs, SilentReporter(), source={"from": "here"})
    asked = ("search", "--store", "sqlite:///x.db", "--space", "odd", "--supernet", str(folder), "--budget", "2")
    code, _, err = archex(*asked, "--policy", "random")
    assert code == 2
    assert "with widths 4, 8, 16" in " ".join(err.split())
    assert "of widths 8, 12" in " ".join(err.split())
    with open_store("sqlite:///x.db") as store:
        assert not store.studies()


def test_extract_leaves_with_a_model_that_transformers_loads(archex, folder, opened):
    code, out, err = archex("supernet", "extract", str(folder), "8,4", "plain", "--merged", "--json")
    assert code == 0, err
    loaded = transformers.AutoModelForMaskedLM.from_pretrained("plain")
    assert loaded.config.merged_bottlenecks
    ids = torch.randint(5, opened.text.prepared.vocab_size, (2, 9))
    with torch.no_grad():
        wanted = opened.network.extract((8, 4))(ids).logits
        torch.testing.assert_close(loaded(ids).logits, wanted, rtol=1e-5, atol=1e-5)
    assert json.loads(out)["parameters"] == sum(value.numel() for value in loaded.flexibert.parameters())
    assert transformers.AutoTokenizer.from_pretrained("plain")("the cat").input_ids[0] == 1
    assert archex("supernet", "extract", str(folder), "8,4", "plain")[0] == 2
    code, _, err = archex("supernet", "extract", str(folder), "8,6", "other")
    assert code == 2
    assert "trained with: 4, 8, 16, but got '6'" in " ".join(err.split())


def test_extract_fine_tunes_on_a_task(archex, folder, tmp_path):
    task = tmp_path / "own"
    task.mkdir()
    rows = [f"{'the cat sees' if n % 2 else 'a dog follows'} number {n}\t{n % 2}" for n in range(64)]
    for part in ("train", "dev"):
        (task / f"{part}.tsv").write_text("sentence\tlabel\n" + "\n".join(rows) + "\n")
    (tmp_path / "SST-2").mkdir()
    for part in ("train", "dev"):
        (tmp_path / "SST-2" / f"{part}.tsv").write_text((task / f"{part}.tsv").read_text())
    (tmp_path / "r.yaml").write_text("base: quick\nfinetune_steps: 4\n")
    asked = ("supernet", "extract", str(folder), "8,4", "tuned", "--merged", "--task", "SST-2", "--data", str(tmp_path))
    code, out, err = archex(*asked, "--recipe", "r.yaml", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert 0 <= document["value"] <= 1
    assert document["majority"] == 0.5
    assert document["chance"] == pytest.approx(0.5, abs=0.1)
    loaded = transformers.AutoModelForSequenceClassification.from_pretrained("tuned")
    assert spec_of(loaded.config) == NANO.spec((8, 4))
    assert loaded.config.num_labels == 2
    assert not list(folder.glob("tuned*"))


def test_train_goes_on_and_refuses_other_settings(archex, folder, tmp_path):
    (tmp_path / "t.txt").write_text(TEXT)
    (tmp_path / "r.yaml").write_text("base: quick\npretrain_length: 16\nvocab_size: 320\n")
    asked = ("supernet", "train", "net", "--backbone", "2x16", "--widths", "8,16", "--text", "t.txt")
    asked += ("--recipe", "r.yaml", "--steps", "2", "--json")
    code, out, err = archex(*asked)
    assert code == 0, err
    assert json.loads(out)["shapes"] == 4
    assert isinstance(FlexiBertForMaskedLM.from_pretrained("net/model"), FlexiBertForMaskedLM)
    assert json.loads(archex("supernet", "train", "net", "--json")[1]) == json.loads(out), "the loss too is what it was"
    assert json.loads(out)["loss"] > 0
    (tmp_path / "net" / "model" / "pretraining.json").unlink()
    assert "loss" not in json.loads(archex("supernet", "train", "net", "--json")[1])
    code, _, err = archex(*asked, "--distil", "0.5")
    assert code == 2
    assert "distil" in err
    code, _, err = archex("supernet", "train", "net", "--steps", "9")
    assert code == 2, "an option is not passed over where the folder has settings"
    assert "as in the super-network in net" in err.replace("\n", " ")
