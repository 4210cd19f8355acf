"""Pre-training of one large model by several processes, one per GPU (or on CPUs, by gloo).

``pretrain_distributed`` starts them with torchrun on this machine and monitors them. For several machines, start
``torchrun … -m explorer.training.distributed JOB`` on each, with the job file it wrote, in a shared folder
(``docs/training.md``). Importing this module loads no torch.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from explorer import errors
from explorer.errors import Code, ExplorerError, InputError, Shown, TrainingEnded, TrainingFailed, shortened
from explorer.space.formats import from_json, to_json
from explorer.space.spec import ArchitectureSpec
from explorer.training.files import new_folder, writable, write_json
from explorer.training.prepared import Prepared
from explorer.training.recipe import Recipe, check_pieces, recipe_named

if TYPE_CHECKING:
    from explorer.models import FlexiBertForMaskedLM

POLL_S = 0.2
STOP_S = 120.0
"""Time in seconds that the processes have to write a checkpoint after a request to stop."""
PHASE = "pre-training"
TAIL = 12
"""Number of log lines that an error shows."""


@dataclass(frozen=True)
class Job:
    """The input of every process, stored as a JSON file.

    Attributes:
        architecture: its ``model_dict`` as text.
        recipe: all settings.
        seed: seed of initial weights, batches, masks and dropout.
        tokens: the encoded text, a file of ``Prepared``.
        tokenizer: the tokenizer's folder.
        vocab_size: size of its vocabulary.
        text: fingerprint of the text.
        folder: target folder of the model.
        device: ``cpu`` or ``cuda``.
        initial: folder of a model with the initial weights, or ``None`` for random ones.
    """

    architecture: str
    recipe: dict[str, Any]
    seed: int
    tokens: str
    tokenizer: str
    vocab_size: int
    text: str
    folder: str
    device: str
    initial: str | None = None

    def prepared(self) -> Prepared:
        """Text and vocabulary, without tasks."""
        tokens = np.load(self.tokens, mmap_mode="r", allow_pickle=False)
        length = recipe_named(self.recipe).length
        return Prepared(Path(self.tokenizer), self.vocab_size, length, tokens, self.text, ())


def pretrain_distributed(
    spec: ArchitectureSpec,
    prepared: Prepared,
    recipe: Recipe,
    seed: int,
    folder: Path,
    device: str,
    processes: int,
    on_step: Callable[[int, float], None],
    should_stop: Callable[[], bool],
    initialise: Callable[[FlexiBertForMaskedLM], None] | None = None,
) -> None:
    """Pre-train like ``pretrain.pretrain``, with several processes on this machine.

    Args:
        spec: the architecture.
        prepared: text and vocabulary from ``prepare``, whose tokens are in a file.
        recipe: the recipe; ``pretrain_batch`` is the batch of all processes together.
        seed: seed of initial weights, batches, masks and dropout.
        folder: target folder; it appears only when complete.
        device: ``cpu`` or ``cuda``.
        processes: number of processes; on ``cuda`` one per GPU.
        on_step: called with the number of finished steps and the latest loss.
        should_stop: polled a few times a second.
        initialise: changes the new model's weights before the first step.

    Raises:
        TrainingStopped: ``should_stop`` returned true; a checkpoint was written.
        TrainingFailed: the loss is not a finite number, or a process died.
        InputError: see ``pretrain``.
    """
    check_pieces(recipe, processes)
    initial = _initial(spec, prepared, recipe, seed, folder, initialise) if initialise else None
    job = Job(
        architecture=to_json(spec),
        recipe=asdict(recipe),
        seed=seed,
        tokens=str(Path(prepared.tokens.filename).resolve()),  # type: ignore[attr-defined]
        tokenizer=str(prepared.tokenizer.resolve()),
        vocab_size=prepared.vocab_size,
        text=prepared.text,
        folder=str(folder.resolve()),
        device=device,
        initial=initial,
    )
    path = folder.with_name(f"{folder.name}.job.json")
    write_json(path, asdict(job))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command += ["-m", "explorer.training.distributed", str(path)]
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    log = folder.with_name(f"{folder.name}.log")
    with log.open("wb") as stream:
        # A session of its own: Ctrl-C then reaches only this process, which requests a checkpoint.
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stream, text=True, env=environment, start_new_session=True
        )
        try:
            ended = _follow(process, on_step, should_stop)
        finally:
            _end(process)
    _raise(ended, log)
    for left in (path, log):
        left.unlink()
    if initial:
        shutil.rmtree(initial)


def _initial(
    spec: ArchitectureSpec,
    prepared: Prepared,
    recipe: Recipe,
    seed: int,
    folder: Path,
    initialise: Callable[[FlexiBertForMaskedLM], None],
) -> str:
    """Save the initial weights for the processes."""
    import torch

    from explorer.models import FlexiBertForMaskedLM
    from explorer.training.loop import reproducible
    from explorer.training.pretrain import model_config, save_model

    target = folder.with_name(f"{folder.name}.initial")
    if not target.is_dir():
        with reproducible(seed, torch.device("cpu")):
            model = FlexiBertForMaskedLM(model_config(spec, prepared, recipe))
            initialise(model)
        with writable(target), new_folder(target) as temporary:
            save_model(model, prepared, temporary)
    return str(target.resolve())


def _follow(
    process: subprocess.Popen[str], on_step: Callable[[int, float], None], should_stop: Callable[[], bool]
) -> list[Any]:
    """Forward the reports of the processes until they end; return how they ended."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    ended: list[Any] = []
    asked = False
    while True:
        if not asked and should_stop():
            asked = True
            process.send_signal(signal.SIGTERM)
        try:
            line = lines.get(timeout=POLL_S)
        except queue.Empty:
            continue
        if line is None:
            return ended
        word = _word(line)
        if word[:1] == ["step"]:
            on_step(int(word[1]), float(word[2]))
        elif word and not ended:
            ended = word


def _word(line: str) -> list[Any]:
    """Return the report in a line, or ``None``, because libraries may write to standard output too."""
    try:
        word = json.loads(line)
    except ValueError:
        return []
    return word if isinstance(word, list) else []


def _end(process: subprocess.Popen[str]) -> None:
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert process.stdout is not None
    process.stdout.close()


def _raise(ended: list[Any], log: Path) -> None:
    from explorer.training.loop import TrainingStopped

    kind, *parts = ended or ["died"]
    if kind == "stopped":
        raise TrainingStopped(*parts)
    if kind == "raised":
        raise _error_of(*parts)
    if kind != "done":
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-TAIL:])
        raise TrainingFailed(f"a process of the pre-training died; the end of {log}:\n{tail}")


def _fields_of(error: ExplorerError) -> list[Any]:
    """Return an error as JSON values, from which ``_error_of`` makes it again; of a value the text of its message."""
    name = type(error).__name__
    if isinstance(error, InputError):
        return [name, error.field, error.rule, shortened(error.value), error.remedy, error.code]
    assert isinstance(error, TrainingEnded)
    return [name, error.reason, error.part]


def _error_of(name: str, *given: Any) -> ExplorerError:
    kind: type[ExplorerError] = getattr(errors, name)
    if not issubclass(kind, InputError):
        return kind(*given)
    field, rule, value, remedy, code = given
    return kind(field, rule, Shown(value), remedy, code and Code(code))


def work(job: Job, tell: Callable[[list[Any]], None], should_stop: Callable[[], bool]) -> None:
    """Run one process's part of the pre-training.

    Args:
        job: the input of the process.
        tell: called with every report in the first process, and with the outcome in every process.
        should_stop: polled between steps.
    """
    import torch

    from explorer.training.backend import SMALLER_PRETRAINING
    from explorer.training.failures import guarded
    from explorer.training.loop import TrainingStopped
    from explorer.training.pretrain import pretrain

    def load(model: FlexiBertForMaskedLM) -> None:
        from safetensors.torch import load_model

        load_model(model, Path(str(job.initial)) / "model.safetensors")

    def part() -> list[float]:
        return pretrain(
            from_json(job.architecture),
            job.prepared(),
            recipe_named(job.recipe),
            job.seed,
            Path(job.folder),
            torch.device(job.device),
            lambda step, loss: tell(["step", step, loss]),
            should_stop,
            initialise=load if job.initial else None,
        )

    try:
        guarded(PHASE, SMALLER_PRETRAINING, part)
    except TrainingStopped as error:
        tell(["stopped", str(error)])
    except (TrainingEnded, InputError) as error:
        tell(["raised", *_fields_of(error)])
        raise
    else:
        tell(["done"])


def main(arguments: list[str]) -> None:
    """Entry point of each torchrun process; the argument is the job file."""
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)

    import torch

    def tell(word: list[Any]) -> None:
        sys.stdout.write(json.dumps(word) + "\n")
        sys.stdout.flush()

    (path,) = arguments
    try:
        work(Job(**json.loads(Path(path).read_text(encoding="utf-8"))), tell, stopping.is_set)
    finally:
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main(sys.argv[1:])
