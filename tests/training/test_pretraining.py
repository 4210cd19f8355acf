from __future__ import annotations

import dataclasses
import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForMaskedLM

from explorer.errors import DataError, InputError, TrainingFailed
from explorer.models import FlexiBertForMaskedLM
from explorer.space.spec import ArchitectureSpec, LayerSpec
from explorer.training.checkpoints import PREFIX, SEAL
from explorer.training.loop import TrainingStopped, build_optimizer, learning_rate, reproducible
from explorer.training.masking import MaskedBatches
from explorer.training.pretrain import checkpoint_folder, model_config, pretrain
from explorer.training.recipe import RECIPES

QUICK = dataclasses.replace(RECIPES["quick"], pretrain_steps=12)
DROPPING = dataclasses.replace(QUICK, dropout=0.1)
CPU = torch.device("cpu")
SPEC = ArchitectureSpec(
    (
        LayerSpec.per_layer(32, "sa", "wma", 2, (64,)),
        LayerSpec.per_layer(64, "c", 5, 4, (64, 64)),
        LayerSpec.per_layer(64, "l", "dft", 4, (64,)),
    )
)


def run(folder, prepared, recipe=QUICK, should_stop=lambda: False, on_step=lambda step, loss: None, **more):
    return pretrain(SPEC, prepared, recipe, 0, folder, CPU, on_step, should_stop, **more)


def stop_after(steps):
    """Wants to stop once it was asked so often."""
    left = iter(range(steps))
    return lambda: next(left, None) is None


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


@pytest.fixture(scope="module")
def whole(tmp_path_factory, prepared):
    folder = tmp_path_factory.mktemp("whole") / "model"
    return folder, run(folder, prepared, DROPPING)


def test_the_trainer_equals_a_plain_loop(tmp_path, prepared):
    history = run(tmp_path / "model", prepared)
    with reproducible(0, CPU):
        model = FlexiBertForMaskedLM(model_config(SPEC, prepared, QUICK)).train()
    optimizer = build_optimizer(model, QUICK.pretrain_rate, QUICK)
    rows = (QUICK.pretrain_length, QUICK.pretrain_batch)
    batches = MaskedBatches(prepared.tokens, *rows, prepared.vocab_size, QUICK.masked_share, 0)
    for step in range(QUICK.pretrain_steps):
        rate = learning_rate(step, QUICK.pretrain_steps, QUICK.pretrain_rate, QUICK.warmup_share)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = batches.batch(step)
        loss = model(input_ids=torch.from_numpy(batch.inputs), labels=torch.from_numpy(batch.labels)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), QUICK.clip)
        optimizer.step()
        assert history[step] == pytest.approx(loss.item(), abs=1e-6)
    trained = AutoModelForMaskedLM.from_pretrained(tmp_path / "model").state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "change", [{"pretrain_pieces": 3}, {"pretrain_pieces": 8}, {"gradient_checkpointing": True}], ids=str
)
def test_pieces_and_recomputation_change_nothing_but_rounding(tmp_path, prepared, change):
    plain = run(tmp_path / "plain", prepared)
    assert run(tmp_path / "other", prepared, dataclasses.replace(QUICK, **change)) == pytest.approx(plain, abs=1e-5)


def test_bfloat16_learns_alike_and_keeps_weights_in_float32(tmp_path, prepared):
    plain = run(tmp_path / "plain", prepared)
    half = run(tmp_path / "half", prepared, dataclasses.replace(QUICK, precision="bfloat16"))
    assert half != plain
    assert half == pytest.approx(plain, abs=0.1)
    assert {value.dtype for value in AutoModelForMaskedLM.from_pretrained(tmp_path / "half").parameters()} == {
        torch.float32
    }


@pytest.mark.parametrize("steps", [0, 1, 5, 11])
def test_a_stopped_training_goes_on_to_the_same_end(tmp_path, prepared, whole, steps):
    folder = tmp_path / "model"
    with pytest.raises(TrainingStopped, match=f"before step {steps + 1}"):
        run(folder, prepared, DROPPING, stop_after(steps))
    assert not folder.exists()
    told = []
    history = run(folder, prepared, DROPPING, on_step=lambda step, loss: told.append((step, loss)))
    assert history == whole[1]
    assert weights(folder) == weights(whole[0])
    assert told == [(step + 1, history[step]) for step in range(steps, 12)]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_checkpoints_come_by_steps_and_only_the_newest_stays(tmp_path, prepared, whole):
    folder, seen = tmp_path / "model", []

    def look(step, loss):
        seen.append([int(path.name.removeprefix(PREFIX)) for path in checkpoint_folder(folder).glob("*")])

    run(folder, prepared, dataclasses.replace(DROPPING, checkpoint_steps=5), on_step=look)
    # What is seen at the end of a step was written after an earlier one.
    assert seen == [[]] * 5 + [[5]] * 5 + [[10]] * 2
    assert weights(folder) == weights(whole[0])


def test_checkpoints_come_by_time(tmp_path, prepared):
    folder, now, seen = tmp_path / "model", [0.0], []

    def look(step, loss):
        seen.append(len(list(checkpoint_folder(folder).glob("*"))))
        now[0] += 20.0

    run(folder, prepared, dataclasses.replace(QUICK, checkpoint_minutes=2.0), on_step=look, clock=lambda: now[0])
    # A step takes 20 s: the look at the end of step 7 is the first after 2 minutes.
    assert seen == [0] * 7 + [1] * 5
    assert json.loads((folder / "pretraining.json").read_text())["seconds"] == 240.0


def test_half_a_checkpoint_is_never_gone_on_from(tmp_path, prepared, whole):
    folder = tmp_path / "model"
    with pytest.raises(TrainingStopped):
        run(folder, prepared, DROPPING, stop_after(4))
    (torn,) = checkpoint_folder(folder).iterdir()
    (torn / SEAL).unlink()
    (torn / "optimizer.pt").write_bytes(b"torn")
    first = []
    assert run(folder, prepared, DROPPING, on_step=lambda step, loss: first.append(step)) == whole[1]
    assert first[0] == 1


def test_a_damaged_checkpoint_is_named(tmp_path, prepared):
    folder = tmp_path / "model"
    with pytest.raises(TrainingStopped):
        run(folder, prepared, QUICK, stop_after(2))
    (checkpoint,) = checkpoint_folder(folder).iterdir()
    (checkpoint / "model.safetensors").write_bytes(b"torn")
    with pytest.raises(DataError, match=rf"{checkpoint.name} must be as it was written.*Remove it"):
        run(folder, prepared, QUICK)


def test_a_checkpoint_of_another_training_is_refused(tmp_path, prepared):
    folder = tmp_path / "model"
    with pytest.raises(TrainingStopped):
        run(folder, prepared, DROPPING, stop_after(2))
    with pytest.raises(InputError, match="checkpoint must belong to the same architecture, text, recipe and seed"):
        run(folder, prepared, QUICK)
    # How often to save, and in how many pieces, may change on the way: that is the remedy for too little memory.
    run(folder, prepared, dataclasses.replace(DROPPING, checkpoint_steps=1, pretrain_pieces=2))


def test_first_weights_are_given_once(tmp_path, prepared):
    folder, calls = tmp_path / "model", []

    def initialise(model):
        calls.append(model.training)
        with torch.no_grad():
            model.head.dense.weight.zero_()

    plain = run(tmp_path / "plain", prepared)
    with pytest.raises(TrainingStopped):
        run(folder, prepared, should_stop=stop_after(3), initialise=initialise)
    history = run(folder, prepared, initialise=initialise)
    assert len(calls) == 1
    assert history[0] != plain[0]


def test_the_callers_chance_is_left_alone(tmp_path, prepared):
    def draw():
        return random.random(), float(np.random.rand()), float(torch.rand(1))

    def seed():
        random.seed(5), np.random.seed(5), torch.manual_seed(5)

    seed()
    expected = draw()
    seed()
    run(tmp_path / "model", prepared)
    assert draw() == expected


def test_a_loss_that_is_no_number_fails_with_step_and_rate(tmp_path, prepared):
    with pytest.raises(TrainingFailed, match=r"the loss became (nan|inf) at step \d+ of 12 \(learning rate .*e\+\d+\)"):
        run(tmp_path / "model", prepared, dataclasses.replace(QUICK, pretrain_rate=1e30, checkpoint_steps=1))
    assert not (tmp_path / "model").exists()


def test_what_the_device_cannot_do_is_refused(tmp_path, prepared):
    with pytest.raises(InputError, match="precision must be float32 or bfloat16 on a CPU"):
        run(tmp_path / "model", prepared, dataclasses.replace(QUICK, precision="float16"))
    with pytest.raises(InputError, match="Set CUDA_VISIBLE_DEVICES=1"):
        pretrain(SPEC, prepared, QUICK, 0, tmp_path / "m", torch.device("cuda:1"), lambda a, b: None, lambda: False)


@pytest.mark.slow
def test_killed_again_and_again_it_ends_the_same(tmp_path, write_text, corpus):
    text = write_text(tmp_path / "text.txt", corpus)
    runs = tmp_path / "runs"
    runs.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("interrupted.py")), str(tmp_path / "work"), str(text)]
    done = subprocess.run([*command, str(runs)], capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["status"] == 0
    assert any(result["torn"]), "at least one was killed while it wrote a checkpoint"
    assert max(result["first_steps"]) > 3, "later attempts go on where earlier ones were"
    assert result["steps"] == 40
    assert result["same_losses"]
    assert result["same_weights"]
    assert result["left"] == ["killed", "killed.json", "whole", "whole.json"]


@pytest.mark.gpu
def test_a_gpu_goes_on_to_the_same_end_in_every_precision(tmp_path, prepared):
    if not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    for precision in ("float32", "bfloat16", "float16"):
        recipe = dataclasses.replace(DROPPING, precision=precision, pretrain_steps=60)
        ends = []
        for name, stops in (("whole", None), ("stopped", 2)):
            folder = tmp_path / f"{precision}-{name}"
            place = (SPEC, prepared, recipe, 0, folder, torch.device("cuda"), lambda step, loss: None)
            if stops is not None:
                with pytest.raises(TrainingStopped):
                    pretrain(*place, stop_after(stops))
            ends.append((pretrain(*place, lambda: False), weights(folder)))
        assert ends[0] == ends[1], precision
