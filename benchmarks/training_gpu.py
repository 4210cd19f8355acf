"""The part of ``training.py`` that needs a CUDA device: use of the device by large models, and nano models at once.

``training.py`` runs it where there is a device; alone: ``python -P benchmarks/training_gpu.py [--quick]``. Model FLOPs
are those of torch's counter for one forward and backward pass without recomputation, so heads score labelled tokens
only; the share is that of the peak the device's maker states, where the device is known, else of one measured by a
product of two bf16 matrices of 8,192. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as processes
from torch.utils.flop_counter import FlopCounterMode

from explorer.cli.bench import OptionParser, run_main
from explorer.documents.yaml_text import read_yaml
from explorer.models import FlexiBertForMaskedLM, config_for
from explorer.space.formats import from_model_dict

LENGTH, WORDS = 512, 30522
STATED = {"H200": 989e12, "H100": 989e12, "A100": 312e12, "L40S": 362e12, "L4": 121e12}
"""Dense bf16 FLOP/s by the makers' data sheets (SXM forms)."""
NANO = {"l": 2, "o": ["sa"] * 2, "h": [64] * 2, "n": [2] * 2, "f": [[256]] * 2, "p": ["sdp"] * 2}


def _batch(rows: int, length: int, words: int) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(5, words, (rows, length), generator=chance)
    labels = torch.where(torch.rand(rows, length, generator=chance) < 0.15, ids, -100)
    return ids.cuda(), labels.cuda()


def _model(model_dict: dict[str, Any], positions: str, words: int, length: int) -> FlexiBertForMaskedLM:
    config = config_for(
        from_model_dict(model_dict),
        vocab_size=words,
        max_position_embeddings=length,
        position_embedding_type=positions,
    )
    return FlexiBertForMaskedLM(config).cuda().train()


def measured_peak() -> float:
    """FLOP/s of a large product of bf16 matrices: the best of ten rounds."""
    size, inner = 8192, 10
    a, b = (torch.randn(size, size, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    best = 0.0
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(inner):
            a @ b
        torch.cuda.synchronize()
        best = max(best, 2 * size**3 * inner / (time.perf_counter() - start))
    return best


def throughput(model: FlexiBertForMaskedLM, rows: int, compiled: bool, rounds: int) -> tuple[float, float]:
    """Tokens/s and FLOP/s of training steps in bf16.

    Raises:
        torch.OutOfMemoryError: the batch is too large.
    """
    ids, labels = _batch(rows, LENGTH, WORDS)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    runs = torch.compile(model) if compiled else model

    def backward(which: Any) -> None:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            loss = which(input_ids=ids, labels=labels).loss
        loss.backward()

    with FlopCounterMode(display=False) as counter:
        backward(model)
    flops = counter.get_total_flops()
    taken = []
    for turn in range(rounds + 5):
        torch.cuda.synchronize()
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        backward(runs)
        optimizer.step()
        torch.cuda.synchronize()
        if turn >= 5:
            taken.append(time.perf_counter() - start)
    seconds = statistics.median(taken)
    return rows * LENGTH / seconds, flops / seconds


def largest_rows(model_dict: dict[str, Any], positions: str, compiled: bool, rounds: int) -> tuple[int, float, float]:
    """Rows, tokens/s and FLOP/s of the largest batch that fits, at most 64 rows."""
    rows = 64
    while True:
        try:
            return rows, *throughput(_model(model_dict, positions, WORDS, LENGTH), rows, compiled, rounds)
        except torch.OutOfMemoryError:
            if rows == 1:
                raise
        torch.cuda.empty_cache()
        rows //= 2


def _nano(barrier: Any, answers: Any, seconds: float) -> None:
    """Train one nano model; put its steps per second."""
    torch.set_num_threads(1)
    words, length = 2048, 32
    model = _model(NANO, "relative_key", words, length)
    ids, labels = _batch(16, length, words)
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        model(input_ids=ids, labels=labels).loss.backward()
        optimizer.step()

    for _ in range(20):
        step()
    torch.cuda.synchronize()
    barrier.wait(timeout=300)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        for _ in range(10):
            step()
        torch.cuda.synchronize()
        count += 10
    answers.put(count / (time.perf_counter() - start))


def nano_models(number: int, seconds: float) -> float:
    """Steps/s of all of ``number`` processes together, each with its own model on the same device."""
    context = processes.get_context("spawn")
    barrier, answers = context.Barrier(number), context.Queue()
    workers = [context.Process(target=_nano, args=(barrier, answers, seconds)) for _ in range(number)]
    for worker in workers:
        worker.start()
    try:
        return sum(answers.get(timeout=600) for _ in workers)
    finally:
        for worker in workers:
            worker.join(timeout=30)
            if worker.is_alive():
                worker.terminate()


def on_gpu(quick: bool) -> dict[str, float]:
    """Measure and print everything; the figures for the JSON line."""
    name = torch.cuda.get_device_name()
    peak = measured_peak()
    stated = next((value for key, value in STATED.items() if key in name), None)
    said = f"{stated / 1e12:.0f}" if stated else "unknown"
    print(f"\n{name}: bf16 peak measured {peak / 1e12:.0f} TFLOP/s, stated {said}")
    result: dict[str, float] = {"gpu_peak_tflops": round(peak / 1e12, 1)}
    named = read_yaml(Path(__file__).parent.parent / "data" / "named_models.yaml")
    for model in ("BERT-Base", "FlexiBERT-Large"):
        for positions in ("absolute", "relative_key"):
            for compiled in (False,) if quick else (False, True):
                rows, tokens, flops = largest_rows(named[model], positions, compiled, 5 if quick else 15)
                share = flops / (stated or peak)
                how = "compiled" if compiled else "eager"
                print(f"{model}, {positions}, {how}: {rows} rows, {tokens:.0f} tokens/s, {100 * share:.1f} % of peak")
                key = f"{model.lower().replace('-', '_')}_{positions}_{how}"
                result |= {f"{key}_tokens_per_s": round(tokens), f"{key}_utilisation": round(share, 3)}
                torch.compiler.reset()
                torch.cuda.empty_cache()
    best = (0.0, 0)
    for number in (1, 4) if quick else (1, 2, 4, 8, 16, 32):
        steps = nano_models(number, 2.0 if quick else 8.0)
        print(f"{number} nano models at once: {steps:.0f} steps/s together")
        best = max(best, (steps, number))
    return {**result, "nano_steps_per_s": round(best[0], 1), "nano_models_at_once": best[1]}


def main() -> None:
    parser = OptionParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no compiled models")
    quick = parser.parse_args().quick
    if not torch.cuda.is_available():
        print("no CUDA device: nothing to measure")
        print(json.dumps({}))
        return
    print(json.dumps(on_gpu(quick)))


if __name__ == "__main__":
    run_main(main)
