"""The policies' benchmark: its arithmetic on small objectives, and a whole run that goes on from its cache."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from explorer.cli.bench import run_main
from explorer.errors import DataError
from explorer.search import Candidates

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, imported as its own folder sees it."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    monkeypatch.delitem(sys.modules, "policies", raising=False)
    return importlib.import_module("policies")


def objective(benchmark: ModuleType, count: int = 40):
    generator = np.random.default_rng(0)
    choices = generator.integers(0, 3, size=(count, 4))
    candidates = Candidates(tuple(map(str, range(count))), choices.astype(float), choices)
    return benchmark.Objective("glue", "toy", candidates, generator.normal(size=count))


def a_run(benchmark: ModuleType, **changes: object):
    given = {"seed": 0, "objective": "glue", "batch": 5, "policy": "random", "horizon": 20, "initial": 10, "key": "k"}
    return benchmark.Run(**{**given, **changes})


def test_all_policies_start_with_the_same_ten(benchmark):
    toy = objective(benchmark)
    orders = [benchmark.search(toy, a_run(benchmark, policy=name)) for name in ("random", "evolution", "extra_trees")]
    assert len({tuple(order[:10]) for order in orders}) == 1
    assert orders[0][:10] != benchmark.search(toy, a_run(benchmark, seed=1))[:10]
    assert all(len(set(order)) == len(order) for order in orders)
    assert benchmark.search(toy, a_run(benchmark, initial=4))[:4] == orders[0][:4]
    assert benchmark.search(toy, a_run(benchmark, initial=0))[:10] != orders[0][:10]


def test_a_search_goes_on_to_the_horizon_and_ends_at_the_best(benchmark):
    toy = objective(benchmark)
    for seed in range(5):
        order = benchmark.search(toy, a_run(benchmark, seed=seed))
        best = int(toy.values.argmax())
        if best in order:
            assert order.index(best) >= min(10, len(order)) - 10
            assert best in order[-5:] or order.index(best) < 10
        else:
            assert len(order) >= 20
            assert set(order) & set(np.argsort(-toy.values)[:5].tolist())


def test_queries_and_regret_by_hand(benchmark):
    values = np.arange(20.0)
    toy = benchmark.Objective("glue", "toy", objective(benchmark, 20).candidates, values)
    rows = [([0, 5, 16, 2, 19], 1.0), ([3, 1, 2, 4, 5], 3.0)]
    result = benchmark.Result.of(toy, rows, initial=3, batch=1, horizon=7)
    assert result.queries.tolist() == [3.0, benchmark.BUDGET + 1]
    assert result.regret.tolist() == [[19, 14, 3, 3, 0, 0, 0], [16, 16, 16, 15, 14, 14, 14]]


def test_those_as_good_as_the_fifth_count_as_best(benchmark):
    toy = benchmark.Objective("glue", "toy", objective(benchmark, 8).candidates, np.array([3, 1, 2, 2, 2, 0, 5, 4.0]))
    assert toy.best == {6, 7, 0, 2, 3, 4}


def test_policies_on_made_objectives(figures):
    found = figures("robustness", "--quick", "--data", "/nowhere", "--families", "corner", "--policies", "boshnas")
    assert found["objectives"] == 2
    assert found["mean_rank"] == 1.0
    assert found["worst_p90_ratio_to_random"] < 1.0


def test_headline_names_the_best_rival(benchmark):
    def result(*queries: float):
        return benchmark.Result(np.array(queries), np.zeros((len(queries), 20)), 0.1)

    results = {"boshnas": result(11, 15, 12), "boshnas_paper": result(1, 1, 1), "random": result(60, 70, 80)}
    results["gp"] = result(13, 20, 30)
    assert benchmark.headline("shapes_", 1, results) == {
        "shapes_boshnas_median_queries_batch_1": 12.0,
        "shapes_best_rival_batch_1": "gp",
        "shapes_best_rival_median_queries_batch_1": 20.0,
    }
    lines = benchmark.table_of(results, 1.0, 20)
    assert [line.split("|")[1].strip() for line in lines[2:]] == ["boshnas_paper", "boshnas", "gp", "random"]


def test_the_band_is_that_of_the_mean(benchmark):
    # The mean of 400 standard normal numbers has a deviation of 0.05; 1.96 of it on both sides.
    values = np.random.default_rng(0).normal(size=400)
    low, high = benchmark.band(values, np.mean, np.random.default_rng(1))
    assert low == pytest.approx(values.mean() - 0.098, abs=0.02)
    assert high == pytest.approx(values.mean() + 0.098, abs=0.02)


def test_a_torn_line_of_the_cache_is_passed_over(benchmark, tmp_path):
    path = tmp_path / "runs.jsonl"
    assert benchmark.cached(path) == {}
    path.write_text('\n{"key": "a", "order": [1, 2], "seconds": 0.5}\n{"key": "b", "ord')
    assert benchmark.cached(path) == {"a": ([1, 2], 0.5)}


def test_the_source_of_another_policy_is_another(benchmark):
    names = ("random", "evolution", "bananas")
    assert len({benchmark.source_digest(name) for name in names}) == 3


def options(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: object):
    monkeypatch.setattr(sys, "argv", ["policies.py", *map(str, words)])
    return benchmark._options()


def test_without_data_a_random_function_is_searched(benchmark, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(benchmark, "synthetic", lambda: importlib.import_module("scored_tables").synthetic(40))
    (found,) = benchmark._objectives(options(benchmark, monkeypatch, "--data", tmp_path))
    assert (found.name, len(found.values)) == ("synthetic", 40)
    assert "policies search a random function" in capsys.readouterr().out
    again = benchmark._objectives(options(benchmark, monkeypatch, "--objectives", "synthetic"))
    assert again[0].values.tolist() == found.values.tolist()


def test_the_random_function_is_smooth_in_the_vectors(benchmark):
    table = importlib.import_module("scored_tables").synthetic(120, noise=0.1)
    found = benchmark.of_table("synthetic", "toy", table)
    vectors, values = found.candidates.vectors, found.values
    near = np.argsort(np.linalg.norm(vectors[:, None] - vectors[None], axis=2), axis=1)[:, 1]
    assert np.corrcoef(values, values[near])[0, 1] > 0.5


def test_stored_scores_need_no_data(benchmark, monkeypatch, tmp_path, store):
    words = ["--store", store.url, "--space", "small", "--data", tmp_path, "--task"]
    (found,) = benchmark._objectives(options(benchmark, monkeypatch, *words, "known"))
    assert (found.name, len(found.values)) == ("library", 60)
    monkeypatch.setattr(benchmark, "LEAST_SCORES", 61)
    with pytest.raises(DataError, match="space small must have 61 architectures or more"):
        benchmark._objectives(options(benchmark, monkeypatch, *words, "known"))


def test_missing_data_is_one_line(benchmark, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(sys, "argv", ["policies.py", "--data", str(tmp_path), "--objectives", "glue"])
    with pytest.raises(SystemExit) as ended:
        run_main(benchmark.main)
    assert ended.value.code == 2
    assert "file must be an existing file" in capsys.readouterr().err


def test_wrong_input_is_one_line_and_exit_code_2(benchmark, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    wrong = {
        ("--data", "nowhere", "--objectives", "glue"): "BERT_benchmark.json",
        ("--objectives",): "--objectives must be at least one",
        ("--store", "sqlite:///none.db", "--objectives"): "store file must exist",
        ("--seeds", "0"): "--seeds: must be a whole number above 0, but got '0'",
        ("--batches", "-1"): "--batches",
        ("--initial", "150"): "--initial",
        ("--policies", "magic"): "--policies: invalid choice: 'magic'",
        ("--frob",): "unrecognized arguments: --frob",
    }
    for words, said in wrong.items():
        monkeypatch.setattr(sys, "argv", ["policies.py", *words])
        with pytest.raises(SystemExit) as ended:
            run_main(benchmark.main)
        told = capsys.readouterr().err
        assert (ended.value.code, told.count("\n")) == (2, 1), told
        assert told.startswith("error: ")
        assert said in told


@pytest.mark.slow
def test_a_whole_run_goes_on_from_its_cache(figures, shared_data, tmp_path):
    cache, report = tmp_path / "runs.jsonl", tmp_path / "report.md"
    words = ["--data", shared_data, "--policies", "random", "evolution", "--batches", 5]
    words += ["--objectives", "shapes", "--cache", cache, "--report", report, "--workers", 1]
    first = figures("policies", *words, "--seeds", 1, "--initial", 10)
    kept = cache.read_text()
    again = figures("policies", *words, "--seeds", 2)
    assert cache.read_text().startswith(kept)
    assert len([line for line in cache.read_text().splitlines() if line]) == 8
    assert first["shapes_best_rival"] in ("random", "evolution")
    keys = {"shapes_best_rival", "shapes_best_rival_median_queries"}
    assert set(again) == {"seeds"} | keys | {f"own_start_{key}" for key in keys}
    assert report.read_text().count("| random |") == 2
    assert json.loads(kept.strip().splitlines()[0])["order"]
