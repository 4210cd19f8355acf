"""Peak memory of a model while it runs or trains, in bytes, beyond the memory of the process without it.

On a processor the model is built and run in a fresh process, and the operating system's high-water mark of its resident
memory is read, which includes the allocator's overhead. The process first builds and trains a tiny model, so that
libraries and workspaces which any model needs are loaded before the mark is reset. On a GPU the high-water mark of
torch's allocator is read.

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
    """The workload whose memory is measured."""

    INFERENCE = "inference"
    TRAINING = "training"


@dataclass(frozen=True)
class PeakMemory:
    """Peak memory of one model in one workload, in bytes.

    Attributes:
        use: inference or training.
        peak: high-water mark, less the baseline.
        baseline: memory of the process before the model was built: libraries on a processor, about 0 on a GPU.
        weights: size of the weights alone.
    """

    use: Use
    peak: int
    baseline: int
    weights: int


def high_water_mark() -> int:
    """Return the peak resident memory of this process since ``reset_high_water_mark``, or ever, in bytes."""
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
    """Reset the mark to the current memory; does nothing on systems without ``/proc/self/clear_refs``."""
    try:
        CLEAR.write_text("5", encoding="ascii")
    except OSError:
        return


def measure_memory(spec: ArchitectureSpec, load: Load, device: torch.device, use: Use, threads: int = 1) -> PeakMemory:
    """Measure the peak memory of a model in a fresh process.

    Args:
        spec: the architecture.
        load: batch, length, precision and vocabulary.
        device: the device to run on.
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
            f"measuring the memory of {use} was killed by signal {-done.returncode}: the machine has too little memory"
        )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise ExplorerError(f"measuring the memory of {use} failed: {last}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return PeakMemory(Use(answer["use"]), answer["peak"], answer["baseline"], answer["weights"])


def parse_question(text: str) -> tuple[dict[str, Any], Load]:
    """Parse the question of ``measure_memory`` to the fresh process. Raises InputError if the load is invalid."""
    question = json.loads(text)
    if not isinstance(question, dict):
        raise InputError("question", "be a JSON object", question, "Call measure_memory instead of this module.")
    return question, Load(**question["load"])
