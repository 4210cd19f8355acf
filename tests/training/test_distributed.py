from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from explorer.errors import Code, DataError, DiskError, InputError, MachineFault, TrainingFailed
from explorer.space.formats import to_json
from explorer.space.spec import ArchitectureSpec, LayerSpec
from explorer.training.distributed import Job, _error_of, _fields_of, pretrain_distributed
from explorer.training.files import write_json
from explorer.training.pretrain import pretrain
from explorer.training.recipe import RECIPES

STEPS = 12
RECIPE = dataclasses.replace(RECIPES["quick"], pretrain_steps=STEPS, pretrain_batch=9)
SPEC = ArchitectureSpec((LayerSpec.per_layer(32, "sa", "wma", 2, (64,)), LayerSpec.per_layer(64, "l", "dft", 4, (64,))))


def halve(model):
    with torch.no_grad():
        model.head.dense.weight.mul_(0.5)


@pytest.fixture(scope="module")
def alone(tmp_path_factory, prepared):
    """Losses and weights of the same training in one process, without and with other first weights."""
    work, told = tmp_path_factory.mktemp("alone"), []
    for name, initialise in (("new", None), ("given", halve)):
        place = (SPEC, prepared, RECIPE, 0, work / name, torch.device("cpu"))
        losses = pretrain(*place, lambda step, loss: None, lambda: False, initialise=initialise)
        told.append((losses, load_file(work / name / "model.safetensors")))
    return told


def assert_alike(weights, folder):
    found = load_file(folder / "model.safetensors")
    assert found.keys() == weights.keys()
    for name, value in weights.items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=1e-4)


@pytest.mark.slow
def test_torchrun_over_two_processes_equals_one(tmp_path, prepared, alone):
    losses, weights = alone[1]
    told = []
    place = (SPEC, prepared, RECIPE, 0, tmp_path / "model", "cpu", 2)
    pretrain_distributed(*place, lambda step, loss: told.append((step, loss)), lambda: False, initialise=halve)
    # The processes look, and report, at the steps that one in a hundred or every tenth is; here at each.
    assert [step for step, _ in told] == list(range(1, STEPS + 1))
    assert [loss for _, loss in told] == pytest.approx(losses, abs=1e-5)
    assert_alike(weights, tmp_path / "model")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


@pytest.mark.slow
def test_a_wish_of_one_process_stops_all_and_they_go_on_together(tmp_path, prepared, alone):
    losses, weights = alone[0]
    runs = tmp_path / "runs"
    runs.mkdir()
    recipe = dataclasses.asdict(dataclasses.replace(RECIPE, pretrain_pieces=2))
    job = Job(
        to_json(SPEC),
        recipe,
        0,
        str(prepared.tokens.filename),
        str(prepared.tokenizer),
        prepared.vocab_size,
        prepared.text,
        str(runs / "model"),
        "cpu",
    )
    write_json(tmp_path / "job.json", dataclasses.asdict(job))
    command = [sys.executable, str(Path(__file__).with_name("several.py")), str(tmp_path / "job.json"), "5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    main, other = result["first"]
    assert other == [["stopped", f"stopped on request before step 6 of {STEPS}"]]
    assert main[-1] == other[0]
    assert result["made"] == ["model.checkpoints"]
    resumed, silent = result["second"]
    assert silent == [["done"]]
    steps = [word for word in main + resumed if word[0] == "step"]
    assert [step for _, step, _ in steps] == list(range(1, STEPS + 1))
    assert [loss for *_, loss in steps] == pytest.approx(losses, abs=1e-5)
    assert_alike(weights, runs / "model")
    assert [path.name for path in runs.iterdir()] == ["model"]


def test_a_recipe_with_more_pieces_than_rows_is_refused_before_anything_starts(tmp_path, prepared):
    recipe = dataclasses.replace(RECIPE, pretrain_pieces=5)
    place = (SPEC, prepared, recipe, 0, tmp_path / "model", "cpu", 2)
    with pytest.raises(InputError, match="pretrain_pieces must be at most pretrain_batch = 9 over 2 processes"):
        pretrain_distributed(*place, lambda step, loss: None, lambda: False)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "error",
    [
        TrainingFailed("the loss became nan: at step 3", "pre-training"),
        TrainingFailed("pre-training: of a name"),
        MachineFault("out of memory", "pre-training"),
        InputError("recipe.length", "be at most 64", {"given": (65, "x" * 500)}, "Lower it.", Code.TOO_FEW_SCORES),
        DataError("text", "have a word", None, "Give more."),
        DiskError("folder", "be writable", Path("/x"), "Free space."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_of_a_process_is_the_same_outside(error):
    again = _error_of(*json.loads(json.dumps(_fields_of(error))))
    assert type(again) is type(error)
    assert str(again) == str(error)
    for name in ("field", "rule", "remedy", "code", "reason", "part"):
        assert getattr(again, name, None) == getattr(error, name, None)
