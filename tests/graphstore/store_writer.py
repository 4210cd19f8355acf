"""A process of its own that writes to a store and says, line by line, what was acknowledged.

Usage: ``python store_writer.py URL NAME ROUNDS``. Reads ids of architectures from the space ``nano``; each round adds
two scores in one call, proposes, claims and finishes a trial of the study ``first``, and writes a job.
"""

from __future__ import annotations

import sys

from graphstore import open_store
from graphstore.records import JobRecord, JobState, ScoreRecord, TrialStatus


def main(url: str, name: str, rounds: int) -> None:
    with open_store(url, create=False) as store:
        ids = [summary.id for summary in store.summaries("nano")]
        say("ready")
        for turn in range(rounds):
            id = ids[turn % len(ids)]
            pair = [score(id, task, turn, name) for task in ("a", "b")]
            store.add_scores(pair)
            say(f"score {pair[0].id}")
            say(f"score {pair[1].id}")
            trial = store.claim_trial("first", name, 1e9, 1000.0)
            if trial is not None:
                say(f"claim {trial.number}")
                proof = score(trial.architecture, "trial", trial.number, name)
                store.finish_trial(trial, TrialStatus.COMPLETE, 1001.0, 0.5, scores=[proof])
                say(f"finish {trial.number}")
                say(f"score {proof.id}")
            store.put_job(JobRecord(f"{name}-{turn}", "search", JobState.DONE, 1, "h", 1.0, 1.0, "", "", {}, 1.0))
            say(f"job {name}-{turn}")


def score(id: str, task: str, seed: int, source: str) -> ScoreRecord:
    return ScoreRecord(id, task, "accuracy", 0.5, "data", "steps=5", "recipe", seed, source)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
