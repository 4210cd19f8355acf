"""How much memory a model takes while it runs or trains, in bytes, beyond what the process had without it.

On a processor the model is built and run in a fresh process, and the operating system's own high-water mark of that
process's resident memory is read: what the machine must really have, allocator's losses included. The process first
builds and trains a tiny model, so that libraries and workspaces that any model needs are there before the mark is set
back. On a GPU it is the high-water mark of torch's allocator.

*Inference* is one forward pass of the encoder without gradients. *Training* is two steps of masked language modelling,
15 % of the tokens predicted, with AdamW, whose moments exist from the first step on. Both include the weights.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import ExplorerError, InputError
from explorer.measure.machine import check_threads
from explorer.measure.settings import Load
from explorer.space.formats import to_model_dict
from explorer.space.spec import ArchitectureSpec

if TYPE_CHECKING:
    import torch

HIGH_WATER = re.compile(r"^VmHWM:\s*(\d+) kB$", re.MULTILINE)
STATUS, CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")
TIME_LIMIT_S = 3600.0


class Use(StrEnum):
    """What the memory is taken for."""

    INFERENCE = "inference"
    TRAINING = "training"


@dataclass(frozen=True)
class PeakMemory:
    """Memory of one model in one use, in bytes.

    Attributes:
        use: inference or training.
        peak: high-water mark, less the baseline.
        baseline: what the process had before the model was built: libraries on a processor, about 0 on a GPU.
        weights: size of the weights alone.
    """

    use: Use
    peak: int
    baseline: int
    weights: int


def high_water_mark() -> int:
    """Most resident memory this process ever had, or had since ``reset_high_water_mark``, in bytes."""
    try:
        match = HIGH_WATER.search(STATUS.read_text(encoding="ascii", errors="replace"))
    except OSError:
        match = None
    if match:
        return int(match[1]) * 1024
    import resource

    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def reset_high_water_mark() -> None:
    """Set the mark back to what the process has now, where the system can; elsewhere the mark stays where it was."""
    try:
        CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return


def measure_memory(spec: ArchitectureSpec, load: Load, device: torch.device, use: Use, threads: int = 1) -> PeakMemory:
    """Run a model in a fresh process and see how much memory it takes.

    Args:
        spec: the architecture.
        load: what it runs on.
        device: where it runs.
        use: one forward pass, or training steps.
        threads: threads of one operation, on a processor.

    Raises:
        InputError: ``threads`` is out of range.
        ExplorerError: the process failed, for example for lack of memory.
    """
    check_threads(threads)
    question: dict[str, Any] = {
        "model_dict": to_model_dict(spec),
        "load": asdict(load),
        "device": str(device),
        "use": Use(use),
        "threads": threads,
    }
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "explorer.measure.memory_probe"],
            input=json.dumps(question),
            capture_output=True,
            text=True,
            env=environment,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ExplorerError(f"measuring memory took longer than {TIME_LIMIT_S:.0f} s and was stopped") from None
    if done.returncode < 0:
        raise ExplorerError(
            f"measuring the memory of {use} ended by signal {-done.returncode}: the machine has too little of it"
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ExplorerError(f"measuring the memory of {use} failed: {last}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return PeakMemory(Use(answer["use"]), answer["peak"], answer["baseline"], answer["weights"])


def parse_question(text: str) -> tuple[dict[str, Any], Load]:
    """What ``measure_memory`` asks the fresh process. Raises InputError if the load is no good."""
    question = json.loads(text)
    if not isinstance(question, dict):
        raise InputError("question", "be a JSON object", question, "Leave this module to measure_memory.")
    return question, Load(**question["load"])
