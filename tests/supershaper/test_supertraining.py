"""Super-pre-training against a plain loop over extracted models; resuming; text; perplexities inside."""

from __future__ import annotations

import dataclasses
import math
import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F
from transformers import BertConfig, BertForMaskedLM, BertTokenizer

from explorer.errors import DataError, InputError
from explorer.models import FlexiBertForMaskedLM
from explorer.space.backbones import Backbone
from explorer.supershaper.bottlenecks import start_as_identity
from explorer.supershaper.evaluation import HeldOut, perplexities, perplexity
from explorer.supershaper.folder import SuperSettings, open_folder, train_folder
from explorer.supershaper.network import SuperNetwork
from explorer.supershaper.planning import super_settings
from explorer.supershaper.text import prepare_text
from explorer.supershaper.training import SuperPlan, train_super_network
from explorer.training.loop import TrainingStopped, build_optimizer, learning_rate, reproducible
from explorer.training.masking import MaskedBatches
from explorer.training.pretrain import model_config
from explorer.training.recipe import RECIPES

CPU = torch.device("cpu")
NANO = Backbone(hidden=16, heads=2, feed_forward=24, layers=2)
QUICK = dataclasses.replace(RECIPES["quick"], pretrain_steps=6, pretrain_length=16, pretrain_rate=1e-3, vocab_size=320)
PLAN = SuperPlan(NANO, (4, 8, 16), QUICK, sampled=2, distil=0.4)
WORDS = [f"word{number}" for number in range(40)]


def sentences(seed, count=60):
    rng = np.random.default_rng(seed)
    return "\n\n".join(" ".join(rng.choice(WORDS, 12)) + "." for _ in range(count))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    found = tmp_path_factory.mktemp("text")
    (found / "train.txt").write_text(sentences(0))
    (found / "valid.txt").write_text(sentences(1))
    return found


@pytest.fixture(scope="module")
def text(folder):
    return prepare_text(folder / "work", QUICK, folder, None, lambda share, note: None)


def run(plan, text, folder, should_stop=lambda: False, **more):
    return train_super_network(plan, text.prepared, folder, CPU, lambda step, loss: None, should_stop, **more)


def weights(folder):
    return (folder / "model.safetensors").read_bytes()


def test_a_step_trains_the_largest_the_smallest_and_random_shapes():
    steps = [PLAN.shapes(step) for step in range(300)]
    assert all(shapes[:2] == [(16, 16), (4, 4)] for shapes in steps)
    drawn = {widths for shapes in steps for widths in shapes[2:]}
    assert drawn == {(a, b) for a in (4, 8, 16) for b in (4, 8, 16)}
    assert steps[7] == PLAN.shapes(7)
    assert steps != [dataclasses.replace(PLAN, seed=1).shapes(step) for step in range(300)]


@pytest.mark.parametrize("distil", [0.0, 0.4])
@pytest.mark.parametrize("pieces", [1, 3])
def test_training_equals_a_plain_loop_over_extracted_models(tmp_path, text, distil, pieces):
    plan = dataclasses.replace(PLAN, distil=distil, recipe=dataclasses.replace(QUICK, pretrain_pieces=pieces))
    history = run(plan, text, tmp_path / "model")
    prepared = text.prepared
    with reproducible(0, CPU):
        model = FlexiBertForMaskedLM(model_config(NANO.spec((16, 16)), prepared, QUICK)).train()
    start_as_identity(model)
    network, optimizer = SuperNetwork(model), build_optimizer(model, QUICK.pretrain_rate, QUICK)
    batches = MaskedBatches(prepared.tokens, 16, QUICK.pretrain_batch, prepared.vocab_size, QUICK.masked_share, 0)
    for step in range(QUICK.pretrain_steps):
        batch = batches.batch(step)
        inputs = {"input_ids": torch.from_numpy(batch.inputs), "labels": torch.from_numpy(batch.labels)}
        gradients = {name: torch.zeros_like(value) for name, value in model.named_parameters()}
        soft, losses = None, []
        for widths in plan.shapes(step):
            alone = network.extract(widths).train()
            output = alone(**inputs)
            loss = output.loss
            if soft is None:
                soft = output.logits.detach().softmax(-1)
            else:
                loss = (1 - distil) * loss + distil * -(soft * F.log_softmax(output.logits, -1)).sum(-1).mean()
            losses.append(loss.item())
            loss.backward()
            for name, parameter in alone.named_parameters():
                gradients[name][tuple(slice(size) for size in parameter.shape)] += parameter.grad / 4
        for name, parameter in model.named_parameters():
            parameter.grad = gradients[name]
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, QUICK.pretrain_steps, QUICK.pretrain_rate, QUICK.warmup_share)
        torch.nn.utils.clip_grad_norm_(model.parameters(), QUICK.clip)
        optimizer.step()
        assert history[step] == pytest.approx(np.mean(losses), abs=1e-4)
    trained = FlexiBertForMaskedLM.from_pretrained(tmp_path / "model").state_dict()
    for name, value in model.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=0, atol=2e-4)


def test_a_resumed_training_ends_bitwise_as_an_uninterrupted_one(tmp_path, text):
    plan = dataclasses.replace(PLAN, recipe=dataclasses.replace(QUICK, dropout=0.2))
    whole = run(plan, text, tmp_path / "whole")
    left = iter(range(4))  # asked before the first step too
    with pytest.raises(TrainingStopped, match="before step 5 of 6"):
        run(plan, text, tmp_path / "parts", lambda: next(left, None) is None)
    assert not (tmp_path / "parts").exists()
    other = dataclasses.replace(plan, distil=0.1)
    with pytest.raises(InputError, match="checkpoint"):
        run(other, text, tmp_path / "parts")
    assert run(plan, text, tmp_path / "parts") == whole
    assert weights(tmp_path / "parts") == weights(tmp_path / "whole")


@pytest.mark.parametrize(
    "change",
    [{"widths": (4, 8)}, {"widths": (16,)}, {"sampled": -1}, {"distil": 1.5}, {"seed": -1}, {"widths": (5, 16)}],
    ids=str,
)
def test_a_plan_that_breaks_a_rule_is_refused(change):
    with pytest.raises(InputError):
        dataclasses.replace(PLAN, **change)


def test_several_processes_are_refused(tmp_path, text, monkeypatch):
    class Several:
        world_size = 2

    from explorer.supershaper.training import SandwichTrainer

    with pytest.raises(InputError, match="one process"):
        SandwichTrainer(PLAN, None, Several(), None, QUICK, None, 0)


def test_text_is_a_folder_of_two_files_or_every_twentieth_document(tmp_path, folder, text):
    assert len(text.held_out) > 100
    again = prepare_text(folder / "work", QUICK, folder, None, lambda share, note: None)
    assert again.fingerprint == text.fingerprint
    (tmp_path / "one.txt").write_text(sentences(2, 100))
    cut = prepare_text(tmp_path / "work", QUICK, tmp_path / "one.txt", None, lambda share, note: None)
    end = cut.prepared.special.end
    documents = (cut.held_out == end).sum(), (cut.prepared.tokens == end).sum()
    assert documents == (5, 95)
    (tmp_path / "one.txt").write_text(sentences(3, 100))  # a super-network's tokens stay what they were
    kept = prepare_text(tmp_path / "work", QUICK, tmp_path / "one.txt", None, lambda share, note: None)
    assert kept.fingerprint == cut.fingerprint
    assert (kept.held_out == cut.held_out).all()
    assert kept.prepared.tokenizer == cut.prepared.tokenizer
    (tmp_path / "one.txt").unlink()
    prepare_text(tmp_path / "work", QUICK, tmp_path / "one.txt", None, lambda share, note: None)
    for stream in (tmp_path / "work").glob("tokens-*.npy"):
        stream.write_bytes(b"damaged")
    with pytest.raises(DataError, match="as it was written"):
        prepare_text(tmp_path / "work", QUICK, tmp_path / "one.txt", None, lambda share, note: None)
    (tmp_path / "few.txt").write_text("One sentence only.")
    with pytest.raises(DataError, match="at least 20"):
        prepare_text(tmp_path / "work", QUICK, tmp_path / "few.txt", None, lambda share, note: None)


def test_perplexities_inside_are_those_of_extracted_models_with_masks_that_never_change(text):
    torch.manual_seed(3)
    config = model_config(NANO.spec((16, 16)), text.prepared, dataclasses.replace(QUICK, initial_range=0.3))
    network = SuperNetwork(FlexiBertForMaskedLM(config).train())
    held_out = HeldOut.of(text, 16, rows=40, batch=8)
    assert held_out.rows == 40
    again = HeldOut.of(text, 16, rows=40, batch=8)
    assert all(torch.equal(a, b) for a, b in zip(held_out.inputs, again.inputs, strict=True))
    short = HeldOut.of(dataclasses.replace(text, held_out=text.held_out[:35]), 16)
    assert short.rows == 2, "no row is counted that only repeats others"
    shapes = [(8, 16), (16, 16), (8, 4), (4, 8), (8, 16)]
    told = []
    found = perplexities(network, shapes, held_out, told.append)
    assert told[-1] == 4
    assert found[0] == found[4]
    for widths, value in zip(shapes, found, strict=True):
        alone = network.extract(widths)
        assert value == pytest.approx(perplexity(alone, held_out), rel=1e-5)
        logits = torch.cat([alone(input_ids=ids).logits for ids in held_out.inputs])
        plain = F.cross_entropy(logits.flatten(0, 1), torch.cat(held_out.labels).flatten(), ignore_index=-100)
        assert value == pytest.approx(math.exp(plain.item()), rel=1e-4)
    assert len(set(found)) == 4


def test_a_bert_gives_weights_and_vocabulary(tmp_path, folder):
    words = ["[PAD]", "[unused0]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", ".", *WORDS]
    (tmp_path / "vocab.txt").write_text("\n".join(words))
    bert = tmp_path / "bert"
    BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(bert)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    theirs = BertForMaskedLM(BertConfig(vocab_size=len(words), max_position_embeddings=32, **sizes))
    theirs.save_pretrained(bert)
    text = prepare_text(tmp_path / "work", QUICK, folder, bert, lambda share, note: None)
    special = text.prepared.special
    assert (special.pad, special.start, special.end, special.mask, special.unknown) == (0, 3, 4, 5, 2)
    for name in (bert, bert / "config.json", tmp_path):
        settings = super_settings("nano", bert=str(name))
        assert (settings.bert, settings.plan.recipe.length) == (str(bert), 32)
    with pytest.raises(InputError, match="checkpoint must be an existing folder, or the name of a model"):
        super_settings("nano", bert="./nowhere")
    assert text.prepared.vocab_size == len(words)
    held_out = HeldOut.of(text, 16, rows=32)
    ids, labels = torch.cat(held_out.inputs), torch.cat(held_out.labels)
    assert (ids[:, 0] == 3).all()
    assert ((ids == 5) <= (labels != -100)).all()
    assert not np.isin(labels.numpy(), special.all).any()
    assert not np.isin(ids[(ids != labels) & (labels != -100)].numpy(), (0, 2, 3, 4)).any()
    recipe = dataclasses.replace(QUICK, pretrain_steps=1, pretrain_rate=1e-12, weight_decay=0.0)
    run(dataclasses.replace(PLAN, recipe=recipe), text, tmp_path / "model", bert=bert)
    trained = FlexiBertForMaskedLM.from_pretrained(tmp_path / "model")
    with torch.no_grad():
        torch.testing.assert_close(trained(ids).logits, theirs.eval()(ids).logits, rtol=0, atol=1e-5)


def test_a_new_folder_is_not_begun_with_a_text_or_a_bert_that_is_no_good(tmp_path, folder):
    few, bert, target = tmp_path / "few.txt", tmp_path / "bert", tmp_path / "net"
    few.write_text("One sentence only.")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    BertForMaskedLM(BertConfig(vocab_size=20, max_position_embeddings=32, **sizes)).save_pretrained(bert)
    recipe = dataclasses.replace(QUICK, length=32)
    plan = dataclasses.replace(PLAN, recipe=recipe)

    def refused(settings, words):
        with pytest.raises((InputError, DataError), match=words):
            train_folder(target, settings, CPU, lambda share, note: None, lambda step, loss: None, lambda: False)
        assert not target.exists()

    half = dataclasses.replace(plan, recipe=dataclasses.replace(recipe, precision="float16"))
    refused(SuperSettings(half, str(folder)), "precision")
    refused(SuperSettings(plan, str(few)), "at least 20")
    refused(SuperSettings(plan, str(tmp_path)), "train.txt")
    refused(SuperSettings(plan, str(folder), str(bert)), "tokenizer")
    (tmp_path / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "."]))
    BertTokenizer(str(tmp_path / "vocab.txt")).save_pretrained(bert)
    refused(SuperSettings(plan, str(folder), str(bert)), "feed_forward")


def test_a_full_disk_is_said_and_the_training_goes_on_when_there_is_space(tmp_path, folder):
    settings, steps = SuperSettings(PLAN, str(folder)), []

    def train(should_stop):
        told = lambda share, note: None, lambda step, loss: steps.append(step)
        train_folder(tmp_path / "net", settings, CPU, *told, should_stop)

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def stop_without_space():
        if not steps:
            return False
        resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
        return True

    try:
        with pytest.raises(DataError, match="can be written"):
            train(stop_without_space)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    train(lambda: False)
    assert steps[-1] == 6
    assert open_folder(tmp_path / "net", CPU).settings == settings


def test_a_folder_belongs_to_its_settings_and_opens_when_it_is_complete(tmp_path, folder):
    settings = SuperSettings(PLAN, str(folder))
    target, told = tmp_path / "net", []

    def train(settings, should_stop=lambda: False):
        train_folder(target, settings, CPU, lambda share, note: None, lambda step, loss: told.append(step), should_stop)

    target.mkdir()
    (target / ".supernet.json.x1").touch()  # of a process that was killed as it wrote
    left = iter(range(3))
    with pytest.raises(TrainingStopped):
        train(settings, lambda: next(left, None) is None)
    with pytest.raises(DataError, match="is not finished"):
        open_folder(target, CPU)
    rate = dataclasses.replace(PLAN, recipe=dataclasses.replace(QUICK, pretrain_rate=0.5))
    for other, name in ((SuperSettings(rate, str(folder)), "pretrain_rate"), (SuperSettings(PLAN, ""), "text")):
        with pytest.raises(InputError, match=name):
            train(other)
    often = dataclasses.replace(PLAN, recipe=dataclasses.replace(QUICK, checkpoint_steps=1))
    train(SuperSettings(often, str(folder)))  # how often to save is no part of what is learned
    assert told[-1] == 6
    first = open_folder(target, CPU)
    assert first.settings == settings
    assert len(first.mark) == 8
    told.clear()
    train(settings)
    assert told == [], "a complete super-network is left alone"
    (target / "supernet.json").write_text("{}")
    with pytest.raises(DataError, match="as it was written"):
        open_folder(target, CPU)
    full = tmp_path / "full"
    full.mkdir()
    (full / "x").touch()
    with pytest.raises(InputError, match="new, empty"):
        train_folder(full, settings, CPU, lambda share, note: None, lambda step, loss: None, lambda: False)
