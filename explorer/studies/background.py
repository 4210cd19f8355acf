"""Prepare a study's data in a second process while the first one does something else."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import threading
from collections.abc import Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType
from typing import Any

from explorer.errors import ExplorerError
from explorer.progress import Reporter
from explorer.studies.trained import TrainingChoices


class _Sender:
    """Passes progress through a pipe."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    def update(self, phase: str, done: float, total: float, note: str = "") -> None:
        """Send one step of progress."""
        self._pipe.send((phase, done, total, note))


def _prepare(cache: Path, settings: Mapping[str, Any], pipe: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends this process.
    with contextlib.suppress(ExplorerError, BrokenPipeError):
        TrainingChoices.from_settings(settings).prepare(cache, _Sender(pipe))
    pipe.close()


class DataPreparation:
    """Prepares text, tokenizer and tasks in a child process while the ``with`` block runs; leaving it waits.

    A failure in the child is not raised: the study prepares its data again, finds nothing to do if all went well, and
    meets the same error in its own process if not.

    Args:
        cache: where prepared data is kept.
        settings: the study's.
        reporter: told of the progress.
    """

    def __init__(self, cache: Path, settings: Mapping[str, Any], reporter: Reporter) -> None:
        context = multiprocessing.get_context("spawn")
        self._receive, self._send = context.Pipe(duplex=False)
        self._process = context.Process(target=_prepare, args=(cache, settings, self._send), daemon=True)
        self._reporter = reporter
        self._forward = threading.Thread(target=self._pass_on, name="data progress", daemon=True)

    def __enter__(self) -> DataPreparation:
        self._process.start()
        self._send.close()
        self._forward.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self._process.terminate()
        self._process.join()
        self._forward.join()
        self._receive.close()
        self._process.close()

    def _pass_on(self) -> None:
        while True:
            try:
                phase, done, total, note = self._receive.recv()
            except EOFError:
                return
            self._reporter.update(phase, done, total, note)
