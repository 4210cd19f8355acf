"""Drafts: what they say of an architecture, what is wrong with them, and that nothing pasted or linked breaks them."""

from __future__ import annotations

import base64
import json
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import SpecError
from explorer.space.drafts import (
    LONGEST_PASTE,
    LONGEST_TEXT,
    MIXED,
    Draft,
    LayerDraft,
    added,
    counted,
    draft_of,
    duplicated,
    moved,
    pack,
    plain_field,
    read_draft,
    read_pasted,
    removed,
    uncounted,
    unpack,
    with_layer,
)
from explorer.space.formats import to_json
from explorer.space.grammar import load_space
from explorer.space.named import named_models
from explorer.space.spec import MAX_LAYERS, ArchitectureSpec, HeadOp, LayerSpec

MIX = LayerSpec(128, (HeadOp("sa", "sdp", 42), HeadOp("sa", "sdp", 42), HeadOp("c", "5", 42)), (512, 256, 256))
KNOWN = [
    *named_models().values(),
    *load_space("nano").sample(20, np.random.default_rng(0)),
    *load_space("edgetran").sample(20, np.random.default_rng(0)),
    ArchitectureSpec((MIX, MIX)),
    ArchitectureSpec((MIX,), 768),
]


@pytest.mark.parametrize("spec", KNOWN, ids=range(len(KNOWN)))
def test_a_draft_is_its_architecture_also_from_an_address(spec):
    draft = draft_of(spec)
    assert read_draft(draft) == (spec, [])
    assert unpack(pack(draft)) == draft
    assert len(pack(draft)) <= LONGEST_TEXT
    assert read_pasted(to_json(spec)) == spec
    assert read_pasted(f'{{"id": 7, "model_dict": {to_json(spec)}}}') == spec


def test_the_longest_architecture_fits_an_address():
    rng = np.random.default_rng(3)
    kernels = [str(size) for size in range(1, 128, 2)]

    def layer() -> LayerSpec:
        heads = tuple(HeadOp("c", str(kernel), 11) for kernel in rng.choice(kernels, 128))
        return LayerSpec(1408, heads, tuple(int(width) for width in rng.integers(1, 9999, 8)))

    draft = draft_of(ArchitectureSpec(tuple(layer() for _ in range(24))))
    assert unpack(pack(draft)) == draft


def test_every_mistake_is_named_at_once():
    layers = (
        LayerDraft("sa_sdp", 100, 3, "512"),
        LayerDraft("sa_sdp", None, 2, "512"),
        LayerDraft("c_5", 120, 3, "512"),
        LayerDraft("sa_sdp", 128, None, "512"),
        LayerDraft("sa_sdp", 128, 2, "wide"),
        LayerDraft("sa_sdp", 128, 2, ""),
        LayerDraft("sa_sdp", 128, 2, "9 × 512"),
        LayerDraft("", 128, 2, "512"),
        LayerDraft(MIXED, 128, 2, "512", "2 × sa_sdp"),
        LayerDraft(MIXED, 128, 2, "512", "sa_sdp_64, c_5_32"),
        LayerDraft("l_dft", 128, 2, "512"),
    )
    spec, errors = read_draft(Draft(layers))
    assert spec is None
    assert [error.field.split(":")[0] for error in errors] == [f"layer {index}" for index in range(10)]
    words = ["divide", "hidden size", "even", "heads", "whole numbers", "1 to 8 widths", "at most 8", "sa, l, c"]
    for error, word in zip(errors, words, strict=False):
        assert word in str(error)


def test_editing():
    layers = [LayerDraft("sa_sdp", size, 2, "512") for size in (2, 4, 6)]
    draft = Draft(tuple(layers), 768)

    def sizes(draft: Draft) -> list[int | None]:
        assert draft.backbone == 768
        return [layer.hidden for layer in draft.layers]

    assert sizes(moved(draft, 0, 1)) == [4, 2, 6]
    assert sizes(moved(draft, 2, -1)) == [2, 6, 4]
    assert sizes(duplicated(draft, 1)) == [2, 4, 4, 6]
    assert sizes(removed(draft, 1)) == [2, 6]
    assert sizes(added(draft, layers[0])) == [2, 4, 6, 2]
    assert sizes(with_layer(draft, 1, layers[0])) == [2, 2, 6]


def test_editing_keeps_within_the_limits():
    layer = LayerDraft("sa_sdp", 2, 2, "512")
    one, full = Draft((layer,)), Draft((layer,) * MAX_LAYERS)
    for draft in (
        removed(one, 0),
        moved(one, 0, 1),
        moved(one, 0, -1),
        moved(one, 5, 0),
        duplicated(one, 1),
        duplicated(one, -1),
        with_layer(one, 3, layer),
    ):
        assert draft == one
    assert added(full, layer) == full
    assert duplicated(full, 3) == full


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("512, 256", ["512", "256"]),
        ("3 × 512", ["512"] * 3),
        ("2x64;1*32 → 7", ["64", "64", "32", "7"]),
        ("", []),
        (" , ", []),
    ],
)
def test_counted_words(text, words):
    assert uncounted(text, 8, "f") == words
    assert uncounted(counted(words), 8, "f") == words


@pytest.mark.parametrize("text", ["9 × 5", "0 × 5", "5 × 1, 4 × 2", "½", "-3", "5; é", "x" * 10**6])
def test_words_that_are_none(text):
    with pytest.raises(SpecError):
        uncounted(text, 8, "f")


@pytest.mark.parametrize("stack", ["5 ×", "1e9999999", "9999999", "0", "40000", "5, five"])
def test_widths_that_are_none(stack):
    spec, errors = read_draft(Draft((LayerDraft("sa_sdp", 128, 2, stack),)))
    assert spec is None
    assert len(errors) == 1


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["sa", "l", "c", "sdp", "dct", "sa_sdp_64", "c_5_64"]),
    lambda children: (
        st.lists(children, max_size=5)
        | st.dictionaries(st.sampled_from([*"lohnfpb", "model_dict", "é"]), children, max_size=7)
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None)
@given(JSON | st.fixed_dictionaries(dict.fromkeys("lohnfp", JSON) | {"l": st.integers(0, 4)}))
def test_pasted_json_is_an_architecture_or_refused(document):
    _is_read_or_refused(json.dumps(document))


@settings(max_examples=200, deadline=None)
@given(st.text() | st.binary().map(lambda raw: raw.decode("latin-1")))
def test_pasted_text_is_refused(text):
    _is_read_or_refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        '{"l":' * 5_000,
        "9" * 100_000,
        f'{{"l": {"9" * 5_000}}}',
        "x" * 1_000_000,
        " " * LONGEST_PASTE,
        '{"l":1,"l":2}',
        '"\\ud800"',
        '{"\\ud800": 1}',
        "\ufeff{}",
        "NaN",
        '{"l": 1e999, "o": [], "h": [], "f": []}',
        "null",
        "",
    ],
    ids=range(14),
)
def test_pasted_monsters_are_refused(text):
    with pytest.raises(SpecError) as refused:
        read_pasted(text)
    assert len(str(refused.value)) < 1_000
    str(refused.value).encode()  # What cannot be encoded cannot be shown.


def _is_read_or_refused(text: str) -> None:
    try:
        spec = read_pasted(text)
    except SpecError as error:
        str(error).encode()
        return
    assert read_draft(draft_of(spec)) == (spec, [])


def _packed(document: object) -> str:
    text = document if isinstance(document, str) else json.dumps(document)
    return base64.urlsafe_b64encode(zlib.compress(text.encode("utf-8", "surrogatepass"))).decode().rstrip("=")


ROW = st.tuples(
    st.sampled_from(["sa_sdp", "c_5", MIXED, "", "sa_", "_"]) | st.text(max_size=8),
    st.none() | st.integers(-1, 9000) | st.booleans(),
    st.none() | st.integers(-1, 200),
    st.sampled_from(["512", "3 × 512", "", "512, 1"]) | st.text(max_size=12),
    st.sampled_from(["", "2 × sa_sdp_64", "c_5_64, c_7_64"]) | st.text(max_size=12),
)


@settings(max_examples=300, deadline=None)
@given(
    st.fixed_dictionaries({"b": st.none() | st.integers(-1, 9000), "l": st.lists(ROW, max_size=4)}).map(_packed)
    | JSON.map(_packed)
    | st.text(max_size=60)
    | st.binary(max_size=60).map(lambda raw: base64.urlsafe_b64encode(raw).decode())
)
def test_an_address_is_a_draft_or_refused(text):
    try:
        draft = unpack(text)
    except SpecError:
        return
    assert unpack(pack(draft)) == draft
    spec, errors = read_draft(draft)
    assert (spec is None) == bool(errors)
    for error in errors:
        str(error).encode()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "é",
        "A" * (LONGEST_TEXT + 1),
        base64.urlsafe_b64encode(zlib.compress(b" " * 50_000_000)).decode()[:LONGEST_TEXT],
        base64.urlsafe_b64encode(zlib.compress(b"0" * 5_000_000)).decode(),
        base64.urlsafe_b64encode(zlib.compress(b'{"b":null,"l":[["sa_sdp",2,2,"512",""]]}')[:-6]).decode(),
        _packed("[" * 50_000),
        _packed({"b": None, "l": []}),
        _packed({"b": None, "l": [["sa_sdp", 2, 2, "512", ""]] * 65}),
        _packed({"b": 0, "l": [["sa_sdp", 2, 2, "512", ""]]}),
        _packed({"b": None, "l": [["sa_sdp", 2, 2, "\ud800", ""]]}),
        _packed({"b": None, "l": [["sa_sdp", 2, 2, "512\n", ""]]}),
        _packed({"b": None, "l": [["sa_sdp", 9999, 2, "512", ""]]}),
        _packed({"b": None, "l": [["sa_sdp", True, 2, "512", ""]]}),
        _packed({"b": None, "l": [["sa_sdp", 2, 2, "512" * 1000, ""]]}),
    ],
    ids=range(15),
)
def test_addresses_that_are_refused(text):
    with pytest.raises(SpecError):
        unpack(text)


@settings(deadline=None)
@given(st.text())
def test_what_is_typed_fits_an_address(text):
    layer = LayerDraft(MIXED, 2, 2, plain_field(text), plain_field(text * 3))
    assert unpack(pack(Draft((layer,)))) == Draft((layer,))
