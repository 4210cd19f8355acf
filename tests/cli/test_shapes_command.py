"""``archex shapes``: documents, limits that hold, messages."""

import functools
import json

import numpy as np
import pytest

from explorer.supershaper.shapes.grid import ShapeGrid


@pytest.fixture
def shapes(archex):
    """Runs ``archex shapes …``."""
    return functools.partial(archex, "shapes")


@pytest.fixture
def table(tmp_path):
    """Sixty random shapes with a made perplexity and two machines."""
    grid = ShapeGrid()
    drawn = grid.random(60, np.random.default_rng(0))
    sizes = grid.parameters(drawn)
    perplexity = np.exp(2.0 - 0.2 * (sizes / 7e7 - 1.0) - 0.05 * drawn[:, 11] / 768)
    cells = zip(*drawn.T, perplexity, sizes / 1e9, sizes / 2e9, strict=True)
    path = tmp_path / "shapes.csv"
    header = ",".join(f"h{layer}" for layer in range(1, 13)) + ",perplexity,fast_s,slow_box_s\n"
    path.write_text(header + "\n".join(",".join(map(str, row)) for row in cells) + "\n")
    return path


def test_search(shapes, table):
    arguments = ("search", "--data", table, "--max-parameters", "63e6", "--generations", 20, "--json")
    code, out, _ = shapes(*arguments, "--max-latency-ms", 25, "--device", "slow")
    assert code == 0
    found = json.loads(out)
    assert found["space"] == 13_841_287_201
    assert found["evaluated"] < 5000
    values = [one["perplexity"]["value"] for one in found["shapes"]]
    assert values == sorted(values)
    for one in found["shapes"]:
        assert one["parameters"] == ShapeGrid().parameters(np.array([one["shape"]]))[0] <= 63e6
        assert one["latency_ms"]["slow box"]["value"] <= 25
        assert one["perplexity"]["low"] < one["perplexity"]["value"] < one["perplexity"]["high"]
    assert shapes(*arguments, "--max-latency-ms", 25, "--device", "slow")[1] == out


def test_the_smallest_for_a_perplexity(shapes, table):
    arguments = ("--data", table, "--generations", 20, "--count", 1)
    code, out, _ = shapes(
        "search", *arguments, "--max-perplexity", 7, "--minimise", "parameters", "--unmerged", "--json"
    )
    assert code == 0
    assert json.loads(out)["shapes"][0]["perplexity"]["value"] <= 7
    code, out, _ = shapes("search", *arguments, "--max-parameters", "63e6")
    assert code == 0
    assert "of 13,841,287,201 shapes" in out


def test_heuristic(shapes, table):
    code, out, _ = shapes("heuristic", "--parameters", "63e6", "--json")
    assert code == 0
    made = json.loads(out)
    assert abs(made["parameters"] / 63e6 - 1) <= 0.01
    assert made["perplexity"] is None
    code, out, _ = shapes("heuristic", "--parameters", "63e6", "--family", "bottle", "--data", table, "--json")
    assert json.loads(out)["perplexity"]["value"] > 0
    code, out, _ = shapes("heuristic", "--parameters", "63e6")
    assert (code, "parameters" in out) == (0, True)


def test_predict_and_devices(shapes, table):
    shape = ",".join(["360"] * 12)
    code, out, _ = shapes("predict", shape, "--data", table, "--json")
    assert code == 0
    assert json.loads(out)["latency_ms"]["fast"]["value"] == pytest.approx(57.49, rel=0.01)
    code, out, _ = shapes("devices", table, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["devices"] == ["fast", "slow box"]
    assert found["shares"]["fast"]["parameters"] > 0.99
    assert found["rank_correlation"][0][1] == pytest.approx(1.0)
    code, out, _ = shapes("devices", table)
    assert (code, "slow box" in out) == (0, True)


@pytest.mark.parametrize(("more", "wanted"), [([], 67_773_696), (["--merged"], 62_821_728)])
def test_the_papers_model_is_counted_as_it_says(archex, more, wanted):
    shape = "480,240,360,240,540,480,360,360,360,360,540,480"
    code, out, _ = archex("params", shape, "--vocab", 28_996, *more, "--json")
    assert (code, json.loads(out)["parameters"]) == (0, wanted)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["heuristic", "--parameters", "1e6"], "parameters must be from 32,598,528 to 115,397,376"),
        (["heuristic", "--parameters", "63e6", "--vocab", "0"], "--vocab"),
        (["search", "--data", "TABLE", "--max-latency-ms", "3"], "--device"),
        (["search", "--data", "TABLE", "--max-latency-ms", "3", "--device", "s"], "--device must name one of"),
        (["search", "--data", "TABLE"], "limits must be at least one"),
        (["search", "--data", "TABLE", "--max-parameters", "-1"], "limit of parameters"),
        (["search", "--data", "missing.csv", "--max-parameters", "63e6"], "missing.csv"),
        (["predict", "12,abc", "--data", "TABLE"], "widths separated by commas"),
        (["predict", "12,24", "--data", "TABLE"], "12 widths"),
        (["predict", "360", "--data", "TABLE", "--predictor", "gp"], "widths separated"),
    ],
)
def test_what_is_refused(shapes, table, arguments, words):
    code, out, err = shapes(*[str(table) if word == "TABLE" else word for word in arguments])
    assert (code, out) == (2, "")
    assert words in " ".join(err.split())
