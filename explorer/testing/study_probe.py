"""A study in a process that can be killed at any point, for the laws of resumption.

The process asks in batches, evaluates by something cheap and tells; every evaluation and every acknowledged end is a
line of a file, so that nobody has to believe the store about what was repeated.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from explorer.progress import SilentReporter
from explorer.studies.driver import StudyPlan, open_study, run_known
from explorer.study import Study
from graphstore import GraphStore, open_store
from graphstore.records import TrialRecord

BATCH = 4


@dataclass(frozen=True)
class ProbeRun:
    """What a process does.

    Attributes:
        url: of the store.
        plan: the study; with ``settings["from_scores"]`` it is run on known scores, else by ask and tell.
        log: file that is appended to: ``evaluated NUMBER``, ``ended NUMBER``, and at last ``calls COUNT``.
        kill_at: the process kills itself at this call of the store; 0 for never.
        after: whether it does so after the call has returned, instead of before.
    """

    url: str
    plan: StudyPlan
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
    """The value of an architecture, from its id alone."""
    return int(architecture[:8], 16) / 2.0**32


def run_probe(run: ProbeRun) -> None:
    """Run a study, or go on with it, to its end."""

    def note(line: str) -> None:
        with run.log.open("a") as log:
            log.write(line + "\n")

    def ended(trial: TrialRecord) -> None:
        note(f"ended {trial.number}")

    with open_store(run.url, create=False) as opened:
        counted = CountedStore(opened, run.kill_at, run.after)
        store = cast(GraphStore, counted)
        record = open_study(store, run.plan)
        if run.plan.settings["from_scores"]:
            run_known(store, record, SilentReporter(), lambda: False, ended)
        else:
            study = Study(store, record)
            while asked := study.ask(BATCH):
                for one in asked:
                    note(f"evaluated {one.number}")
                    ended(study.tell(one.number, cheap_value(one.architecture)))
        note(f"calls {counted.calls}")
