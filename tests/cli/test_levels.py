"""Commands say which scores are no better than a constant answer."""

import dataclasses
import json

from explorer.cli.demo import print_result
from explorer.studies.demo import DemoResult
from graphstore.records import ScoreRecord


def test_best_says_which_scores_equal_a_constant_answer(archex, store):
    first, second = (summary.id for summary in store.summaries("small")[:2])
    code, printed, _ = archex("best", "--store", store.url)
    assert (code, "levels" in printed) == (0, False), "no level is known yet"
    known = ScoreRecord(first, "sst", "accuracy", 0.5, "d", "f", "r", 0, "mine:1", majority=0.5, chance=0.45)
    better = dataclasses.replace(known, task="mrpc", value=0.7, majority=0.68)
    assert store.add_scores([known, better, dataclasses.replace(better, architecture=second, value=0.66)]) == 3
    assert store.add_scores([dataclasses.replace(known, task="cola", majority=None)]) == 1
    best = {row["task"]: row for row in json.loads(archex("best", "--store", store.url, "--json")[1])["best"]}
    assert {task: (row["value"], row["majority"], row["chance"]) for task, row in best.items() if task != "known"} == {
        "sst": (0.5, 0.5, 0.45),
        "mrpc": (0.7, 0.68, 0.45),
        "cola": (0.5, None, 0.45),
    }
    assert (best["known"]["majority"], best["known"]["chance"]) == (None, None)
    printed = archex("best", "--store", store.url)[1]
    assert "levels" in printed
    assert printed.count("equals") == 1
    assert "worse" not in printed


def test_the_demo_says_where_nothing_was_learned(capsys):
    best = {
        "id": "ab12",
        "scores": {"order": 0.5, "pair": 0.8, "package": 0.1, "mean": 0.4667},
        "majority": {"order": 0.5, "pair": 0.51, "package": 0.15, "mean": None},
        "model_dict": {},
        "folder": "runs/0",
    }
    print_result(DemoResult(96, 2, 0, 1.0, 2.0, best))
    told = [line.strip() for line in capsys.readouterr().out.splitlines() if "constant" in line]
    assert told == [
        "order equals a constant answer, which scores 0.500",
        "package is worse than a constant answer, which scores 0.150",
    ]
