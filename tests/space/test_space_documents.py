"""A user's YAML space: whatever is wrong with it, the answer is one SpecError with all four parts."""

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from explorer.errors import SpecError
from explorer.space.grammar import DesignSpace, load_space, preset_names
from explorer.space.resources import data_folder

DOCUMENTS = [yaml.safe_load((data_folder() / "spaces" / f"{name}.yaml").read_text()) for name in preset_names()]
NUMBERS = st.one_of(st.integers(-3, 9), st.sampled_from([16, 63, 64, 65, 128, 129, 8192, 8193, 2**40, -(2**63)]))
SCALARS = st.one_of(
    NUMBERS,
    st.none(),
    st.booleans(),
    st.floats(),
    st.dates(),
    st.text(max_size=8),
    st.sampled_from(["sa", "l", "c", "sdp", "wma", "dft", "dct", "5", "05", "²", "head", "layer", "..", "a" * 65]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(SCALARS, inner, max_size=4),
    max_leaves=40,
)


def places(document, path=()):
    """Paths of everything in a document."""
    yield path
    if isinstance(document, dict):
        for key, value in document.items():
            yield from places(value, (*path, key))
    elif isinstance(document, list):
        for place, value in enumerate(document):
            yield from places(value, (*path, place))


def mutated(document, path, change, value):
    """The document with one thing replaced, removed, repeated or added beside it."""
    if not path:
        return value if change == "replace" else document
    key, *rest = path
    if rest:
        changed = mutated(document[key], rest, change, value)
        if isinstance(document, dict):
            return {**document, key: changed}
        return [*document[:key], changed, *document[key + 1 :]]
    if isinstance(document, dict):
        if change == "remove":
            return {k: v for k, v in document.items() if k != key}
        return {**document, (str(key) + "x" if change == "add" else key): value}
    if change == "remove":
        return [*document[:key], *document[key + 1 :]]
    return [*document[:key], *([document[key]] if change == "add" else []), value, *document[key + 1 :]]


def attempt(read):
    """The space, or the one error that a user may see."""
    try:
        return read(), None
    except SpecError as refusal:
        return None, refusal


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_broken_document_gives_a_space_or_a_spec_error(data):
    document = data.draw(st.sampled_from(DOCUMENTS))
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(places(document)) if isinstance(document, dict) else [()]))
        change = data.draw(st.sampled_from(["replace", "remove", "add"]))
        document = mutated(document, path, change, data.draw(VALUES))
    space, refusal = attempt(lambda: DesignSpace.from_document(document, "mine.yaml"))
    if refusal is not None:
        assert refusal.field
        assert refusal.rule
        assert refusal.remedy
        assert len(str(refusal)) < 1_500
        return
    # What is accepted works: its first and last architecture can be made, and found again.
    for index in (0, space.count() - 1):
        assert space.index_of(space.at(index)) == index


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_broken_text_gives_a_space_or_a_spec_error(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("spaces", numbered=True) / "mine.yaml"
    text = (data_folder() / "spaces" / f"{data.draw(st.sampled_from(preset_names()))}.yaml").read_bytes()
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = min(len(text), start + data.draw(st.integers(0, 12)))
        text = text[:start] + data.draw(st.binary(max_size=6)) + text[end:]
    path.write_bytes(text)
    space, refusal = attempt(lambda: load_space(str(path)))
    assert (space is None) == (refusal is not None and bool(refusal.remedy))
