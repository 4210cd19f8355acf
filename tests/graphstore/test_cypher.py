"""Cypher statements as a person types them, without a server."""

from __future__ import annotations

import pytest

from graphstore.cypher import parameter_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("RETURN $one + $two + $one", {"one", "two"}),
        ("RETURN $1, $_a, $größe", {"1", "_a", "größe"}),
        ("RETURN $ f, $\n\tg", {"f", "g"}),
        ("RETURN $`b c`, $ `d`", {"b c", "d"}),
        ("RETURN $`a``b`", {"a`b"}),
        ("RETURN {a:$a,b:[$b]}.a+$c", {"a", "b", "c"}),
        ("RETURN '$no', \"$no\"", set()),
        (r"RETURN 'it\'s $no', '\\', $yes", {"yes"}),
        (r'RETURN "say \"$no\"", "\\", $yes', {"yes"}),
        ("RETURN 'one\n$no' + $yes", {"yes"}),
        ("RETURN `$no`, `a``$no`.x, $yes", {"yes"}),
        ("RETURN 1 // $no ' \"\n + $yes // $no", {"yes"}),
        ("RETURN 1 /* $no\n' ` */ + $yes /**/ + $too", {"yes", "too"}),
        ("RETURN '//', $yes", {"yes"}),
        ("RETURN 4 / $yes", {"yes"}),
        ("RETURN $", set()),
        ("RETURN $``", set()),
        ("RETURN $'no'", set()),
        ("", set()),
    ],
)
def test_names_of_parameters(text, names):
    assert parameter_names(text) == names
