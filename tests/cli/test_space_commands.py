"""`archex space` and `archex params`: constraints on what is drawn, and two models side by side."""

import json

import pytest
from typer.testing import CliRunner

from explorer.cli.main import build
from explorer.space.formats import from_model_dict
from explorer.space.grammar import load_space


def run(*arguments):
    return CliRunner().invoke(build(arguments[0]), arguments)


def document(*arguments):
    done = run(*arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def test_flexibert_mini_against_bert_mini():
    """The paper says 3 % fewer parameters (arXiv 2205.11656, abstract)."""
    found = document("params", "FlexiBERT-Mini", "--against", "BERT-Mini")
    assert (found["parameters"], found["against"]["parameters"]) == (10_906_432, 11_235_584)
    assert found["ratio"] == pytest.approx(0.9707, abs=5e-5)
    shown = run("params", "FlexiBERT-Mini", "--against", "BERT-Mini").stdout
    assert all(text in shown for text in ("10,906,432", "11,235,584", "2.93% fewer"))
    assert "as many" in run("params", "BERT-Tiny", "--against", "bert-tiny").stdout
    assert "more" in run("params", "BERT-Base", "--against", "BERT-Tiny").stdout
    assert "against" not in document("params", "BERT-Tiny")


def test_a_number_of_parameters_says_by_which_convention_it_is():
    shown = run("params", "BERT-Tiny").stdout
    assert "by the convention explorer, this package's models, with a vocabulary of 30,522, 512 relative" in shown
    shown = run("params", "bert-base", "--convention", "bert").stdout
    assert (
        "109,482,240 parameters (23,837,184 embeddings, 85,054,464 encoder, 590,592 pooler) by the convention bert"
        in shown
    )
    same = document("params", "BERT-Base", "--positions", "absolute", "--pooler")
    assert same["parameters"] == 109_482_240
    head = document("params", "BERT-Base", "--convention", "bert", "--no-pooler", "--head", "mlm", "--tied")
    assert (head["parameters"], head["convention"]["name"]) == (109_514_298, "bert")
    assert head["parts"] == {"embeddings": 23_837_184, "encoder": 85_054_464, "pooler": 0, "head": 622_650}
    for name, settings in (
        ("relative", ("--positions", "relative")),
        ("absolute", ("--positions", "absolute", "--max-positions", "64", "--token-types", "1")),
    ):
        found = document("params", "BERT-Tiny", *settings)["convention"]
        assert found["positions"] == name
    assert (found["max_positions"], found["token_types"]) == (64, 1)
    compared = document("params", "FlexiBERT-Mini", "--against", "BERT-Mini", "--convention", "flexibert")
    assert compared["ratio"] == pytest.approx(0.97, abs=0.005)
    assert compared["against"]["convention"]["name"] == "flexibert"


def test_samples_meet_what_is_asked():
    asked = ["--count", "20", "--parameters", "1M..1.05M", "--flops", "<300M", "--depth", ">2"]
    drawn = document("space", "sample", "tiny-mini", "--layers-per-stack", "1", *asked)["architectures"]
    assert len(drawn) == 20
    for row in drawn:
        assert 1_000_000 <= row["parameters"] <= 1_050_000
        assert row["flops"] < 300_000_000
        assert row["model_dict"]["l"] == 4
        assert from_model_dict(row["model_dict"]) in load_space("tiny-mini").at_level(1)


def test_per_head_spaces_are_sampled_and_counted():
    (row,) = document("space", "sample", "edgetran", "--depth", "2")["architectures"]
    assert "n" not in row["model_dict"]
    count = document("space", "count", "edgetran", "--layers-per-stack", "1", "--heterogeneous-feed-forward")["count"]
    assert f"{count:.2e}" == "1.69e+88"
