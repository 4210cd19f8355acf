"""Bring results from elsewhere into a store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from explorer.errors import DataError
from explorer.graphs import architecture_id
from explorer.runner.library import build_library, has_space, is_ready
from explorer.runner.progress import Reporter
from explorer.space.nas_bench_bert import METRICS, TrainedEncoder, read_nas_bench_bert
from graphstore import GraphStore
from graphstore.records import ScoreRecord

NAS_BENCH_BERT = "nas-bench-bert"


@dataclass(frozen=True)
class ImportReport:
    """What an import found and added.

    Attributes:
        space: name of the space.
        architectures: distinct architectures in the file.
        scores: scores in the file, missing ones left out.
        new_architectures, new_scores: how many the store did not have.
        left_out: one line per value that was left out, and why.
    """

    space: str
    architectures: int
    scores: int
    new_architectures: int
    new_scores: int
    left_out: tuple[str, ...]


def _scores(row: TrainedEncoder, dataset: str) -> Iterator[ScoreRecord]:
    architecture = architecture_id(row.spec)
    for task, value in row.scores.items():
        yield ScoreRecord(
            architecture,
            task,
            METRICS.get(task, f"mean of {len(METRICS)} tasks"),
            value,
            dataset=dataset,
            fidelity="published",
            recipe="nas-bench-bert",
            seed=0,
            source=f"nas-bench-bert:{row.number}",
            seconds=row.seconds if task == "glue" else 0.0,
        )


def _refuse_other_values(store: GraphStore, scores: Sequence[ScoreRecord], path: Path) -> None:
    if not has_space(store, NAS_BENCH_BERT):
        return
    stored = {score.id: score.value for score in store.scores(space=NAS_BENCH_BERT)}
    for score in scores:
        if stored.get(score.id, score.value) != score.value:
            place = f"{path.name}: {score.task} of {score.source}"
            rule = f"be what was imported before ({stored[score.id]})"
            raise DataError(place, rule, score.value, "Import the other file into another --store.")


def import_nas_bench_bert(store: GraphStore, path: Path, reporter: Reporter) -> ImportReport:
    """Import NAS-Bench-BERT's table as the space ``nas-bench-bert``; importing it again adds nothing.

    The file is checked whole before the store is touched.

    Raises:
        DataError: the file is missing or malformed.
    """
    rows = read_nas_bench_bert(path)
    scores = [score for row in rows for score in _scores(row, "GLUE")]
    _refuse_other_values(store, scores, path)
    ids = sorted({architecture_id(row.spec) for row in rows})
    source = {"file": path.name, "content": hashlib.blake2b(path.read_bytes(), digest_size=12).hexdigest()}
    before = store.count(NAS_BENCH_BERT) if has_space(store, NAS_BENCH_BERT) else 0
    if not is_ready(store, NAS_BENCH_BERT, source):
        title = "NAS-Bench-BERT: 500 trained encoders"
        build_library(store, NAS_BENCH_BERT, [row.spec for row in rows], reporter, source=source, title=title)
    added = store.add_scores(scores)
    left_out = tuple(
        f"model {row.number}: {', '.join(task for task in row.missing if task != 'glue')} is 0, which means missing; "
        "it and the mean glue are left out"
        for row in rows
        if row.missing
    )
    return ImportReport(NAS_BENCH_BERT, len(ids), len(scores), store.count(NAS_BENCH_BERT) - before, added, left_out)
