"""What is sound in a file comes in once, however often the import is run or cut; what is not changes nothing."""

import csv
import dataclasses
import io
import itertools
import json

import pytest
import yaml

from explorer.errors import DataError
from explorer.library.importing import (
    edgetran_file,
    import_file,
    nas_bench_bert_file,
    table_file,
)
from explorer.library.spaces import build_space, is_ready
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.formats import to_json
from explorer.space.grammar import load_space
from graphstore import open_store

SILENT = SilentReporter()


class CutError(Exception):
    pass


class CutReporter:
    """Ends the work when a phase begins, or at its end."""

    def __init__(self, phase, at_end=False):
        self.phase, self.at_end = phase, at_end

    def update(self, phase, done, total, note=""):
        if phase == self.phase and (done == total) == self.at_end:
            raise CutError


@pytest.fixture
def empty(tmp_path):
    with open_store(f"sqlite:///{tmp_path / 'empty.db'}") as opened:
        yield opened


@pytest.fixture
def write(tmp_path):
    """Writes the rows of a table and its mapping, and reads them for an import."""

    def written(rows, space="mine", **changes):
        document = {
            "source": "mine",
            "architecture": {"model_dict": "spec"},
            "scores": [{"column": "sst", "task": "SST-2", "metric": "accuracy", "dataset": "GLUE", "recipe": "mine"}],
            "measurements": [{"column": "ms", "device": "rpi", "quantity": "latency", "unit": "ms"}],
        }
        (tmp_path / "map.yaml").write_text(yaml.safe_dump({**document, **changes}))
        text = io.StringIO()
        csv.writer(text).writerows([["spec", "sst", "ms"], *rows])
        (tmp_path / "table.csv").write_text(text.getvalue())
        return table_file(tmp_path / "table.csv", tmp_path / "map.yaml", space)

    return written


def tiny():
    """The 96 two-layer architectures of the nano grammar."""
    return dataclasses.replace(load_space("nano"), name="tiny", layers=(2,))


def specs(count):
    return list(itertools.islice(tiny(), count))


def rows_of(count):
    return [[to_json(spec), 0.5 + index / 1000, 10.0 + index] for index, spec in enumerate(specs(count))]


def contents(store, space):
    """Everything an import writes."""
    ids = store.architecture_ids(space)
    return (
        ids,
        store.embeddings(space).vectors.tolist(),
        store.neighbor_table(space, "views"),
        store.scores(space=space),
        store.measurements(space=space),
    )


def test_the_published_trainings_come_in_once(empty, shared_data):
    path = shared_data / "architectures/nas_bench_bert/BERT_benchmark.json"
    first = import_file(empty, nas_bench_bert_file(path), SILENT)
    assert (first.rows, first.architectures, first.scores, first.refused) == (500, 491, 4498, ())
    assert (first.new_architectures, first.new_scores) == (491, 4498)
    before = empty.revision()
    second = import_file(empty, nas_bench_bert_file(path), SILENT)
    assert (second.scores, second.new_architectures, second.new_scores) == (4498, 0, 0)
    assert empty.revision() == before
    assert any("model 47" in line for line in second.left_out)


def test_the_published_measurements_come_in_once_and_predictions_only_on_demand(empty, shared_data):
    path = shared_data / "architectures/edgetran/codesign_dataset.json"
    first = import_file(empty, edgetran_file(path), SILENT)
    assert (first.space, first.rows, first.new_architectures) == ("edgetran-measured", 782, 686)
    assert (first.scores, first.new_measurements) == (0, 3 * 782)
    assert empty.scores(space="edgetran-measured") == []
    published = json.loads(path.read_text())["f36d5c40c770e4f787c78b43a2a09d78_a100"]
    id = architecture_id(edgetran_file(path).rows.valid[0][1].architecture)
    measured = {m.quantity: (m.value, m.unit) for m in empty.measurements(architecture=id) if m.device == "a100"}
    units = {"latency": "s", "energy": "J", "peak_power": "W"}
    assert measured == {quantity: (published["performance"][quantity], unit) for quantity, unit in units.items()}
    before = empty.revision()
    again = import_file(empty, edgetran_file(path), SILENT)
    assert (again.new_architectures, again.new_measurements) == (0, 0)
    assert empty.revision() == before
    predicted = import_file(empty, edgetran_file(path, with_predicted=True), SILENT)
    assert (predicted.new_scores, predicted.new_measurements) == (2 * 782, 0)
    for score in empty.scores(space="edgetran-measured"):
        assert all("predicted" in text for text in (score.task, score.metric, score.fidelity, score.source))


def test_a_row_with_another_value_than_the_store_is_refused(empty, write):
    rows = rows_of(4)
    import_file(empty, write(rows), SILENT)
    before = empty.revision()
    for column in (1, 2):
        changed = [list(row) for row in rows]
        changed[2][column] = 0.0
        report = import_file(empty, write(changed), SILENT)
        (refused,) = report.refused
        assert (refused.row, report.rows, report.new_scores) == (3, 3, 0)
        assert "imported before" in refused.rule
    assert empty.revision() == before


def test_a_measurement_in_another_unit_is_another_value(empty, write):
    import_file(empty, write(rows_of(2)), SILENT)
    seconds = [{"column": "ms", "device": "rpi", "quantity": "latency", "unit": "s"}]
    report = import_file(empty, write(rows_of(2), measurements=seconds), SILENT)
    assert [one.row for one in report.refused] == [1, 2]
    assert {m.unit for m in empty.measurements()} == {"ms"}


def test_a_row_that_contradicts_an_earlier_one_is_refused_and_leaves_no_trace(empty, write):
    one, two, three = rows_of(3)
    clash = [one[0], 0.9, 99.0]
    report = import_file(empty, write([one, two, clash, three]), SILENT)
    assert [(row.row, row.field) for row in report.refused] == [(3, "latency on rpi")]
    assert "of row 1" in report.refused[0].rule
    assert (report.rows, report.new_scores, report.new_measurements) == (3, 3, 3)
    assert 0.9 not in {score.value for score in empty.scores()}


def test_two_trainings_of_one_architecture_are_both_kept(empty, write):
    one, two = rows_of(2)
    report = import_file(empty, write([one, two, [one[0], 0.9, one[2]]]), SILENT)
    assert (report.refused, report.architectures, report.new_scores, report.new_measurements) == ((), 2, 3, 2)


def test_bad_rows_are_left_behind(empty, write):
    one, two, three = rows_of(3)
    report = import_file(empty, write([one, ["{", 1, 1], two, [three[0], "much", 1]]), SILENT)
    assert [(row.row, row.field) for row in report.refused] == [(2, "model_dict"), (4, "sst")]
    assert empty.architecture_ids("mine") == [architecture_id(spec) for spec in specs(2)]
    assert is_ready(empty, "mine")


def test_strict_refuses_the_file_for_one_bad_row(empty, write):
    before = empty.revision()
    report = import_file(empty, write([*rows_of(3), ["{", 1, 1]]), SILENT, strict=True)
    assert (report.rows, report.new_architectures, [row.row for row in report.refused]) == (0, 0, [4])
    assert empty.revision() == before
    assert empty.spaces() == []


def test_a_file_without_a_sound_row_changes_nothing(empty, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text('[{"id": 1}]')
    before = empty.revision()
    report = import_file(empty, nas_bench_bert_file(path), SILENT)
    assert [(row.row, row.field) for row in report.refused] == [(1, "hparams")]
    assert empty.revision() == before


@pytest.mark.parametrize(
    ("phase", "at_end"),
    [
        ("graphs", False),
        ("store", True),
        ("similarity", True),
        ("embedding", True),
        ("neighbours", True),
        ("scores", False),
        ("scores", True),
        ("measurements", True),
    ],
)
def test_an_interrupted_import_is_finished_by_the_next(empty, write, tmp_path, phase, at_end):
    read = write([*rows_of(12), ["{", 1, 1]])
    with pytest.raises(CutError):
        import_file(empty, read, CutReporter(phase, at_end))
    report = import_file(empty, read, SILENT)
    assert (report.rows, report.architectures, report.scores, report.measurements) == (12, 12, 12, 12)
    assert [row.row for row in report.refused] == [13]
    with open_store(f"sqlite:///{tmp_path / 'whole.db'}") as whole:
        import_file(whole, read, SILENT)
        assert contents(empty, "mine") == contents(whole, "mine")
    assert is_ready(empty, "mine")
    before = empty.revision()
    again = import_file(empty, read, SILENT)
    assert (again.new_architectures, again.new_scores, again.new_measurements) == (0, 0, 0)
    assert empty.revision() == before


def test_a_second_table_joins_the_space_and_the_first_adds_nothing_afterwards(empty, write):
    first, second = rows_of(4), rows_of(9)
    import_file(empty, write(first), SILENT)
    report = import_file(empty, write(second, source="other"), SILENT)
    assert (report.new_architectures, report.new_scores) == (5, 9)
    before = empty.revision()
    import_file(empty, write(first), SILENT)
    assert empty.revision() == before


def test_scores_of_stored_architectures_by_their_id(empty, write):
    build_space(empty, tiny(), SILENT)
    ids = empty.architecture_ids("tiny")[:2]
    read = write([[ids[0], 0.5, 1], ["0" * 24, 0.5, 1], [ids[1], 0.5, 2]], "tiny", architecture={"id": "spec"})
    assert read.names_stored
    report = import_file(empty, read, SILENT)
    assert [(row.row, row.field, row.value) for row in report.refused] == [(2, "id", repr("0" * 24))]
    assert (report.new_architectures, report.new_scores) == (0, 2)
    assert empty.count("tiny") == 96


def test_a_grammars_space_takes_no_other_architectures(empty, write):
    build_space(empty, tiny(), SILENT)
    before = empty.revision()
    other = '{"l":1,"o":["sa"],"h":[128],"n":[2],"f":[[512]],"p":["sdp"]}'
    with pytest.raises(DataError, match="be new, or a space of imported architectures"):
        import_file(empty, write([[other, 0.5, 1.0]], "tiny"), SILENT)
    assert empty.revision() == before


@pytest.mark.parametrize("name", ["", "Mine", "a b", "x" * 65, "../x", "a\n"])
def test_names_of_spaces_are_checked(write, name):
    with pytest.raises(DataError, match="name of the space"):
        write(rows_of(1), name)


def test_the_same_scores_in_another_unit_are_suspicious(empty, write):
    sst = {"task": "SST-2", "metric": "accuracy", "dataset": "GLUE", "recipe": "mine", "column": "sst"}
    rows = [[to_json(spec), 0.5 + index / 100, 10.0] for index, spec in enumerate(specs(2))]
    import_file(empty, write(rows, scores=[{**sst, "scale": "percent"}]), SILENT)
    right = write(rows, scores=[{**sst, "metric": "acc"}], source="again")
    strict = import_file(empty, right, SILENT, strict=True)
    assert (strict.rows, len(strict.suspicious)) == (0, 2)
    report = import_file(empty, right, SILENT)
    assert report.new_scores == 2
    said = "row 1: SST-2 is 0.5, and 0.005 is stored from mine:1: the same score in another unit?"
    assert report.suspicious[0] == said
    assert import_file(empty, write(rows, scores=[{**sst, "metric": "F1"}], source="other"), SILENT).suspicious != ()
