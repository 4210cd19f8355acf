"""The figures, drawn without Streamlit."""

from __future__ import annotations

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

from explorer.analysis.tables import architectures_frame
from explorer.app.shared.frames import layers_frame
from explorer.library.records import architecture_record
from explorer.plots import (
    MapColor,
    architecture_graph,
    best_so_far_curves,
    heterogeneity_scatter,
    operation_shares,
    space_map,
    width_shares,
)
from explorer.plots.base import MOST_SVG, range_of_equal
from explorer.plots.palette import shades
from explorer.plots.space_map import Highlight
from explorer.space.grammar import load_space
from explorer.space.named import named_model
from explorer.space.operations import operation_color
from graphstore.records import ArchitectureSummary


def points(count: int = 6) -> pd.DataFrame:
    rows = [
        ArchitectureSummary(
            f"id{n}", "{}", "", 2, 100 + n, 10, 0.1 * n, ("sa", "c"), ("sa_sdp", ("c_5", "c_9")[n % 2]), (32, 64)
        )
        for n in range(count)
    ]
    frame = architectures_frame(rows)
    frame["x"], frame["y"] = np.arange(count, dtype=float), -np.arange(count, dtype=float)
    return frame


def drawn(figure: go.Figure) -> dict[str, go.Scatter | go.Scattergl]:
    """Every drawn point's id, and its trace."""
    return {id: trace for trace in figure.data if trace.customdata is not None for id in trace.customdata}


def place(trace: go.Scatter | go.Scattergl, id: str) -> int:
    return list(trace.customdata).index(id)


def test_map_draws_every_point_once_at_its_place():
    frame = points()
    figure = space_map(frame, MapColor.numbers("parameters", frame["parameters"]), pd.Index([]))
    ids = [id for trace in figure.data if trace.customdata is not None for id in trace.customdata]
    assert sorted(ids) == sorted(frame.index)
    for id, trace in drawn(figure).items():
        row = place(trace, id)
        assert (trace.x[row], trace.y[row]) == (frame.at[id, "x"], frame.at[id, "y"])
        assert trace.marker.color[row] == frame.at[id, "parameters"]
        assert trace.type == "scatter"


def test_map_draws_scored_ones_larger_and_last_and_unknown_ones_grey_below():
    frame = points()
    scores = pd.Series({"id1": 0.5, "id4": 0.9})
    figure = space_map(frame, MapColor.numbers("mean", scores), scores.index)
    traces = drawn(figure)
    assert traces["id1"] is traces["id4"]
    assert traces["id1"] is figure.data[-1]
    assert traces["id0"] is figure.data[0]
    assert traces["id1"].marker.size > traces["id0"].marker.size
    assert (traces["id1"].marker.cmin, traces["id1"].marker.cmax) == (0.5, 0.9)
    assert "not known" in traces["id0"].hovertemplate


def test_only_many_points_are_drawn_by_webgl_and_few_scored_ones_above_them_are_hit_as_a_whole():
    few, many = points(MOST_SVG), points(MOST_SVG + 1)
    for frame, scored, kinds in (
        (few, 9, "scatter scatter"),
        (many, 9, "scattergl scatter"),
        (many, None, "scattergl"),
    ):
        scores = pd.Series(0.5, index=frame.index[:scored])
        figure = space_map(frame, MapColor.numbers("mean", scores), scores.index)
        assert [trace.type for trace in figure.data] == kinds.split()


def test_map_of_categories_uses_the_operations_colours():
    frame = points()
    color = MapColor.categories("last", frame["last"], {"c_5": operation_color("c_5"), "c_9": operation_color("c_9")})
    figure = space_map(frame, color, pd.Index([]))
    legend = {trace.name: trace.marker.color for trace in figure.data if trace.customdata is None}
    assert legend == {"c_5": operation_color("c_5"), "c_9": operation_color("c_9")}
    for id, trace in drawn(figure).items():
        position = trace.marker.color[place(trace, id)]
        share = (position - trace.marker.cmin) / (trace.marker.cmax - trace.marker.cmin)
        shade = [color for edge, color in trace.marker.colorscale if edge <= share][-1]
        assert shade == operation_color(frame.at[id, "last"])


def test_map_rings_the_selected_only_if_it_is_there():
    frame = points()
    color = MapColor.numbers("parameters", frame["parameters"])
    ringed = space_map(frame, color, pd.Index([]), highlight=Highlight(ring="id3"))
    assert (ringed.data[-1].x[0], ringed.data[-1].y[0]) == (3.0, -3.0)
    assert len(space_map(frame, color, pd.Index([]), highlight=Highlight(ring="stranger")).data) == len(ringed.data) - 1


@pytest.mark.parametrize("values", [{}, {"id0": 0.5}, dict.fromkeys(["id0", "id1"], 0.5)])
def test_map_of_few_scores(values):
    scores = pd.Series(values, dtype=float)
    figure = space_map(points(), MapColor.numbers("mean", scores), scores.index)
    assert len(drawn(figure)) == 6
    figure.to_json()


@pytest.mark.parametrize("name", ["BERT-Tiny", "ConvBERT-Mini", "FlexiBERT-Large"])
def test_graph_draws_every_node_and_edge(name):
    record = architecture_record(named_model(name))
    figure = architecture_graph(record.ops, record.feeds, record.layers)
    nodes = sum(len(trace.x) for trace in figure.data if trace.customdata is not None)
    assert nodes == len(record.ops)
    edges = figure.data[0]
    assert sum(x is None for x in edges.x) == len(record.feeds)
    assert len(figure.layout.shapes) == len(record.layers)


def test_residual_connections_pass_below_all_nodes_between():
    record = architecture_record(named_model("BERT-Mini"))
    figure = architecture_graph(record.ops, record.feeds, record.layers)
    heads = next(trace for trace in figure.data if trace.name == "attention (dot product)")
    assert min(y for y in figure.data[0].y if y is not None) < min(heads.y) - 0.5


def test_shares_are_counted_over_the_layers():
    frame = pd.DataFrame(
        [("a", 0, "sa_sdp", 32), ("a", 1, "c_5", 64), ("b", 0, "sa_sdp", 64), ("b", 1, "l_dft", 64)],
        columns=["id", "layer", "operation", "hidden"],
    )
    figure = operation_shares({"all": frame, "one": frame[frame["id"] == "a"]})
    bars = {(trace.name, trace.xaxis): list(trace.y) for trace in figure.data}
    assert bars["attention (dot product)", "x"] == [1.0, 0.0]
    assert bars["convolution (kernel 5)", "x"] == [0.0, 0.5]
    assert bars["convolution (kernel 5)", "x2"] == [0.0, 1.0]
    named = [trace.name for trace in figure.data if trace.showlegend]
    assert len(named) == len(set(named)) == 3
    widths = {trace.name: list(trace.y) for trace in width_shares({"all": frame}).data}
    assert widths == {"hidden 32": [0.5, 0.0], "hidden 64": [0.5, 1.0]}


def test_shares_of_a_whole_space_sum_to_one():
    rng = np.random.default_rng(0)
    summaries = [
        ArchitectureSummary(
            str(n), "{}", "", spec.depth, 1, 1, 0.0, ("sa",), tuple(f"{x.family}_{x.parameter}" for x in spec.layers),
            tuple(x.hidden for x in spec.layers),
        )
        for n, spec in enumerate(load_space("nano").sample(40, rng))
    ]  # fmt: skip
    frame = layers_frame(summaries)
    figure = operation_shares({"all": frame[frame["depth"] == 4]})
    assert np.allclose(np.sum([trace.y for trace in figure.data], axis=0), 1.0)


def test_scatter_separates_depths():
    frame = points()
    frame["score"], frame["depth"] = 0.5, [2, 2, 2, 4, 4, 4]
    figure = heterogeneity_scatter(frame, "mean")
    assert [(trace.name, len(trace.x)) for trace in figure.data] == [("2 layers", 3), ("4 layers", 3)]
    assert figure.data[0].marker.color != figure.data[1].marker.color
    assert figure.data[0].marker.symbol != figure.data[1].marker.symbol


def test_curves_share_a_colour_by_policy_and_differ_in_dashes():
    rows = [("a", "random", 1, 0.1), ("a", "random", 2, 0.2), ("b", "random", 1, 0.3), ("c", "boshnas", 1, 0.4)]
    curves = pd.DataFrame(rows, columns=["study", "policy", "evaluations", "best"]).assign(done=True)
    figure = best_so_far_curves(curves, "mean", "b")
    lines = {trace.name: trace.line for trace in figure.data}
    assert lines["random: a"].color == lines["random: b"].color != lines["boshnas: c"].color
    assert lines["random: a"].dash != lines["random: b"].dash
    assert lines["random: b"].width > lines["random: a"].width


def test_shades_are_distinct():
    for count in range(1, 12):
        assert len(set(shades(count))) == count


def test_equal_values_get_a_range_around_them():
    assert range_of_equal([0.375, 0.375]) == pytest.approx((0.355, 0.395))
    assert range_of_equal([0.375, 0.376]) is None
    assert range_of_equal([]) is None
    curves = pd.DataFrame({"study": "s", "policy": "random", "done": True, "evaluations": [1, 2], "best": 0.375})
    assert best_so_far_curves(curves, "mean").layout.yaxis.range == pytest.approx((0.355, 0.395))
    assert best_so_far_curves(curves.assign(best=[0.3, 0.4]), "mean").layout.yaxis.range is None


def test_map_of_equal_scores_has_a_readable_bar():
    points = pd.DataFrame(
        {"x": [0.0, 1.0], "y": 0.0, "label": "l", "operations": "o", "hiddens": "h"}, index=["a", "b"]
    )
    color = MapColor.numbers("mean", pd.Series(0.375, index=points.index))
    marker = space_map(points, color, points.index).data[0].marker
    assert (marker.cmin, marker.cmax) == pytest.approx((0.355, 0.395))
