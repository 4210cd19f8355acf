"""Parameters of saved queries: read by their type, and what is wrong with them said by name."""

from __future__ import annotations

import pytest

from graphstore.errors import StoreInputError
from graphstore.neo4j.saved_queries import Parameter, ParameterType, saved_query


@pytest.mark.parametrize(
    ("type", "value", "expected"),
    [
        (ParameterType.INTEGER, "3", 3),
        (ParameterType.INTEGER, " 3 ", 3),
        (ParameterType.INTEGER, 3.0, 3),
        (ParameterType.INTEGER, 3.5, None),
        (ParameterType.INTEGER, "3.5", None),
        (ParameterType.INTEGER, "three", None),
        (ParameterType.INTEGER, 2**63, None),
        (ParameterType.INTEGER, float("inf"), None),
        (ParameterType.INTEGER, [1], None),
        (ParameterType.NUMBER, "1.5", 1.5),
        (ParameterType.NUMBER, "nan", None),
        (ParameterType.NUMBER, {}, None),
        (ParameterType.TEXT, "12", "12"),
        (ParameterType.TEXT, 12, "12"),
    ],
)
def test_parameters_are_read_by_their_type(type, value, expected):
    parameter = Parameter("k", type, 1, "how many")
    if expected is None:
        with pytest.raises(StoreInputError, match="parameter k must be"):
            parameter.read(value)
    else:
        assert parameter.read(value) == expected


def test_wrong_parameters_are_named():
    with pytest.raises(StoreInputError, match=r"counts.*no parameters.*'k'"):
        saved_query("counts").values({"k": 1})
    with pytest.raises(StoreInputError, match="parameter id of lineage must be given"):
        saved_query("lineage").values({})
    with pytest.raises(StoreInputError, match="parameter id of lineage must be given"):
        saved_query("lineage").values({"id": ""})
    with pytest.raises(StoreInputError, match=r"one of counts, .*'nope'"):
        saved_query("nope")
