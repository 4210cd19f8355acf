"""How fast models train: ours beside ``transformers``' BERT, heterogeneous and per-head forms, and the training loop.

Run ``uv run python benchmarks/training.py`` (10 minutes on one core) or with ``--quick`` (under a minute, shorter rows,
fewer rounds). Everything is one process with one thread. What is compared is timed in turn, one training step each,
round after round; a figure is the median of the rounds' ratios. Times are the process's own processor time, which
other work on the machine disturbs least; on a GPU they are times by the clock.

The last line is one JSON object:

* ``bert_mini_tokens_ratio``: tokens/s of BERT-Mini as our model over those of ``transformers.BertForMaskedLM``, both
  with absolute positions (transformers 5 has no relative ones for BERT), equal sizes, batches and optimiser.
* ``flexibert_mini_time_ratio``: a step of FlexiBERT-Mini over one of BERT-Mini, both ours; larger of both positions.
* ``per_head_time_ratio``: a step of a model whose layers mix heads over one of a model of the same heads, sorted into
  layers of one operation each; the largest of all such pairs.
* ``loop_overhead``: time of a step of ``explorer.training.pretrain`` over that of a bare loop with the same model,
  batches, clipping and optimiser, minus 1, for the smallest models, where it weighs most.

With a CUDA device, also tokens/s and the share of the device's bf16 peak for BERT-Base and FlexiBERT-Large at length
512, and the steps/s of nano models that train side by side.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
if __name__ == "__main__" and not sys.flags.safe_path:
    # Without this folder on the path: transformers takes the kernels.py beside this file for an optional package.
    os.execv(sys.executable, [sys.executable, "-P", *sys.argv])

import numpy as np
import torch
from torch import Tensor, nn
from transformers import BertConfig, BertForMaskedLM

from explorer.cli.bench import OptionParser, run_main
from explorer.documents.yaml_text import read_yaml
from explorer.models import FlexiBertForMaskedLM, config_for
from explorer.space.formats import from_model_dict
from explorer.training.loop import build_optimizer
from explorer.training.masking import MaskedBatches
from explorer.training.prepared import Prepared
from explorer.training.recipe import RECIPES, Recipe
from explorer.training.tokenizer import save_tokenizer, train_tokenizer

WORDS = 30522
POSITIONS = ("absolute", "relative_key")
NAMED = Path(__file__).parent.parent / "data" / "named_models.yaml"
NANO = {"l": 2, "o": ["sa"] * 2, "h": [64] * 2, "n": [2] * 2, "f": [[256]] * 2, "p": ["sdp"] * 2}
Clock = Callable[[], float]
Step = Callable[[], None]


def _layers(operations: list[tuple[str, Any]]) -> dict[str, Any]:
    """BERT-Mini's sizes, one operation a layer."""
    families, parameters = zip(*operations, strict=True)
    return {"l": 4, "o": list(families), "h": [256] * 4, "n": [4] * 4, "f": [[1024]] * 4, "p": list(parameters)}


def _mixed(heads: list[str]) -> dict[str, Any]:
    """BERT-Mini's sizes, the same heads in every layer."""
    return {"l": 4, "o": [[f"{head}_64" for head in heads]] * 4, "h": [256] * 4, "f": [[1024]] * 4}


# In the per-layer form half of a convolution layer's heads are sdp: both models of a pair have the same 16 heads.
PAIRS = {
    "sdp, wma, dft, dct": (
        _layers([("sa", "sdp"), ("sa", "wma"), ("l", "dft"), ("l", "dct")]),
        _mixed(["sa_sdp", "sa_wma", "l_dft", "l_dct"]),
    ),
    "sdp, c 9, wma, dct": (
        _layers([("c", 9), ("sa", "wma"), ("l", "dct"), ("c", 9)]),
        _mixed(["sa_sdp", "c_9", "sa_wma", "l_dct"]),
    ),
}


def ours(model_dict: dict[str, Any], positions: str = "absolute", words: int = WORDS) -> FlexiBertForMaskedLM:
    settings = {"vocab_size": words, "position_embedding_type": positions}
    return FlexiBertForMaskedLM(config_for(from_model_dict(model_dict), **settings)).train()


def bert_mini() -> BertForMaskedLM:
    sizes = {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
    return BertForMaskedLM(BertConfig(vocab_size=WORDS, **sizes)).train()


def random_text(words: int) -> np.ndarray:
    """A stream of random token ids: what the tokens say does not change how long a step takes."""
    return np.random.default_rng(0).integers(5, words, 200_000).astype(np.uint16)


def masked_batch(words: int, batch: int, length: int) -> tuple[Tensor, Tensor]:
    """Ids with masks and labels, ``[B, S]``, 15 % of the tokens to predict."""
    found = MaskedBatches(random_text(words), length, batch, words, 0.15, 0).batch(0)
    return torch.from_numpy(found.inputs), torch.from_numpy(found.labels)


def training_step(model: nn.Module, ids: Tensor, labels: Tensor) -> Step:
    """Forward, backward and AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()

    return step


def encoder_step(encoder: nn.Module, ids: Tensor) -> Step:
    """Forward and backward of an encoder without a head."""

    def step() -> None:
        encoder.zero_grad(set_to_none=True)
        encoder(input_ids=ids).last_hidden_state.square().mean().backward()

    return step


def race(steps: dict[str, Step], rounds: int, clock: Clock = time.process_time) -> dict[str, list[float]]:
    """Seconds of every step in every round; one round before them warms up. The order is turned from round to round."""
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn in range(rounds + 1):
        names = list(steps) if turn % 2 else list(steps)[::-1]
        for name in names:
            start = clock()
            steps[name]()
            if turn:
                seconds[name].append(clock() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], above: str, below: str) -> float:
    return statistics.median(a / b for a, b in zip(seconds[above], seconds[below], strict=True))


def models(batch: int, length: int, rounds: int) -> dict[str, float]:
    """The three comparisons of models."""
    ids, labels = masked_batch(WORDS, batch, length)
    named = read_yaml(NAMED)
    built: dict[str, nn.Module] = {"transformers BERT-Mini, absolute": bert_mini()}
    for name in ("BERT-Mini", "FlexiBERT-Mini"):
        built |= {f"{name}, {positions}": ours(named[name], positions) for positions in POSITIONS}
    for name, (by_layer, by_head) in PAIRS.items():
        for positions in POSITIONS:
            built[f"per layer: {name}, {positions}"] = ours(by_layer, positions)
            built[f"per head: {name}, {positions}"] = ours(by_head, positions)
    steps = {name: training_step(model, ids, labels) for name, model in built.items()}
    steps["transformers BERT-Mini, encoder only"] = encoder_step(bert_mini().bert, ids)
    steps["BERT-Mini, encoder only"] = encoder_step(ours(named["BERT-Mini"]).flexibert, ids)
    seconds = race(steps, rounds)
    print(f"\n{batch} x {length} tokens a step, {WORDS} words, {rounds} rounds\n")
    print(f"{'model':50} {'ms a step':>10} {'tokens/s':>10}")
    for name, taken in seconds.items():
        middle = statistics.median(taken)
        print(f"{name:50} {1e3 * middle:10.1f} {batch * length / middle:10.0f}")
    rivals = ratio(seconds, "transformers BERT-Mini, absolute", "BERT-Mini, absolute")
    encoders = ratio(seconds, "transformers BERT-Mini, encoder only", "BERT-Mini, encoder only")
    relative = ratio(seconds, "transformers BERT-Mini, absolute", "BERT-Mini, relative_key")
    print(f"\nour BERT-Mini over transformers', tokens/s: {rivals:.2f} (encoder alone {encoders:.2f};")
    print(f"ours with relative positions over theirs with absolute ones {relative:.2f})")
    mini = {p: ratio(seconds, f"FlexiBERT-Mini, {p}", f"BERT-Mini, {p}") for p in POSITIONS}
    print("FlexiBERT-Mini over BERT-Mini, time:", ", ".join(f"{p} {value:.2f}" for p, value in mini.items()))
    forms = {
        f"{name}, {p}": ratio(seconds, f"per head: {name}, {p}", f"per layer: {name}, {p}")
        for name in PAIRS
        for p in POSITIONS
    }
    for name, value in forms.items():
        print(f"per head over per layer, time: {name} {value:.2f}")
    return {
        "bert_mini_tokens_ratio": round(rivals, 3),
        "flexibert_mini_time_ratio": round(max(mini.values()), 3),
        "per_head_time_ratio": round(max(forms.values()), 3),
    }


def bare_loop(model_dict: dict[str, Any], prepared: Prepared, recipe: Recipe, clock: Clock) -> float:
    """Seconds of a step of a plain loop over batches that are there already, after the first step."""
    from explorer.training.pretrain import model_config

    batches = MaskedBatches(
        prepared.tokens, recipe.pretrain_length, recipe.pretrain_batch, prepared.vocab_size, recipe.masked_share, 0
    )
    ready = [batches.batch(number) for number in range(recipe.pretrain_steps)]
    pairs = [(torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels)) for batch in ready]
    model = FlexiBertForMaskedLM(model_config(from_model_dict(model_dict), prepared, recipe)).train()
    optimizer = build_optimizer(model, 1e-4, recipe)
    start = 0.0
    for number, (ids, labels) in enumerate(pairs):
        optimizer.zero_grad(set_to_none=True)
        model(input_ids=ids, labels=labels).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        start = clock() if number == 0 else start
    return (clock() - start) / (len(pairs) - 1)


def our_loop(model_dict: dict[str, Any], prepared: Prepared, recipe: Recipe, clock: Clock) -> float:
    """Seconds of a step of ``pretrain``, after the first step."""
    from explorer.training.pretrain import pretrain

    seen: list[tuple[int, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        pretrain(
            from_model_dict(model_dict),
            prepared,
            recipe,
            0,
            Path(folder) / "model",
            torch.device("cpu"),
            lambda step, _: seen.append((step, clock())),
            lambda: False,
        )
    (first, start), (last, end) = seen[0], seen[-1]
    return (end - start) / (last - first)


def loops(name: str, model_dict: dict[str, Any], settings: dict[str, int], rounds: int) -> float:
    """Overhead of our loop: the median of the rounds."""
    recipe = Recipe(**{**vars(RECIPES["nano"]), **settings})
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = Path(folder) / "tokenizer"
        save_tokenizer(train_tokenizer(["any text"], recipe.vocab_size), tokenizer, recipe.length)
        text = random_text(recipe.vocab_size)
        prepared = Prepared(tokenizer, recipe.vocab_size, recipe.length, text, "random", ())
        clock = time.process_time
        taken = {
            "bare": lambda: bare_loop(model_dict, prepared, recipe, clock),
            "ours": lambda: our_loop(model_dict, prepared, recipe, clock),
        }
        seconds: dict[str, list[float]] = {"bare": [], "ours": []}
        for turn in range(rounds):
            for one in ("bare", "ours") if turn % 2 else ("ours", "bare"):
                seconds[one].append(taken[one]())
    overhead = ratio(seconds, "ours", "bare") - 1
    bare, with_loop = (1e3 * statistics.median(values) for values in seconds.values())
    print(f"loop, {name}: bare {bare:.2f} ms a step, ours {with_loop:.2f} ms, overhead {100 * overhead:.1f} %")
    return overhead


def main() -> None:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="shorter rows and fewer rounds, under a minute")
    quick = parser.parse_args().quick
    torch.set_num_threads(1)
    torch.manual_seed(0)
    result = models(4, 64, 5) if quick else models(16, 128, 9)
    print()
    steps = {"pretrain_steps": 40 if quick else 150}
    overhead = loops("nano, 2 layers of width 64, 16 x 32 tokens", NANO, steps, 5 if quick else 9)
    if not quick:
        mini = read_yaml(NAMED)["BERT-Mini"]
        larger = {"pretrain_steps": 12, "length": 128, "pretrain_length": 128}
        loops("BERT-Mini, 16 x 128 tokens", mini, larger, 5)
    result["loop_overhead"] = round(overhead, 3)
    if torch.cuda.is_available():
        script = Path(__file__).with_name("training_gpu.py")
        command = [sys.executable, "-P", str(script), *(["--quick"] if quick else [])]
        output = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.rstrip()
        shown, _, figures = output.rpartition("\n")
        print(shown)
        result |= json.loads(figures)
    else:
        print("no CUDA device: BERT-Base, FlexiBERT-Large and nano models on a GPU are skipped")
    print(json.dumps(result))


if __name__ == "__main__":
    run_main(main)
