"""FlexiBERT's ``design_space.yaml`` in both forms: recognised by content, converted, and said."""

import pytest
import yaml

from explorer.errors import SpecError
from explorer.space.grammar import DesignSpace, load_space

SECOND = {
    "hidden_size": [128, 256],
    "num_heads": [2, 4],
    "encoder_layers": [2, 4],
    "operation_types": ["sa", "l", "c"],
    "number_of_feed-forward_stacks": [1, 3],
    "feed-forward_hidden": [512, 1024],
    "operation_parameters": {"sa": ["sdp", "wma"], "l": ["dft", "dct"], "c": [5, 9]},
}
FIRST = {
    "hidden_size": [128, 256],
    "attention_heads": [2, 4],
    "encoder_layers": [2, 4],
    "feed-forward_hidden": [512, 1024, 2048],
    "similarity_metric": ["sdp", "wma"],
}


def load(tmp_path, architecture, name="design_space.yaml", **others):
    path = tmp_path / name
    path.write_text(yaml.safe_dump({"datasets": ["CoLA"], "architecture": architecture, **others}))
    return load_space(str(path))


def test_the_papers_space_has_as_many_architectures_as_the_paper_says(tmp_path):
    space = load(tmp_path, SECOND)
    assert space.count() == 9312 == load_space("tiny-mini").count()
    assert space.at_level(1, True).count() == 3_317_817_600
    assert space.source() == load_space("tiny-mini").source()


def test_what_is_said_is_a_document_of_the_same_space(tmp_path):
    for architecture in (FIRST, SECOND):
        space = load(tmp_path, architecture)
        said, _, document = space.read_as.partition(": ")
        assert "FlexiBERT's design_space.yaml" in said
        assert DesignSpace.from_document(yaml.safe_load(document)) == space


def test_the_first_form_is_attention_with_one_feed_forward_layer(tmp_path):
    space = load(tmp_path, FIRST)
    assert space.operations == (("sa", "sdp"), ("sa", "wma"))
    assert (space.ff_depths, space.layers_per_stack) == ((1,), 1)
    choices = 2 * 2 * 2 * 3
    assert space.count() == choices**2 + choices**4


def test_heads_that_divide_no_hidden_size_mean_an_operation_per_head(tmp_path):
    space = load(tmp_path, {**SECOND, "num_heads": [2, 12]})
    assert space.operations_per == "head"
    assert load(tmp_path, {**SECOND, "encoder_layers": [1, 2]}).layers_per_stack == 1


def test_it_may_lack_the_outer_key_and_have_an_odd_name(tmp_path):
    path = tmp_path / "Design Space (small).yml"
    path.write_text(yaml.safe_dump(SECOND))
    assert load_space(str(path)).name == "design-space-small"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"num_heads": ...}, "num_heads must be given"),
        ({"operation_types": "sa"}, "operation_types must be a list"),
        ({"operation_types": ["sa", "x"]}, "operation_parameters must hold a list for operation type x"),
        ({"operation_types": [["sa"]]}, "operation_parameters must hold a list"),
        ({"dropout": [0.1]}, r"architecture must have no keys but .*, but got \['dropout'\]"),
        ({"hidden_size": "128"}, "hidden must be a list.*Write \\[128\\]"),
        ({"num_heads": [0]}, "heads must be from 1"),
        ({"operation_parameters": {"sa": ["aa"], "l": ["dft"], "c": [5]}}, "parameter of sa must be sdp or wma"),
    ],
)
def test_a_broken_file_is_refused(tmp_path, change, named):
    broken = {key: value for key, value in {**SECOND, **change}.items() if value is not ...}
    with pytest.raises(SpecError, match=named):
        load(tmp_path, broken)


def test_commands_say_how_it_was_read(archex, tmp_path):
    (tmp_path / "design_space.yaml").write_text(yaml.safe_dump({"architecture": FIRST}))
    code, out, err = archex("space", "count", str(tmp_path / "design_space.yaml"))
    assert (code, "design_space: 332,352 architectures" in out) == (0, True)
    assert "is read as the first form of FlexiBERT's design_space.yaml" in err


def test_commands_say_that_an_architecture_is_in_the_first_form(archex, tmp_path):
    (tmp_path / "one.json").write_text('{"l": 2, "a": [2, 2], "h": [128, 128], "s": ["sdp", "sdp"], "f": [512, 512]}')
    code, out, err = archex("params", str(tmp_path / "one.json"))
    assert code == 0
    assert "is read as FlexiBERT's first form" in err
    assert "82d36e081e648be82ec50370" in out
    assert "82d36e081e648be82ec50370" in archex("params", "BERT-Tiny")[1]
