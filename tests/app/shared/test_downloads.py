"""What the download buttons give."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest
from streamlit.testing.v1 import AppTest

from explorer.app.shared import downloads
from explorer.plots.saving import PAGE, figure_bytes


def rows(frame: pd.DataFrame) -> list[list[str]]:
    return list(csv.reader(io.StringIO(downloads.csv_bytes(frame).decode())))


def test_a_table_as_csv_has_its_index_and_no_links():
    index = pd.Index(["x", "y"], name="id")
    frame = pd.DataFrame({"link": ["a", "b"], "n": [1.5, np.nan], "name": ["é,\n", None]}, index)
    assert rows(frame) == [["id", "n", "name"], ["x", "1.5", "é,\n"], ["y", "", ""]]


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_no_cell_is_a_formula(text):
    assert rows(pd.DataFrame({"a": [text, "1=1"], "n": [-1, 2]})) == [["a", "n"], [f"'{text}", "-1"], ["1=1", "2"]]
    assert rows(pd.DataFrame({f"{text} (ms)": [1]})) == [[f"'{text} (ms)"], ["1"]]


@pytest.mark.parametrize(
    ("name", "file"),
    [("nano best", "nano-best"), ("../../etc/passwd", "etc-passwd"), ("...", "download"), ("ü" * 9, "download")],
)
def test_a_file_has_a_harmless_name(name, file):
    assert downloads.file_name(name) == file
    assert len(downloads.file_name("x" * 500)) == 80


def test_a_page_of_a_figure_needs_nothing_else():
    figure = go.Figure(go.Scatter(x=[1, 2], y=[3, 4], name="unmistakable"))
    page = figure_bytes(figure, PAGE).decode()
    assert "unmistakable" in page
    assert "<script src=" not in page
    assert figure.layout.paper_bgcolor is None


def script() -> None:
    import pandas as pd
    import plotly.graph_objects as go

    from explorer.app.shared import downloads

    downloads.table(pd.DataFrame({"a": [1]}), "table", "first")
    downloads.figure(go.Figure(go.Scatter(x=[1], y=[2])), "figure", "second", alt="x")


def buttons(page: AppTest) -> dict[str, tuple[bool, str]]:
    return {one.proto.label: (one.proto.disabled, one.proto.help) for one in page.get("download_button")}


def test_the_buttons(monkeypatch):
    monkeypatch.setattr(downloads, "can_draw_pictures", lambda: True)
    page = AppTest.from_function(script).run()
    assert not page.exception
    assert {name: disabled for name, (disabled, _) in buttons(page).items()} == {
        "CSV": False,
        "HTML": False,
        "PNG": False,
    }


def test_without_a_browser_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(downloads, "can_draw_pictures", lambda: False)
    page = AppTest.from_function(script).run()
    disabled, help = buttons(page)["PNG"]
    assert disabled
    assert "Chromium" in help
    assert "HTML" in help
