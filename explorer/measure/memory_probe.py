"""The fresh process of ``explorer.measure.memory``: a question as JSON on standard input, an answer as JSON."""

from __future__ import annotations

import dataclasses
import gc
import json
import sys

import torch

from explorer.measure.building import build, configuration, for_inference, tokens
from explorer.measure.machine import parse_device
from explorer.measure.memory import PeakMemory, Use, high_water_mark, parse_question, reset_high_water_mark
from explorer.measure.settings import Load, Precision
from explorer.models import FlexiBertForMaskedLM, FlexiBertModel
from explorer.space.formats import from_model_dict
from explorer.space.spec import ArchitectureSpec, LayerSpec

STEPS = 2
PREDICTED = 0.15
IGNORED = -100


def _infer(spec: ArchitectureSpec, load: Load, device: torch.device) -> int:
    """Run one forward pass; return the bytes of the weights."""
    model = build(FlexiBertModel, configuration(spec, load), device, add_pooling_layer=False)
    model = for_inference(model, load.precision)
    with torch.inference_mode():
        model(tokens(load, device))
    return _bytes(model)


def _train(spec: ArchitectureSpec, load: Load, device: torch.device) -> int:
    """Train for two steps; return the bytes of the weights."""
    model = build(FlexiBertForMaskedLM, configuration(spec, load), device).train()
    optimiser = torch.optim.AdamW(model.parameters())
    for step in range(STEPS):
        ids = tokens(load, device, seed=step)
        chosen = torch.rand(ids.shape, generator=torch.Generator().manual_seed(step)) < PREDICTED
        chosen[0, 0] = True  # A short batch may have none otherwise.
        labels = ids.masked_fill(~chosen.to(device), IGNORED)
        with torch.autocast(device.type, torch.bfloat16, enabled=load.precision is Precision.BF16):
            loss = model(ids, labels=labels).loss
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
    return _bytes(model)


def _bytes(model: torch.nn.Module) -> int:
    return sum(weight.numel() * weight.element_size() for weight in model.parameters())


def probe(spec: ArchitectureSpec, load: Load, device: torch.device, use: Use) -> PeakMemory:
    """Measure in this process, which must be fresh."""
    run = _infer if use is Use.INFERENCE else _train
    tiny = ArchitectureSpec((LayerSpec.per_layer(8, "sa", "sdp", 2, (8,)),))
    run(tiny, Load(1, 8, load.precision, 16), device)
    gc.collect()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        baseline = torch.cuda.memory_allocated(device)
        weights = run(spec, load, device)
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device)
    else:
        reset_high_water_mark()
        baseline = high_water_mark()
        weights = run(spec, load, device)
        peak = high_water_mark()
    return PeakMemory(use, peak - baseline, baseline, weights)


def main() -> None:
    """Answer the question on standard input."""
    question, load = parse_question(sys.stdin.read())
    torch.set_num_threads(question["threads"])
    spec = from_model_dict(question["model_dict"])
    answer = probe(spec, load, parse_device(question["device"]), Use(question["use"]))
    sys.stdout.write(json.dumps(dataclasses.asdict(answer)) + "\n")


if __name__ == "__main__":
    main()
