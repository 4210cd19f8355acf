"""Two processes on a CPU that share a pre-training; run as ``python several.py JOB STOP_AT``.

They are forked after the imports, with the variables that torchrun would set. The second one alone wants to stop, after
step STOP_AT of a first attempt; a second attempt goes on. The last line of the output is a JSON document.
"""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import torch

# Loaded before the fork.
import explorer.training.pretrain  # noqa: F401
from explorer.training.distributed import Job, work


def attempt(job: Job, stop_at: int) -> list[list[Any]]:
    """What the two processes told, in their order; each is one list."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    pipes = []
    for rank in (0, 1):
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            asked = iter(range(stop_at))

            def tell(word: list[Any], writer: int = writer) -> None:
                os.write(writer, json.dumps(word).encode() + b"\n")

            work(job, tell, lambda rank=rank, asked=asked: rank == 1 and next(asked, None) is None)
            torch.distributed.destroy_process_group()
            os._exit(0)
        os.close(writer)
        pipes.append(reader)
    words = []
    for reader in pipes:
        with os.fdopen(reader, "rb") as stream:
            words.append([json.loads(line) for line in stream])
    for _ in pipes:
        os.wait()
    return words


def main(path: Path, stop_at: int) -> None:
    torch.set_num_threads(1)
    job = Job(**json.loads(path.read_text()))
    first = attempt(job, stop_at)
    made = sorted(entry.name for entry in Path(job.folder).parent.iterdir())
    second = attempt(job, 1000)
    sys.stdout.write(json.dumps({"first": first, "made": made, "second": second}) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
