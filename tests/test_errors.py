"""Errors keep their parts on every way, and pydantic's become ours."""

import pickle

import pytest
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from explorer.errors import Code, DataError, InputError, SpecError, validation_error
from explorer.space.grammar import load_space
from explorer.space.named import named_model


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid")
    sizes: list[int] = Field(min_length=2)
    width: int | list[str] = 1

    @model_validator(mode="after")
    def _different(self):
        if len(set(self.sizes)) < len(self.sizes):
            raise ValueError("sizes must differ from each other")
        return self


class _Document(BaseModel):
    part: _Part


def translated(document):
    with pytest.raises(ValidationError) as caught:
        _Document.model_validate(document)
    return validation_error(caught.value, DataError, "file.yaml", "Correct it", members=("int", "list[str]"))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({}, "file.yaml: part must be given, but got None. Correct it."),
        ({"part": {"sizes": [1]}}, r"part.sizes must have at least 2 items after validation, not 1, but got \[1\]"),
        ({"part": {"sizes": [1, 1]}}, "file.yaml: part.sizes must differ from each other, but got"),
        ({"part": {"sizes": [1, 2], "more": 3}}, "part.more must not be given, because nothing reads it, but got 3"),
        ({"part": {"sizes": [1, 2], "width": [3]}}, r"part.width.0 must be a valid string, .*\(2 problems\)\.$"),
        ({"part": 3}, "part must be a list of keys and values, but got 3"),
    ],
)
def test_an_error_of_pydantic_has_field_rule_value_and_remedy(document, message):
    error = translated(document)
    assert type(error) is DataError
    with pytest.raises(DataError, match=message):
        raise error


def test_a_place_is_put_before_the_field_and_all_else_stays():
    error = SpecError("hidden", "be even", 3, "Add 1.", Code.TOO_FEW_SCORES).at("layer 2").at("a.json")
    assert type(error) is SpecError
    assert str(error) == "a.json: layer 2: hidden must be even, but got 3. Add 1."
    assert error.code is Code.TOO_FEW_SCORES
    other = DataError.of(error, "row 1")
    assert (type(other), other.field, other.code) == (DataError, "row 1: a.json: layer 2: hidden", error.code)


def test_errors_survive_a_process_border():
    with pytest.raises(SpecError) as caught:
        load_space("nano").picks(named_model("BERT-Base"))
    for error in (InputError("a", "b", 1, "C.", Code.TOO_FEW_SCORES), caught.value):
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))
