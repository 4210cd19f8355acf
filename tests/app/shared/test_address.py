"""Widgets in the address: both ways, and nothing that an address holds may raise."""

from __future__ import annotations

import random

import pytest
from streamlit.testing.v1 import AppTest

NAMES = ("colour", "axis", "tasks", "log", "most", "part", "name", "id")
BAD = (
    *(
        "",
        "nan",
        "inf",
        "-inf",
        "1e400",
        "-1",
        "9" * 400,
        "9" * 5000,
        "0x10",
        "１２",
        "true",
        "\x00",
        "../../etc/passwd",
    ),
    *("<b>", "red,green", "[1]", "None", "1.5", "💥", "1e3", "' OR 1=1 --", "%00", "{}", "x" * 3000, "\n", "-0", "1_0"),
)
USUAL = ["green", "y", ["cola"], False, None, 0.5, "", None]


def script() -> None:
    import streamlit as st

    from explorer.app.shared import address

    found = [
        address.choice("Colour", ["red", "green", "blue"], "colour", "green"),
        address.segments("Axis", ["x", "y"], "axis", "y"),
        address.choices("Tasks", ["cola", "mrpc"], "tasks", ["cola"]),
        address.switch("Log", "log"),
        address.number("Most", "most", 0, 100),
        address.number("Part", "part", 0.0, 1.0, 0.5),
        address.text("Name", "name"),
        address.read("id", str.isalnum, "point"),
    ]
    st.json(found)


def visit(**stated: str | list[str]) -> AppTest:
    page = AppTest.from_function(script)
    for name, value in stated.items():
        page.query_params[name] = value
    return page.run()


def values(page: AppTest) -> list[object]:
    import json

    return json.loads(page.json[0].value)


def notes(page: AppTest) -> str:
    return "\n".join(caption.value for caption in page.caption)


def test_without_anything_in_the_address_all_is_as_usual():
    page = visit()
    assert values(page) == USUAL
    assert page.query_params == {}
    assert not notes(page)


def test_what_the_address_states_is_chosen_and_stays_in_it():
    stated = {"colour": "blue", "axis": "x", "tasks": ["mrpc", "cola"], "log": "true", "most": "7", "part": "0.25"}
    page = visit(**stated, name="hello", id="abc")
    assert values(page) == ["blue", "x", ["mrpc", "cola"], True, 7, 0.25, "hello", "abc"]
    assert page.query_params == stated | {"name": "hello", "id": "abc"}
    assert not notes(page)


def test_a_whole_number_is_one():
    assert isinstance(values(visit(most="7"))[4], int)


def test_what_a_visitor_chooses_is_taken():
    page = visit(colour="blue")
    page.selectbox(key="colour").set_value("red")
    page.number_input(key="most").set_value(9)
    page.multiselect(key="tasks").set_value([])
    page.run()
    assert values(page)[0] == "red"
    assert values(page)[4] == 9
    assert values(page)[2] == []


@pytest.mark.parametrize(
    ("name", "value", "label"),
    [
        ("colour", "pink", "colour"),
        ("axis", "z", "axis"),
        ("tasks", "nope", "tasks"),
        ("log", "maybe", "log"),
        ("most", "700", "most"),
        ("most", "inf", "most"),
        ("part", "nan", "part"),
        ("id", "../x", "point"),
    ],
)
def test_what_is_wrong_is_ignored_and_said(name, value, label):
    page = visit(**{name: value})
    assert not page.exception
    assert values(page) == USUAL
    assert f"names a {label} that does not exist" in notes(page)
    assert page.code[0].value == value


def test_a_note_is_not_repeated_after_the_next_choice():
    page = visit(colour="pink")
    assert notes(page)
    page.selectbox(key="colour").set_value("red").run()
    assert not notes(page)


def test_a_long_text_is_cut():
    assert values(visit(name="h" * 500))[6] == "h" * 200


def test_addresses_by_chance_never_raise():
    draw = random.Random(0)
    for _ in range(40):
        stated = {name: draw.choice(BAD) if draw.random() < 0.7 else draw.sample(BAD, 2) for name in NAMES}
        page = visit(**{name: value for name, value in stated.items() if draw.random() < 0.8})
        assert not page.exception, stated
        colour, axis, tasks, log, most, part, name, _ = values(page)
        assert colour in ("red", "green", "blue")
        assert axis in ("x", "y")
        assert set(tasks) <= {"cola", "mrpc"}
        assert log in (True, False)
        assert most is None or 0 <= most <= 100
        assert part is None or 0 <= part <= 1
        assert len(name) <= 200
