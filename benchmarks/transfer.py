"""Steps that transferred weights save: how soon a transferred model reaches the loss of one trained from scratch.

Run ``uv run python benchmarks/transfer.py --data ../shared/data`` (10 pairs of neighbours) or with ``--quick`` (2
pairs, fewer steps). Each architecture of a pair is pre-trained on WikiText-2 from scratch; then each is pre-trained
again from the other's final weights, by every method. A pair is an architecture drawn from the space ``nano`` (the
tiny-mini grammar at a quarter of its width) and one that differs in one choice of one stack: hidden size, width of the
feed-forward stack, operation, depth of the feed-forward stack, number of heads, in turn.

All runs of an architecture see the same batches, which are not those its donor saw, under a rate that is constant after
its warm-up: with a falling one the loss would depend on where the run is meant to end. The loss is that of a fixed part
of the validation text, averaged over three evaluations. Reaching it is noticed at the next evaluation; a run that does
not reach it within the steps of the run from scratch counts as 1.

The last line is one JSON object: ``METHOD_steps_ratio`` is the median over all transfers of steps to reach the loss of
the run from scratch ÷ its steps.
"""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from torch import nn

from explorer.cli.bench import OptionParser, run_main
from explorer.models import FlexiBertForMaskedLM, config_for
from explorer.models.transfer import Method, Transfer, transfer_weights
from explorer.similarity.graph import architecture_id
from explorer.space.formats import to_json
from explorer.space.grammar import load_space
from explorer.space.moves import mutate
from explorer.space.spec import ArchitectureSpec
from explorer.training.files import write_json
from explorer.training.masking import MaskedBatches
from explorer.training.tokenizer import PAD, encode_stream, train_tokenizer

SPACE = "nano"
VOCABULARY, LENGTH, BATCH, SHARE = 2048, 32, 16, 0.15
RATE, WARMUP = 4e-3, 0.1
INITIAL_RANGE = 0.06
WINDOW = 3
KINDS = ("hidden size", "stack width", "operation", "stack depth", "heads")
"""What the two architectures of a pair differ in."""
Pair = tuple[ArchitectureSpec, ArchitectureSpec]


@dataclass(frozen=True)
class Text:
    """Token ids of the train text, and the fixed batch ``[B, S]`` of the validation text with its labels."""

    train: np.ndarray
    inputs: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Course:
    """How long a run is, and how often its loss is taken."""

    steps: int
    every: int


def read_text(folder: Path, rows: int) -> Text:
    lines = {}
    for part in ("train", "valid"):
        text = (folder / "text" / "wikitext-2" / f"{part}.txt").read_text(encoding="utf-8")
        lines[part] = [line.strip() for line in text.splitlines() if len(line) > 20]
    tokenizer = train_tokenizer(lines["train"], VOCABULARY)
    train, valid = (encode_stream(tokenizer, lines[part]) for part in ("train", "valid"))
    batch = MaskedBatches(valid, LENGTH, rows, VOCABULARY, SHARE, seed=0).batch(0)
    return Text(train, torch.from_numpy(batch.inputs), torch.from_numpy(batch.labels))


def neighbour_pairs(count: int) -> list[Pair]:
    """Architectures drawn at random, each with one that differs from it in one choice; the kinds of choice in turn."""
    space, rng = load_space(SPACE), np.random.default_rng(0)
    pairs: list[Pair] = []
    while len(pairs) < count:
        first = space.sample(1, rng)[0]
        second = mutate(space, first, rng)
        if kind_of_change(first, second) == KINDS[len(pairs) % len(KINDS)]:
            pairs.append((first, second))
    return pairs


def kind_of_change(first: ArchitectureSpec, second: ArchitectureSpec) -> str:
    if first.depth != second.depth:
        return "depth"
    one, two = next((a, b) for a, b in zip(first.layers, second.layers, strict=True) if a != b)
    if one.hidden != two.hidden:
        return "hidden size"
    if len(one.feed_forward) != len(two.feed_forward):
        return "stack depth"
    if one.feed_forward != two.feed_forward:
        return "stack width"
    return "heads" if len(one.heads) != len(two.heads) else "operation"


def fresh(spec: ArchitectureSpec, seed: int) -> FlexiBertForMaskedLM:
    torch.manual_seed(seed)
    config = config_for(
        spec,
        vocab_size=VOCABULARY,
        max_position_embeddings=LENGTH,
        pad_token_id=PAD,
        initializer_range=INITIAL_RANGE,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return FlexiBertForMaskedLM(config)


def train(model: FlexiBertForMaskedLM, text: Text, seed: int, course: Course, target: float | None) -> list[float]:
    """Pre-train; ends early once the smoothed loss is at most the target.

    Returns:
        The validation loss before the first step and after every ``course.every`` steps.
    """
    batches = MaskedBatches(text.train, LENGTH, BATCH, VOCABULARY, SHARE, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), eps=1e-6, weight_decay=0.01)
    losses: list[float] = []
    for step in range(course.steps + 1):
        if step % course.every == 0:
            model.eval()
            with torch.no_grad():
                losses.append(float(model(input_ids=text.inputs, labels=text.labels).loss))
            model.train()
            if step == course.steps or (target is not None and smoothed(losses) <= target):
                break
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / (WARMUP * course.steps))
        batch = batches.batch(step)
        optimizer.zero_grad(set_to_none=True)
        model(input_ids=torch.from_numpy(batch.inputs), labels=torch.from_numpy(batch.labels)).loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return losses


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def smoothed(losses: list[float]) -> float:
    return float(np.mean(losses[-WINDOW:]))


def run_pair(pair: Pair, number: int, text: Text, course: Course, noise: float) -> list[dict[str, Any]]:
    """Both from scratch, then each from the other by every method: one row per transfer."""
    trained, curves = [], []
    for side, spec in enumerate(pair):
        model = fresh(spec, seed=2 * number + side)
        curves.append(train(model, text, 2 * number + side, course, None))
        trained.append(model)
    rows = []
    for side, spec in enumerate(pair):
        target = smoothed(curves[side])
        row: dict[str, Any] = {
            "kind": kind_of_change(*pair),
            "recipient": architecture_id(spec),
            "donor": architecture_id(pair[1 - side]),
            "specs": [to_json(pair[1 - side]), to_json(spec)],
            "scratch_loss": target,
        }
        seen: list[tuple[dict[str, torch.Tensor], list[float]]] = []
        for method in Method:
            model = fresh(spec, seed=2 * number + side)
            generator = torch.Generator().manual_seed(number)
            report = transfer_weights(trained[1 - side], model, Transfer(method, noise=noise), generator)
            start = {name: tensor.clone() for name, tensor in model.named_parameters()}
            # Where no shape differs, all methods copy the same weights: one run tells of all of them.
            losses = next((known for weights, known in seen if equal(weights, start)), None)
            if losses is None:
                losses = train(model, text, 2 * number + side, course, target)
                seen.append((start, losses))
            reached = smoothed(losses) <= target
            row[f"{method}_ratio"] = (len(losses) - 1) * course.every / course.steps if reached else 1.0
            row |= {f"{method}_reached": reached, f"{method}_start": losses[0], f"{method}_share": report.share}
        rows.append(row)
    return rows


def main() -> None:
    parser = OptionParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder with text/wikitext-2")
    parser.add_argument("--pairs", type=int, default=10, help="pairs of neighbours")
    parser.add_argument("--steps", type=int, default=300, help="steps of a run from scratch")
    parser.add_argument("--noise", type=float, default=Transfer(Method.TRANSPORT).noise, help="see Transfer")
    parser.add_argument("--save", type=Path, help="file for the rows so far, after every pair; read if it is there")
    parser.add_argument("--quick", action="store_true", help="2 pairs, 60 steps")
    options = parser.parse_args()
    pairs, steps = (2, 60) if options.quick else (options.pairs, options.steps)
    course = Course(steps, every=max(1, steps // 30))
    torch.set_num_threads(1)
    text = read_text(options.data, rows=64)
    rows: list[dict[str, Any]] = []
    if options.save and options.save.is_file():
        rows = json.loads(options.save.read_text(encoding="utf-8"))
    started = time.monotonic()
    for number, pair in enumerate(neighbour_pairs(pairs)):
        if 2 * number < len(rows):
            continue
        rows += run_pair(pair, number, text, course, options.noise)
        if options.save:
            write_json(options.save, rows)
        for row in rows[-2:]:
            shown = "  ".join(f"{m}: {row[f'{m}_ratio']:.2f} from {row[f'{m}_start']:.2f}" for m in Method)
            ids = f"{row['donor'][:8]} -> {row['recipient'][:8]}"
            print(f"{row['kind']:>11}  {ids}  from scratch {row['scratch_loss']:.3f}  {shown}", flush=True)
    print(f"{len(rows)} transfers, {steps} steps from scratch; {time.monotonic() - started:.0f} s")
    for method in Method:
        reached = sum(row[f"{method}_reached"] for row in rows)
        share = np.mean([row[f"{method}_share"] for row in rows])
        print(
            f"{method:>12}: {reached} of {len(rows)} reached the loss; {share:.0%} of the parameters taken on average"
        )
    print(json.dumps({f"{m}_steps_ratio": round(float(np.median([r[f"{m}_ratio"] for r in rows])), 4) for m in Method}))


if __name__ == "__main__":
    run_main(main)
