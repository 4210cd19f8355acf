"""Names of devices that people recognise and equal machines share, such as ``AMD EPYC 7763, 2 threads, …``."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import TYPE_CHECKING

from explorer.errors import InputError

if TYPE_CHECKING:
    import torch

CPU_INFO = Path("/proc/cpuinfo")
MODEL_NAME = re.compile(r"^(?:model name|Model|Hardware)\s*:\s*(.+)$", re.MULTILINE)
MOST_THREADS = 1024


def processor_name(cpu_info: Path = CPU_INFO) -> str:
    """Return the processor's name from the operating system, or its kind, such as ``arm64``."""
    try:
        match = MODEL_NAME.search(cpu_info.read_text(encoding="utf-8", errors="replace"))
    except OSError:
        match = None
    name = match[1] if match else platform.processor() or platform.machine() or "unknown processor"
    # Queries on measurements parse comparison operators and line breaks, so names must not contain them.
    return " ".join(re.sub(r"[<>=]|[^\x20-\x7e]", " ", name).split())


def parse_device(text: str) -> torch.device:
    """Parse the device a user names: ``cpu``, ``cuda`` or ``cuda:1``.

    Raises:
        InputError: the name is malformed, or this machine does not have the device.
    """
    import torch

    if not re.fullmatch(r"cpu|cuda(:\d{1,3})?", text):
        raise InputError("device", "be cpu, cuda or cuda:NUMBER", text, "Use for example cpu.")
    # Read the index from the text: torch.device keeps it in one byte and wraps larger ones around.
    if text != "cpu" and int(text.partition(":")[2] or 0) >= torch.cuda.device_count():
        raise InputError("device", f"be one of the {torch.cuda.device_count()} CUDA devices here", text, "Use cpu.")
    return torch.device(text)


def check_threads(threads: int) -> None:
    """Raise InputError if the number of threads is out of range."""
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MOST_THREADS:
        raise InputError("threads", f"be from 1 to {MOST_THREADS}", threads, "Use at most the processor's cores.")


def device_name(device: torch.device, threads: int) -> str:
    """Return the device name of measurements: GPU, or processor with threads, and torch's version.

    Args:
        device: where the model runs.
        threads: threads of one operation; ignored on a GPU.
    """
    import torch

    version = torch.__version__.partition("+")[0]
    if device.type == "cuda":
        return f"{torch.cuda.get_device_name(device)}, torch {version}"
    return f"{processor_name()}, {threads} {'thread' if threads == 1 else 'threads'}, torch {version}"
