"""NAS-Bench-BERT's table: read row by row, each valid or refused with the reason."""

import copy
import json
import re

import pytest

from explorer.errors import DataError
from explorer.similarity.graph import architecture_id
from explorer.space.imports.nas_bench_bert import find_nas_bench_bert

LAYER = {
    "operation_type": "DSC",
    "operation_parameter": 5,
    "num_operation_heads": 2,
    "feed_forward_dimension": 512,
    "num_feed_forward": 3,
}
SCORES = {"cola": 0.0, "mnli": 60, "mrpc": 70, "qnli": 80, "qqp": 80, "rte": 50, "sst": 80, "sts": 20.0}
ROW = {
    "id": 0,
    "time_to_train": 10.5,
    "scores": {**SCORES, "glue": 55.0},
    "hparams": {"model_hparam_overrides": {"hidden_size": 128, "nas_config": {"encoder_layers": [LAYER] * 2}}},
}


def write(tmp_path, rows):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(rows))
    return path


def only_row(path):
    ((_, row),) = find_nas_bench_bert(path).valid
    return row, {score.task: score.value for score in row.scores}


def test_a_row_becomes_an_architecture_with_scores(tmp_path):
    row, scores = only_row(write(tmp_path, [ROW]))
    layer = row.architecture.layers[0]
    assert (layer.family, layer.parameter, layer.hidden, layer.feed_forward) == ("c", "5", 128, (512, 512, 512))
    assert scores["glue"] == pytest.approx(sum(SCORES.values()) / 800)
    assert scores["cola"] == 0.0  # a correlation of nothing learned, which is a result
    assert row.left_out == ()


def test_an_accuracy_of_zero_is_missing_and_takes_the_mean_with_it(tmp_path):
    row = copy.deepcopy(ROW)
    row["scores"]["rte"] = 0
    found, scores = only_row(write(tmp_path, [row]))
    assert found.left_out == ("model 0: rte is 0, which means missing; it and the mean glue are left out",)
    assert scores.keys() == SCORES.keys() - {"rte"}


@pytest.mark.parametrize(
    ("path", "value", "named"),
    [
        (("id",), "0", "id"),
        (("scores", "sst"), None, "scores.sst"),
        (("scores", "sst"), 400, "scores.sst"),
        (("scores", "sst"), float("nan"), "scores.sst"),
        (("scores", "sst"), 10**400, "scores.sst must be an integer of at most 64 bits"),
        (("scores", "sst"), -1, "scores.sst must be a percentage from 0 to 100"),
        (("scores", "mrpc"), -0.5, "scores.mrpc"),
        (("scores", "cola"), -101, "scores.cola must be a percentage from -100 to 100"),
        (("time_to_train",), 10**400, "time_to_train"),
        (("time_to_train",), -1.0, "time_to_train"),
        (("time_to_train",), float("inf"), "time_to_train"),
        (("time_to_train",), float("nan"), "time_to_train"),
        (("hparams",), [], "hparams"),
        (("id",), 10**30, "id must be an integer of at most 64 bits"),
        (("hparams", "model_hparam_overrides", "hidden_size"), 129, "layer 0"),
        (("hparams", "model_hparam_overrides", "nas_config", "encoder_layers"), [], "layers"),
        (("hparams", "model_hparam_overrides", "nas_config", "encoder_layers"), [{}], "operation_type"),
        (
            ("hparams", "model_hparam_overrides", "nas_config", "encoder_layers"),
            [{**LAYER, "operation_parameter": "1" * 5000}],
            "layer 0: parameter of c must be an odd kernel size",
        ),
    ],
)
def test_a_bad_row_is_refused_and_the_others_are_read(tmp_path, path, value, named):
    bad, last = copy.deepcopy(ROW), copy.deepcopy(ROW)
    bad["id"], last["id"] = 1, 2
    place = bad
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    path = write(tmp_path, [ROW, bad, last])
    rows = find_nas_bench_bert(path)
    assert [number for number, _ in rows.valid] == [1, 3]
    (refused,) = rows.refused
    assert re.search(f"row 2: .*{named}", str(refused.error(path.name)))


def test_correlations_may_be_negative(tmp_path):
    row = copy.deepcopy(ROW)
    row["scores"] |= {"cola": -2.07, "sts": -1}
    found, scores = only_row(write(tmp_path, [row]))
    assert (scores["cola"], scores["sts"]) == (pytest.approx(-0.0207), -0.01)
    assert found.left_out == ()


def test_repeated_ids_and_other_documents_are_refused(tmp_path):
    (refused,) = find_nas_bench_bert(write(tmp_path, [ROW, ROW])).refused
    assert (refused.row, refused.field, refused.rule) == (2, "id", "be unique in the file")
    with pytest.raises(DataError, match="list of rows"):
        find_nas_bench_bert(write(tmp_path, {}))


STEPS = {"0": {**SCORES, "glue": 55.0}, "50000": {**SCORES, "sst": 81.5, "glue": 55.1875}}


def by_step(row):
    return {
        step: {score.task: score.value for score in row.scores if score.fidelity == step}
        for step in dict.fromkeys(score.fidelity for score in row.scores)
    }


def test_scores_nested_by_step_are_further_fidelities(tmp_path):
    path = write(tmp_path, [{**ROW, "scores": STEPS}])
    row, _ = only_row(path)
    found = by_step(row)
    assert list(found) == ["0 steps", "50000 steps"]
    assert found["50000 steps"]["sst"] == pytest.approx(0.815)
    assert found["50000 steps"]["glue"] == pytest.approx(0.551875)
    assert {(score.recipe, score.source) for score in row.scores} == {
        ("nas-bench-bert-ablation", "nas-bench-bert-ablation:0")
    }
    assert {score.fidelity: score.seconds for score in row.scores if score.task == "glue"} == {
        "0 steps": 0.0,
        "50000 steps": 10.5,
    }
    (said,) = find_nas_bench_bert(path).read_as
    assert said == "NAS-Bench-BERT's ablation of training steps: 2 fidelities from 0 steps to 50000 steps"


def test_steps_may_be_nested_in_tasks(tmp_path):
    tasks = {task: {step: scores[task] for step, scores in STEPS.items()} for task in STEPS["0"]}
    row, _ = only_row(write(tmp_path, [{**ROW, "scores": tasks}]))
    other, _ = only_row(write(tmp_path, [{**ROW, "scores": STEPS}]))
    assert by_step(row) == by_step(other)


def test_a_row_without_scores_gives_its_architecture(tmp_path):
    row, scores = only_row(write(tmp_path, [{**ROW, "scores": {}}]))
    assert (scores, row.left_out) == ({}, ("model 0: it has no scores",))


@pytest.mark.parametrize(
    ("scores", "named"),
    [
        ({"0": SCORES, "cola": 1}, "hold scores by task"),
        ({"0": SCORES, "late": SCORES}, "hold scores by task"),
        ({"0": {**SCORES, "sst": None}}, "scores.0.sst"),
        ({"0": {"sst": {"1": 2}}}, "scores.0.cola"),
        ({"cola": {"ten": 1}}, "hold scores by task"),
    ],
)
def test_other_nestings_are_refused(tmp_path, scores, named):
    (refused,) = find_nas_bench_bert(write(tmp_path, [{**ROW, "scores": scores}])).refused
    assert named in f"{refused.field} must {refused.rule}"


def test_a_mean_that_is_not_the_mean_of_its_tasks_is_suspicious(tmp_path):
    broken = {**STEPS, "50000": {**STEPS["50000"], "glue": 110.375}}
    found = find_nas_bench_bert(write(tmp_path, [{**ROW, "scores": broken}]))
    said = "model 0 after 50000 steps: glue is 110.375, but the mean of its tasks is 55.188, which is taken"
    assert found.suspicious == (said,)
    ((_, row),) = found.valid
    assert by_step(row)["50000 steps"]["glue"] == pytest.approx(0.551875)
    assert find_nas_bench_bert(write(tmp_path, [{**ROW, "scores": STEPS}])).suspicious == ()


def test_another_published_table_names_its_command(tmp_path):
    path = write(tmp_path, {"0" * 32 + "_a100": {"model_dict": {}, "performance": {}}})
    with pytest.raises(DataError) as caught:
        find_nas_bench_bert(path)
    assert caught.value.remedy == f"Run `archex import edgetran {path}`."


def test_the_published_table(shared_data):
    found = find_nas_bench_bert(shared_data / "architectures/nas_bench_bert/BERT_benchmark.json")
    assert found.refused == ()
    rows = [row for _, row in found.valid]
    ids = [architecture_id(row.architecture) for row in rows]
    assert (len(ids), len(set(ids))) == (500, 491)
    assert [row.scores[0].source for row in rows if row.left_out] == ["nas-bench-bert:47"]
    assert sum(len(row.scores) for row in rows) == 500 * 9 - 2


def test_steps_without_scores_are_left_out(tmp_path):
    full = {**SCORES, "glue": 55.0}
    for empty in ({}, None):
        row = {**copy.deepcopy(ROW), "scores": {"50000": empty, "100000": full}}
        found, scores = only_row(write(tmp_path, [row]))
        assert found.left_out == ("model 0: 50000 has no scores",)
        assert ({score.fidelity for score in found.scores}, len(scores)) == ({"100000 steps"}, 9)
        (_, none), *_ = find_nas_bench_bert(write(tmp_path, [{**row, "scores": {"50000": empty}}])).valid
        assert (none.scores, none.left_out) == ((), ("model 0: it has no scores",))


def test_rows_by_key_and_a_single_row_are_the_same_table(tmp_path):
    wanted = find_nas_bench_bert(write(tmp_path, [ROW])).valid
    assert find_nas_bench_bert(write(tmp_path, {"0": ROW})).valid == wanted
    assert find_nas_bench_bert(write(tmp_path, ROW)).valid == wanted
