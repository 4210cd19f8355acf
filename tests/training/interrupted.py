"""Pre-trains once without a break, and once killed again and again; run as ``python interrupted.py WORK TEXT FOLDER``.

Every attempt is a process of its own, forked after the imports, which take longer than the trainings. The last line of
the output is a JSON document of what happened.
"""

from __future__ import annotations

import dataclasses
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import torch

from explorer.space.spec import ArchitectureSpec, LayerSpec
from explorer.training.checkpoints import PREFIX, SEAL
from explorer.training.prepared import prepare
from explorer.training.pretrain import checkpoint_folder, pretrain
from explorer.training.recipe import RECIPES

SPEC = ArchitectureSpec((LayerSpec.per_layer(32, "sa", "wma", 2, (64,)), LayerSpec.per_layer(64, "c", 5, 4, (64, 64))))
STEPS = 40
RECIPE = dataclasses.replace(RECIPES["quick"], pretrain_steps=STEPS, dropout=0.1, checkpoint_steps=3)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_while_writing(checkpoints: Path) -> None:
    """Kills this process as soon as it is seen to write a checkpoint."""
    whole = {path for path in checkpoints.glob(f"{PREFIX}*") if (path / SEAL).is_file()}
    while True:
        for path in checkpoints.glob(f"{PREFIX}*"):
            if path not in whole and (path / "model.safetensors").exists() and not (path / SEAL).exists():
                die()
        time.sleep(0.0005)


def main(work: Path, text: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    prepared = prepare(work, RECIPES["quick"], None, text, lambda share, message: None)
    rng = np.random.default_rng(0)

    def attempt(target: Path, kill_at: int | None, writing: bool) -> tuple[int, int]:
        """Runs one process; returns its status, and the step it began at."""
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            if writing:
                threading.Thread(target=die_while_writing, args=(checkpoint_folder(target),), daemon=True).start()

            def on_step(step: int, loss: float) -> None:
                os.write(writer, b"%d " % step)
                if kill_at is not None and step >= kill_at:
                    die()

            history = pretrain(SPEC, prepared, RECIPE, 0, target, torch.device("cpu"), on_step, lambda: False)
            (target.parent / f"{target.name}.json").write_text(json.dumps(history))
            os._exit(0)
        os.close(writer)
        with os.fdopen(reader, "rb") as stream:
            steps = stream.read().split()
        return os.waitpid(child, 0)[1], int(steps[0]) if steps else 0

    whole, killed = folder / "whole", folder / "killed"
    assert attempt(whole, None, writing=False)[0] == 0
    torn, first_steps = [], []
    for kill_at in (*sorted(rng.integers(2, STEPS, 4).tolist()), None):
        status, _ = attempt(killed, None, writing=True)
        torn.append(status == signal.SIGKILL)
        if killed.exists():
            break
        status, first = attempt(killed, kill_at, writing=False)
        first_steps.append(first)
    same = (whole / "model.safetensors").read_bytes() == (killed / "model.safetensors").read_bytes()
    losses = [json.loads((folder / f"{name}.json").read_text()) for name in ("whole", "killed")]
    left = sorted(path.name for path in folder.iterdir())
    result = {"status": status, "torn": torn, "first_steps": first_steps, "left": left, "steps": len(losses[1])}
    result |= {"same_weights": same, "same_losses": losses[0] == losses[1]}
    sys.stdout.write(json.dumps(result) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
