"""Tables of shapes: what is read, and what is refused, naming the row."""

import numpy as np
import pytest

from explorer.errors import DataError, InputError, SpecError
from explorer.space.imports.supershaper import find_shapes
from explorer.supershaper.shapes.asking import ShapeLimits, ShapeObjective, ShapePredictors
from explorer.supershaper.shapes.tables import read_shapes
from tests.supershaper.shapes.conftest import law

HEADER = "h1,h2,h3,h4,mlm_loss,perplexity,mlm_accuracy,ryzen_s,my_box_s\n"


def written(tmp_path, text, name="shapes.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_what_is_read(small, tmp_path):
    path = written(tmp_path, HEADER + "12,24,36,60,2.0,7.5,50,0.5,\n60,60,12,12,,,,,0.25\n")
    table = read_shapes(path, small)
    assert table.shapes.tolist() == [[12, 24, 36, 60], [60, 60, 12, 12]]
    assert table.perplexity[0] == 7.5
    assert np.isnan(table.perplexity[1])
    assert list(table.latency) == ["Ryzen", "my box"]
    assert table.scored[0].tolist() == [[12, 24, 36, 60]]
    assert table.timed("my box")[1].tolist() == [0.25]
    with pytest.raises(DataError, match="Ryzen, my box"):
        table.timed("other")


def test_a_loss_is_a_perplexity(small, tmp_path):
    table = read_shapes(written(tmp_path, "h1,h2,h3,h4,mlm_loss\n12,12,12,12,2.0\n"), small)
    assert table.perplexity == pytest.approx([np.exp(2.0)])
    assert not table.latency


def test_json_lines(small, tmp_path):
    text = '{"h1": 12, "h2": 12, "h3": 24, "h4": 60, "perplexity": 9.5}\n'
    assert read_shapes(written(tmp_path, text, "shapes.jsonl"), small).perplexity.tolist() == [9.5]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("h1,h2,h3,perplexity\n12,12,12,3\n", "h1 to h4"),
        ("h1,h2,h3,h4,h5,perplexity\n12,12,12,12,12,3\n", "h1 to h4"),
        ("h1,h2,h3,h4,note\n12,12,12,12,3\n", "a perplexity, an mlm_loss"),
        ("h1,h2,h3,h4,perplexity\n12,12,12,13,3\n", "row 1: shape, layer 3"),
        ("h1,h2,h3,h4,perplexity\n12,12,12,12.5,3\n", "row 1: width"),
        ("h1,h2,h3,h4,perplexity\n12,12,12,120,3\n", "row 1: shape, layer 3"),
        ("h1,h2,h3,h4,perplexity\n", "at least one row"),
        ("h1,h2,h3,h4,perplexity\n12,12,12,12,wide\n", "row 1: perplexity"),
        ("h1,h2,h3,h4,perplexity\n12,12,12,12,0\n", "row 1: perplexity"),
        ("h1,h2,h3,h4,perplexity\n12,12,12,12,-3\n", "row 1: perplexity"),
        ("h1,h2,h3,h4,perplexity\n12,12,12,,3\n", "row 1: h4"),
        ("h1,h2,h3,h4,perplexity\n12,12,12,12,3\n12,12,12\n", "row 2"),
    ],
)
def test_what_is_refused(small, tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_shapes(written(tmp_path, text), small)


def test_widths_of_another_grid(small, tmp_path):
    with pytest.raises(SpecError, match="12, 24, 36, 60"):
        read_shapes(written(tmp_path, "h1,h2,h3,h4,perplexity\n12,12,12,48,3\n"), small)


@pytest.fixture
def learned(small, every, tmp_path):
    seconds = 1e-8 * small.parameters(every)
    rows = [
        ",".join(map(str, (*shape, value, second)))
        for shape, value, second in zip(every, law(every), seconds, strict=True)
    ]
    path = written(tmp_path, "h1,h2,h3,h4,perplexity,box_s\n" + "\n".join(rows[::3]) + "\n")
    return ShapePredictors.learn(read_shapes(path, small), small)


def test_reports(learned, every):
    report = learned.reports(every[17:18])[0]
    assert report.widths == tuple(every[17])
    assert report.parameters < report.parameters_unmerged
    assert report.perplexity.low < report.perplexity.value < report.perplexity.high
    assert report.perplexity.value == pytest.approx(law(every[17:18])[0], rel=0.02)
    assert list(report.latency_s) == ["box"]


def test_search_within_limits_of_all_kinds(learned, small, every):
    fast = float(np.median(1e-8 * small.parameters(every)))
    found = learned.search(ShapeLimits(perplexity=7.0, latency_s={"box": fast}), ShapeObjective.PARAMETERS)
    assert learned.perplexity.expected(found.shapes).max() <= 7.0
    assert learned.latency["box"].expected(found.shapes).max() <= fast
    told = learned.perplexity.expected(every)
    fitting = (told <= 7.0) & (learned.latency["box"].expected(every) <= fast)
    assert found.values[0] == small.parameters(every[fitting]).min()
    quick = learned.search(ShapeLimits(perplexity=7.0), ShapeObjective.LATENCY, "box")
    assert quick.values[0] == pytest.approx(learned.latency["box"].expected(every[told <= 7.0]).min())


def test_what_cannot_be_asked(learned):
    with pytest.raises(InputError, match="at least one"):
        learned.search(ShapeLimits())
    with pytest.raises(InputError, match="box"):
        learned.search(ShapeLimits(parameters=1e5), ShapeObjective.LATENCY)
    with pytest.raises(InputError, match="gp, trees"):
        ShapePredictors.learn(None, learned.grid, "magic")


def test_a_perplexity_that_is_not_that_of_its_loss_is_suspicious(small, tmp_path):
    header = "h1,h2,h3,h4,mlm_loss,perplexity\n"
    path = written(tmp_path, header + "12,12,12,12,2.0,7.4\n12,12,12,24,2.0,14.8\n12,12,24,24,2.0,\n")
    found = find_shapes(path, small.backbone)
    assert found.suspicious == ("row 2: perplexity is 14.8, but the exponential of its loss is 7.3891",)
