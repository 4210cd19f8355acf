"""Decimal numbers in cells, under each decimal sign."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.documents.numbers import UNCLEAR, decimal_sign, looks_numeric, plain_number


@pytest.mark.parametrize(
    ("text", "plain", "point", "comma", "unclear"),
    [
        ("12", "12", "12", "12", "12"),
        (" -.5 ", "-.5", "-.5", None, None),
        ("0,858", None, None, "0.858", None),
        ("1.234,5", None, None, "1234.5", None),
        ("1,234.5", None, "1234.5", None, None),
        ("1,234", None, "1234", "1.234", None),
        ("1.234", "1.234", "1.234", "1234", None),
        ("1,234,567", None, "1234567", None, None),
        ("1\u202f234,5", None, None, "1234.5", None),
        ("1'234.5", None, "1234.5", None, None),
        ("2e-4", "2e-4", "2e-4", "2e-4", "2e-4"),
        ("0,123,456", None, None, None, None),
        ("12,34.5", None, None, None, None),
        ("1_0", None, None, None, None),
        ("٠.٥", None, None, None, None),
        ("nan", None, None, None, None),
        ("85.8 %", None, None, None, None),
        ("", None, None, None, None),
        ("9" * 41, None, None, None, None),
    ],
)
def test_numbers_under_each_sign(text, plain, point, comma, unclear):
    assert [plain_number(text, sign) for sign in (None, ".", ",", UNCLEAR)] == [plain, point, comma, unclear]
    assert looks_numeric(text) == (point is not None or comma is not None)


@given(st.decimals(-(10**9), 10**9, places=4), st.sampled_from(".,"), st.booleans())
def test_what_a_spreadsheet_writes_is_read_back(number, sign, grouped):
    text = f"{number:,f}" if grouped else f"{number:f}"
    text = text if sign == "." else text.translate(str.maketrans(".,", ",."))
    read = plain_number(text, sign)
    assert read is not None
    assert float(read) == float(number)


@pytest.mark.parametrize(
    ("cells", "usual", "sign"),
    [
        (["x", "12", ""], None, None),
        (["0.5"], None, "."),
        (["0,5"], ".", ","),
        (["0,5", "0.5"], None, UNCLEAR),
        (["0,5", "0.5"], ".", "."),
        (["1.234"], None, UNCLEAR),
        (["1.234"], ".", None),
        (["1.234", "2,5"], None, ","),
        (["1,234", "2.5"], None, "."),
        (["[128, 256]", "a.b", "0.5"], None, "."),
    ],
)
def test_the_sign_of_a_table(cells, usual, sign):
    assert decimal_sign(cells, usual) == sign
