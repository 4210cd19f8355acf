"""Specs refuse what breaks a rule, and both model_dict forms survive the way out and back."""

import contextlib
import copy
import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.errors import SpecError
from explorer.space.formats import from_json, from_model_dict, is_first_form, to_json, to_model_dict
from explorer.space.grammar import load_space, preset_names
from explorer.space.named import named_model, named_models
from explorer.space.spec import ArchitectureSpec, Family, HeadOp, LayerSpec

PER_LAYER = {"l": 2, "o": ["sa", "c"], "h": [128, 256], "n": [2, 4], "f": [[512, 512], [1024]], "p": ["sdp", 5]}
PER_HEAD = {
    "l": 2,
    "o": [["sa_wma_192", "c_5_192", "l_dct_192"], ["sa_sdp_64", "l_dft_64"]],
    "h": [256, 128],
    "f": [[512, 256], [1024]],
}


def test_a_convolution_layer_gives_half_of_its_heads_to_attention():
    layer = LayerSpec.per_layer(64, "c", 9, 4, (128,))
    families = sorted(head.family.value for head in layer.heads)
    assert families == ["c", "c", "sa", "sa"]
    assert (layer.family, layer.parameter, layer.head_size) == ("c", "9", 16)


def test_the_per_layer_form_comes_back_as_it_went_in():
    assert to_model_dict(from_model_dict(PER_LAYER)) == PER_LAYER


def test_the_per_head_form_comes_back_with_sorted_heads():
    written = to_model_dict(from_model_dict(PER_HEAD))
    assert written["o"] == [sorted(heads) for heads in PER_HEAD["o"]]
    assert {key: written[key] for key in "lhf"} == {key: PER_HEAD[key] for key in "lhf"}


@pytest.mark.parametrize(
    "change", [{"n": [2.0, 4]}, {"n": [True, 4]}, {"h": [128.0, 256]}, {"f": [[512, True], [1024]]}]
)
def test_a_layer_that_is_known_by_equal_numbers_is_checked_all_the_same(change):
    assert from_model_dict(PER_LAYER) == from_model_dict(json.loads(json.dumps(PER_LAYER)))
    ones = {"l": 1, "o": ["sa"], "h": [1], "n": [1], "f": [[1]], "p": ["sdp"]}
    from_model_dict(ones)
    for document in ({**PER_LAYER, **change}, {**ones, "h": [True]}, {**ones, "f": [[1.0]]}):
        with pytest.raises(SpecError, match="whole number"):
            from_model_dict(document)


def test_both_forms_describe_the_same_architecture():
    spec = from_model_dict(PER_LAYER)
    assert from_model_dict(to_model_dict(spec, per_head=True)) == spec


def test_heads_need_not_tile_the_hidden_size_and_then_there_is_only_the_per_head_form():
    document = {"l": 1, "o": [["l_dft_42"] * 12], "h": [512], "f": [[256]]}
    spec = from_model_dict(document)
    assert not spec.is_per_layer
    assert to_model_dict(spec) == document


@st.composite
def layers(draw):
    """Any layer at all, not only those of a space."""
    size = draw(st.integers(1, 300))
    kernels = st.integers(0, 63).map(lambda half: ("c", str(2 * half + 1)))
    kinds = st.sampled_from([("sa", "sdp"), ("sa", "wma"), ("l", "dft"), ("l", "dct")]) | kernels
    operations = draw(st.lists(kinds, min_size=1, max_size=12))
    if draw(st.booleans()):
        operations = operations[:1] * len(operations)
    hidden = draw(st.sampled_from([size * len(operations), draw(st.integers(1, 8192))]))
    heads = tuple(HeadOp(family, parameter, size) for family, parameter in operations)
    return LayerSpec(hidden, heads, tuple(draw(st.lists(st.integers(1, 32768), min_size=1, max_size=8))))


def check_round_trips(spec):
    assert from_json(to_json(spec)) == spec
    assert from_model_dict(json.loads(json.dumps(to_model_dict(spec, per_head=True)))) == spec
    if spec.is_per_layer:
        written = to_model_dict(spec, per_head=False)
        assert isinstance(written["o"][0], str)
        assert from_model_dict(json.loads(json.dumps(written))) == spec
    else:
        with pytest.raises(SpecError, match="per-layer form"):
            to_model_dict(spec, per_head=False)


@given(st.lists(layers(), min_size=1, max_size=6))
def test_any_architecture_survives_both_forms(drawn):
    check_round_trips(ArchitectureSpec(tuple(drawn)))


@given(st.lists(st.sampled_from(["sa", "l", "c"]), min_size=1, max_size=12), st.data())
def test_any_per_layer_document_comes_back_as_it_went_in(families, data):
    parameters = {"sa": st.sampled_from(["sdp", "wma"]), "l": st.sampled_from(["dft", "dct"])}
    counts = [2 * data.draw(st.integers(1, 8)) for _ in families]
    document = {
        "l": len(families),
        "o": families,
        "h": [count * data.draw(st.integers(1, 128)) for count in counts],
        "n": counts,
        "f": [data.draw(st.lists(st.integers(1, 32768), min_size=1, max_size=8)) for _ in families],
        "p": [data.draw(parameters.get(family, st.sampled_from([1, 5, 9, 13, 127]))) for family in families],
    }
    assert to_model_dict(from_model_dict(document)) == document


@given(st.sampled_from(preset_names()), st.integers(0, 2**32 - 1))
def test_architectures_of_every_space_survive_both_forms(name, seed):
    for spec in load_space(name).sample(3, np.random.default_rng(seed)):
        check_round_trips(spec)


def test_an_architecture_of_mixed_layers_has_no_per_layer_form():
    with pytest.raises(SpecError, match="per-layer form"):
        to_model_dict(from_model_dict(PER_HEAD), per_head=False)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"l": 3}, "model_dict.o"),
        ({"l": 0}, "model_dict.l"),
        ({"l": True}, "model_dict.l"),
        ({"h": [128, -1]}, "layer 1"),
        ({"n": [3, 4]}, "layer 0"),
        ({"p": ["sdp", 4]}, "layer 1"),
        ({"p": ["dft", 5]}, "layer 0"),
        ({"o": ["sa", "x"]}, "layer 1"),
        ({"o": ["sa", ["c_5_64"]]}, "model_dict.o"),
        ({"f": [[512], []]}, "layer 1"),
        ({"f": [512, [512]]}, r"layer 0: f must be a list of widths, but got 512. Write \[512\]"),
        ({"f": [["512"], [512]]}, "layer 0"),
        ({"extra": 1}, "model_dict"),
        ({"l": 10**30}, "model_dict.l"),
        ({"h": [float("nan"), 128]}, "layer 0"),
        ({"h": [10**30, 128]}, "layer 0"),
        ({"n": [2, 10**400]}, "layer 1"),
        ({"p": ["sdp", "1" * 5000]}, "layer 1: parameter of c must be an odd kernel size from 1 to 127"),
        ({"p": ["sdp", 10**400]}, "layer 1: parameter of c"),
    ],
)
def test_a_broken_model_dict_is_refused_and_the_place_named(change, named):
    with pytest.raises(SpecError, match=named):
        from_model_dict({**PER_LAYER, **change})


FIRST = {"l": 2, "a": [2, 4], "h": [128, 256], "s": ["sdp", "wma"], "f": [512, 1024]}


def test_flexiberts_first_form_is_read():
    now = {"l": 2, "o": ["sa", "sa"], "n": [2, 4], "h": [128, 256], "p": ["sdp", "wma"], "f": [[512], [1024]]}
    assert from_model_dict(FIRST) == from_model_dict(now)
    assert is_first_form(FIRST)
    assert not is_first_form(now)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"a": [2]}, r"model_dict\.a must be a list of l = 2 entries"),
        ({"s": "sdp"}, r"model_dict\.s must be a list of l = 2 entries"),
        ({"s": ["sdp", "aa"]}, "layer 1: parameter of sa must be sdp or wma"),
        ({"f": 512}, r"model_dict\.f must be a list of l = 2 entries"),
        ({"f": [512, "x"]}, "layer 1: f must be a list of widths"),
    ],
)
def test_a_broken_first_form_is_refused_by_its_own_keys(change, named):
    with pytest.raises(SpecError, match=named):
        from_model_dict({**FIRST, **change})


def test_hints_followed_literally_lead_from_the_first_form_to_the_present_one():
    document = {**copy.deepcopy(FIRST), "b": None}  # Not quite the first form.
    with pytest.raises(SpecError, match="Rename them: a is n here and s is p here") as caught:
        from_model_dict(document)
    for before, now in re.findall(r"(\w) is (\w) here", caught.value.remedy):
        document[now] = document.pop(before)
    with pytest.raises(SpecError, match=r"model_dict.o must be given") as caught:
        from_model_dict(document)
    document |= json.loads("{" + caught.value.remedy.removeprefix("Add it, for example ").removesuffix(".") + "}")
    for index in range(2):
        with pytest.raises(SpecError, match=f"layer {index}: f must be a list of widths") as caught:
            from_model_dict(document)
        document["f"][index] = json.loads(re.search(r"\[\d+\]", caught.value.remedy)[0])
    assert from_model_dict(document) == from_model_dict(FIRST)


@pytest.mark.parametrize(
    ("parameters", "operations"),
    [(["dct", 5], '["l", "c"]'), (["wma", "13"], '["sa", "c"]'), (["?", "sdp"], '["sa", "sa"]'), ("x", '["sa", "sa"]')],
)
def test_missing_operations_are_guessed_from_the_parameters(parameters, operations):
    document = {"l": 2, "h": [128, 256], "n": [2, 4], "f": [[512], [512]], "p": parameters}
    with pytest.raises(SpecError) as caught:
        from_model_dict(document)
    assert caught.value.remedy == f'Add it, for example "o": {operations}.'


def test_a_head_with_a_very_long_kernel_is_refused():
    with pytest.raises(SpecError, match="layer 0: parameter of c must be an odd kernel size"):
        from_model_dict({**PER_HEAD, "o": [["c_" + "1" * 5000 + "_64"], PER_HEAD["o"][1]]})


def test_json_with_a_repeated_key_is_refused():
    text = to_json(from_model_dict(PER_LAYER))
    repeated = text[:-1] + ',"h":[64,64]}'
    with pytest.raises(SpecError, match="model_dict: h must be given once"):
        from_json(repeated)


def test_an_odd_number_of_heads_fits_no_convolution_layer():
    with pytest.raises(SpecError, match="even"):
        LayerSpec.per_layer(96, "c", 5, 3, (64,))


def test_heads_of_one_layer_have_one_size():
    heads = (HeadOp(Family.LINEAR, "dft", 32), HeadOp(Family.LINEAR, "dft", 16))
    with pytest.raises(SpecError, match="equal within a layer"):
        LayerSpec(64, heads, (64,))


def test_an_odd_layer_that_mixes_attention_and_convolution_is_no_per_layer_form():
    spec = from_model_dict({"l": 1, "o": [["c_5_8", "c_5_8", "sa_sdp_8"]], "h": [24], "f": [[64]]})
    assert not spec.is_per_layer
    assert spec.layers[0].family == "c+sa"


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 400) | st.floats(allow_nan=True) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("lohnfpx"), inner, max_size=6),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from("lohnfp"), json_values))
def test_no_document_does_anything_but_parse_or_raise_a_spec_error(changes):
    with contextlib.suppress(SpecError):
        assert isinstance(from_model_dict({**PER_LAYER, **changes}), ArchitectureSpec)


def test_named_models_are_found_in_any_case_and_unknown_ones_listed():
    assert named_model("bert-mini") == named_models()["BERT-Mini"]
    assert named_model("FlexiBERT-Large").depth == 24
    with pytest.raises(SpecError, match="BERT-Tiny"):
        named_model("BERT-Huge")
