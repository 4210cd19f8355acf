"""A worker: a process that claims a study's trials one after another, trains them and stores their scores.

Run as ``python -m explorer.runner.worker --store URL --study NAME --parent PID``. It ends when the study is closed,
when its parent is gone, or on SIGTERM; a trial it had under way is given back and goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from explorer.errors import ExplorerError
from explorer.records import TaskScore
from explorer.runner.studies import owner_name, trial_source
from explorer.runner.training import TrainingChoices, objective_value
from explorer.runner.workplace import data_cache, run_folder
from explorer.space.formats import from_json
from graphstore import GraphStore, open_store
from graphstore.errors import LeaseLostError, StoreError
from graphstore.records import ScoreRecord, StudyRecord, StudyState, TrialRecord, TrialStatus

LEASE_S = 45.0
RENEW_S = 3.0
IDLE_S = 0.2
log = logging.getLogger(__name__)


def score_record(score: TaskScore, architecture: str, source: str) -> ScoreRecord:
    """A trained model's score as the store keeps it."""
    return ScoreRecord(
        architecture,
        score.task,
        score.metric,
        score.value,
        dataset=score.dataset,
        fidelity=score.fidelity,
        recipe=score.recipe,
        seed=score.seed,
        source=source,
        seconds=score.seconds,
    )


class Lease:
    """Keeps a claimed trial ours while it trains, and carries its progress to the store.

    Args:
        store: where the trial is.
        trial: as claimed.
    """

    def __init__(self, store: GraphStore, trial: TrialRecord) -> None:
        self._store, self._trial = store, trial
        self._progress = (0.0, "starting")
        self._end = threading.Event()
        self.lost = False
        self._thread = threading.Thread(target=self._renew, name=f"lease {trial.number}", daemon=True)
        self._thread.start()

    def report(self, share: float, note: str) -> None:
        """Remember how far the trial is; the next renewal writes it."""
        self._progress = (share, note)

    def close(self) -> None:
        """Stop renewing."""
        self._end.set()
        self._thread.join()

    def _renew(self) -> None:
        while not self._end.wait(RENEW_S):
            share, note = self._progress
            try:
                info = {"progress": round(share, 4), "message": note}
                self._store.renew_lease(self._trial, LEASE_S, time.time(), info)
            except LeaseLostError:
                self.lost = True
                return
            except StoreError as error:
                log.warning("lease of trial %d not renewed: %s", self._trial.number, error)


class Worker:
    """Claims and runs trials of one study.

    Args:
        store: where the study is.
        study: the study.
        should_stop: asked between training steps.
    """

    def __init__(self, store: GraphStore, study: StudyRecord, should_stop: Callable[[], bool]) -> None:
        self._store, self._study, self._should_stop = store, study, should_stop
        self._choices = TrainingChoices.from_settings(study.settings)
        self._prepared = self._choices.prepare(data_cache(store.url))
        # Loaded before the first claim: it takes seconds in which nothing looks whether to stop.
        for module in ("finetune", "pretrain"):
            importlib.import_module(f"explorer.training.{module}")

    def run(self) -> None:
        """Work until the study is closed or ``should_stop`` says so."""
        owner = owner_name()
        while not self._should_stop() and self._store.study(self._study.name).state is StudyState.OPEN:
            trial = self._store.claim_trial(self._study.name, owner, LEASE_S, time.time())
            if trial is None:
                time.sleep(IDLE_S)
            else:
                self._run_trial(trial)

    def _run_trial(self, trial: TrialRecord) -> None:
        from explorer.training.backend import train_and_score
        from explorer.training.loop import TrainingStopped

        store, name = self._store, self._study.name
        source = trial_source(name, trial.number)
        spec = from_json(store.summaries(ids=[trial.architecture])[0].spec)
        folder = self._folder(trial)
        store.renew_lease(trial, LEASE_S, time.time(), {"folder": str(folder)})
        log.info("trial %d: attempt %d in %s", trial.number, trial.attempt, folder)
        lease = Lease(store, trial)
        outcome: tuple[TrialStatus, float | None, str]

        def keep(score: TaskScore) -> None:
            store.add_scores([score_record(score, trial.architecture, source)])

        try:
            scores = train_and_score(
                spec,
                self._prepared,
                self._choices.recipe,
                seed=self._study.seed,
                folder=folder,
                on_progress=lease.report,
                on_score=keep,
                should_stop=lambda: lease.lost or self._should_stop(),
            )
            outcome = (TrialStatus.COMPLETE, objective_value(scores, self._study.objective), "")
        except (TrainingStopped, KeyboardInterrupt):
            scores, outcome = [], (TrialStatus.WAITING, None, "")
        except (ExplorerError, ValueError, RuntimeError, MemoryError, OSError) as error:
            log.exception("trial %d failed", trial.number)
            scores, outcome = [], (TrialStatus.FAILED, None, f"{type(error).__name__}: {error}"[:500])
        finally:
            lease.close()
        if lease.lost:
            return
        state, value, reason = outcome
        records = [score_record(score, trial.architecture, source) for score in scores]
        try:
            store.finish_trial(trial, state, time.time(), value=value, reason=reason, scores=records)
        except LeaseLostError:
            log.warning("trial %d was given to another worker; its scores stay", trial.number)
            return
        log.info("trial %d: %s %s", trial.number, state.value, reason if value is None else f"{value:.4f}")

    def _folder(self, trial: TrialRecord) -> Path:
        """The trial's run folder; another text, recipe or seed gets another one, so old files are never in the way."""
        run = self._choices.run_digest(self._prepared, trial.architecture, self._study.seed)
        return run_folder(self._store.url, self._study.name, f"{trial.number:04d}-{run}")


def main() -> None:
    """Entry of the worker process."""
    parser = argparse.ArgumentParser(description="Train the trials of a study.")
    parser.add_argument("--store", required=True)
    parser.add_argument("--study", required=True)
    parser.add_argument("--parent", required=True, type=int)
    arguments = parser.parse_args()
    logging.basicConfig(level="INFO", format="%(asctime)s %(message)s")
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent tells us when to end.

    import torch

    torch.set_num_threads(1)  # Two processes of one thread beat one of two on the machines this was measured on.
    with open_store(arguments.store, create=False) as store:
        study = store.study(arguments.study)
        Worker(store, study, lambda: stopping.is_set() or os.getppid() != arguments.parent).run()


if __name__ == "__main__":
    main()
