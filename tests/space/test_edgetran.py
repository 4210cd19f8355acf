"""EdgeTran's table: measurements row by row, predictions on demand only and never under a real score's name."""

import copy
import json
from collections import Counter

import pytest

from explorer.errors import DataError
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_model_dict
from explorer.space.imports.edgetran import find_edgetran

SPEC = {"l": 1, "o": [["sa_wma_192", "c_5_192"]], "h": [256], "f": [[512, 256]]}
ROW = {
    "model_dict": SPEC,
    "model_type": "shallow_narrow",
    "performance": {"latency": 0.5, "energy": 2, "peak_power": 119.1, "pretrain_loss": 2.5, "glue": 0.75},
}
KEY = "0123456789abcdef0123456789abcdef"


def write(tmp_path, rows):
    path = tmp_path / "table.json"
    path.write_text(json.dumps(rows))
    return path


def test_a_row_becomes_three_measurements_and_no_score(tmp_path):
    ((number, row),) = find_edgetran(write(tmp_path, {f"{KEY}_cpu_m1-pro": ROW})).valid
    assert number == 1
    assert row.architecture == from_model_dict(SPEC)
    found = [(m.device, m.quantity, m.value, m.unit) for m in row.measurements]
    latency, energy, power = ("latency", 0.5, "s"), ("energy", 2.0, "J"), ("peak_power", 119.1, "W")
    assert found == [("cpu_m1-pro", *one) for one in (latency, energy, power)]
    assert row.scores == ()


def test_predictions_say_everywhere_that_they_are_predictions(tmp_path):
    ((_, row),) = find_edgetran(write(tmp_path, {f"{KEY}_a100": ROW}), with_predicted=True).valid
    assert [(score.task, score.value) for score in row.scores] == [
        ("glue_predicted", 0.75),
        ("negative_pretrain_loss_predicted", -2.5),
    ]
    for score in row.scores:
        assert all("predicted" in text for text in (score.task, score.metric, score.fidelity, score.recipe))
        assert score.source == f"edgetran-predicted:{KEY}_a100"


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        (("performance", "latency"), None, "performance.latency"),
        (("performance", "latency"), -1.0, "performance.latency"),
        (("performance", "latency"), 0, "performance.latency"),
        (("performance", "energy"), float("nan"), "performance.energy"),
        (("performance", "energy"), float("inf"), "performance.energy"),
        (("performance", "peak_power"), 10**400, "performance.peak_power"),
        (("performance", "peak_power"), True, "performance.peak_power"),
        (("performance",), [1], "performance"),
        (("model_dict",), None, "model_dict"),
        (("model_dict", "h"), [0], "model_dict layer 0: hidden size"),
        (("model_dict", "o"), [["sa_wma"]], "model_dict layer 0: head"),
        (("performance", "glue"), 75.0, "performance.glue"),
        (("performance", "pretrain_loss"), "low", "performance.pretrain_loss"),
    ],
)
def test_a_bad_row_is_refused_and_the_others_are_read(tmp_path, path, value, field):
    bad = copy.deepcopy(ROW)
    place = bad
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    rows = {f"{KEY}_a100": ROW, f"{KEY}_ncs": bad, f"{KEY}_rpi": ROW}
    found = find_edgetran(write(tmp_path, rows), with_predicted=True)
    assert [number for number, _ in found.valid] == [1, 3]
    assert [(one.row, one.field) for one in found.refused] == [(2, field)]
    assert all((one.rule, one.remedy, one.value) for one in found.refused)


@pytest.mark.parametrize("key", ["", "a100", f"{KEY}_", f"{KEY}a100", f"{KEY}_a\n100", f"{KEY}_\ud800", "x" * 9999])
def test_a_key_that_names_no_device_is_refused(tmp_path, key):
    (refused,) = find_edgetran(write(tmp_path, {key: ROW})).refused
    assert refused.field == "key"
    refused.value.encode()


@pytest.mark.parametrize("document", [[], {}, None, "rows", [ROW]])
def test_other_documents_are_refused(tmp_path, document):
    with pytest.raises(DataError, match="object of rows"):
        find_edgetran(write(tmp_path, document))


def test_a_key_given_twice_is_refused(tmp_path):
    path = tmp_path / "table.json"
    path.write_text(f'{{"{KEY}_a100": {json.dumps(ROW)}, "{KEY}_a100": {json.dumps(ROW)}}}')
    (refused,) = find_edgetran(path).refused
    assert (refused.rule, refused.field) == ("be given once", "value")


TRAINED = {"model_dict": SPEC, "model_type": "deep", "pretrain": {"steps": 414500, "loss": 2.5}, "glue": " 0.8124"}


def test_the_global_search_gives_scores_with_their_steps(tmp_path):
    found = find_edgetran(write(tmp_path, {KEY: TRAINED}))
    ((_, row),) = found.valid
    assert found.read_as == ("EdgeTran's global search: scores of trained encoders",)
    assert row.measurements == ()
    scores = {score.task: score for score in row.scores}
    assert {task: score.value for task, score in scores.items()} == {"mlm": -2.5, "glue": 0.8124}
    assert {score.fidelity for score in row.scores} == {"414500 steps"}
    assert (scores["glue"].source, scores["glue"].dataset) == (f"edgetran:{KEY}", "GLUE")


def test_what_a_trained_row_lacks_is_left_out(tmp_path):
    found = find_edgetran(write(tmp_path, {KEY: {**TRAINED, "glue": None}, KEY[::-1]: {**TRAINED, "pretrain": None}}))
    (_, first), (_, second) = found.valid
    assert ([s.task for s in first.scores], first.left_out) == (["mlm"], (f"{KEY}: glue is empty and left out",))
    assert [(s.task, s.fidelity) for s in second.scores] == [("glue", "published")]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"glue": "81.24"}, "glue"),
        ({"glue": "good"}, "glue"),
        ({"pretrain": {"steps": -1, "loss": 2}}, "pretrain.steps"),
        ({"pretrain": {"steps": 1}}, "pretrain.loss"),
        ({"pretrain": 3}, "pretrain"),
        ({"performance": ROW["performance"]}, "key"),
    ],
)
def test_a_bad_trained_row_is_refused(tmp_path, change, field):
    (refused,) = find_edgetran(write(tmp_path, {KEY: {**TRAINED, **change}})).refused
    assert refused.field == field


def test_a_measured_row_without_a_device_says_how_to_name_it(tmp_path):
    (refused,) = find_edgetran(write(tmp_path, {KEY: ROW})).refused
    named = refused.remedy.removeprefix("Write for example ").removesuffix(".")
    assert len(find_edgetran(write(tmp_path, {named: ROW})).valid) == 1


def test_another_published_table_names_its_command(tmp_path):
    path = write(tmp_path, [{"id": 0, "scores": {}, "hparams": {}}])
    with pytest.raises(DataError) as caught:
        find_edgetran(path)
    assert caught.value.remedy == f"Run `archex import nas-bench-bert {path}`."


def test_the_published_table(shared_data):
    found = find_edgetran(shared_data / "architectures/edgetran/codesign_dataset.json")
    assert (len(found.valid), found.refused) == (782, ())
    assert len({architecture_id(row.architecture) for _, row in found.valid}) == 686
    devices = Counter(row.measurements[0].device for _, row in found.valid)
    assert devices == {
        "a100": 239,
        "cpu_jetson-nano": 223,
        "cpu_m1-pro": 104,
        "gpu_m1-pro": 92,
        "cpu_rpi": 81,
        "gpu_jetson-nano": 22,
        "npu_ncs": 21,
    }
    assert {m.unit for _, row in found.valid for m in row.measurements} == {"s", "J", "W"}


def test_keys_of_other_lengths_and_cases_and_rows_without_scores(tmp_path):
    model = {"l": 1, "o": ["sa"], "h": [128], "n": [2], "f": [[512]], "p": ["sdp"]}
    path, measured = tmp_path / "e.json", {"latency": 0.1, "energy": 2, "peak_power": 3.5}
    for key in ("AB" * 16 + "_a100", "ab" * 32 + "_a100"):
        path.write_text(json.dumps({key: {"model_dict": model, "performance": measured}}))
        ((_, row),) = find_edgetran(path).valid
        assert len(row.measurements) == 3
    path.write_text(json.dumps({"ab" * 16: {"model_dict": model, "performance": None, "glue": "0.7"}}))
    ((_, row),) = find_edgetran(path).valid
    assert [score.value for score in row.scores] == [0.7]
    path.write_text(json.dumps({"ab" * 16: {"model_dict": model, "embedding": [0.1]}}))
    (refused,) = find_edgetran(path).refused
    assert "import it as a table of your own" in refused.remedy
