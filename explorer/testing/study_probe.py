"""A study in a process that can be killed at any point, to test resumption.

The process asks in batches, evaluates by a cheap function and tells. Every evaluation and every acknowledged end is a
line of a file, so that a test need not rely on the store for what was repeated.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from explorer.progress import SilentReporter
from explorer.studies.driver import run_known
from explorer.studies.managing import open_study
from explorer.studies.spec import Known, StudySpec
from explorer.study import Study
from graphstore import GraphStore, open_store
from graphstore.records import TrialRecord

BATCH = 4


@dataclass(frozen=True)
class ProbeRun:
    """The order of a process.

    Attributes:
        url: URL of the store.
        spec: the study; its evaluation is ``Known``, or ``External`` for ask and tell.
        log: file that is appended to: ``evaluated NUMBER``, ``ended NUMBER``, and at last ``calls COUNT``.
        kill_at: number of the store's call at which the process kills itself; 0 for never.
        after: whether it kills itself after the call has returned, instead of before.
    """

    url: str
    spec: StudySpec
    log: Path
    kill_at: int = 0
    after: bool = False


class CountedStore:
    """A store that counts its calls, and kills this process at one of them."""

    def __init__(self, store: GraphStore, kill_at: int, after: bool) -> None:
        self._store, self._kill_at, self._after = store, kill_at, after
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._store, name)
        return self._counted(found) if callable(found) else found

    def _counted(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            self.calls += 1
            if self.calls == self._kill_at and not self._after:
                os.kill(os.getpid(), signal.SIGKILL)
            result = method(*arguments, **named)
            if self.calls == self._kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return call


def cheap_value(architecture: str) -> float:
    """Return a value that depends on the architecture's id only."""
    return int(architecture[:8], 16) / 2.0**32


def run_probe(run: ProbeRun) -> None:
    """Start or resume a study, and run it to its end."""

    def note(line: str) -> None:
        with run.log.open("a") as log:
            log.write(line + "\n")

    def ended(trial: TrialRecord) -> None:
        note(f"ended {trial.number}")

    with open_store(run.url, create=False) as opened:
        counted = CountedStore(opened, run.kill_at, run.after)
        store = cast(GraphStore, counted)
        record = open_study(store, run.spec)
        if isinstance(run.spec.evaluation, Known):
            run_known(store, record, SilentReporter(), lambda: False, ended)
        else:
            study = Study(store, record)
            while asked := study.ask(BATCH):
                for one in asked:
                    note(f"evaluated {one.number}")
                    ended(study.tell(one.number, cheap_value(one.architecture)))
        note(f"calls {counted.calls}")
