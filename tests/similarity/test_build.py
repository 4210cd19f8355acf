"""The graph of an architecture, and a hash that knows isomorphic graphs."""

import networkx as nx
import numpy as np
import pytest

from explorer.plots.drawing import node_positions
from explorer.similarity.graph import ArchitectureGraph, architecture_id, build_graph, graph_hash
from explorer.space.formats import from_model_dict
from explorer.space.grammar import load_space
from explorer.space.named import named_model

MIXED = {"l": 1, "o": [["c_5_32", "sa_sdp_32", "l_dct_32"]], "h": [64], "f": [[128]]}


def test_a_layer_as_drawn_by_hand():
    graph = build_graph(from_model_dict({"l": 1, "o": ["l"], "h": [32], "n": [2], "f": [[64, 64]], "p": ["dft"]}))
    assert graph.labels == (
        "input", "l_h32_dft", "l_h32_dft", "add_norm_h32", "ff_64", "ff_64", "add_norm_h32", "output",
    )  # fmt: skip
    expected = {(0, 1), (0, 2), (0, 3), (1, 3), (2, 3), (3, 4), (4, 5), (5, 6), (3, 6), (6, 7)}
    assert set(graph.edges) == expected


@pytest.mark.parametrize("spec", [named_model("FlexiBERT-Large"), from_model_dict(MIXED), load_space("nano").at(5000)])
def test_every_node_lies_on_a_path_from_input_to_output(spec):
    graph = build_graph(spec).to_networkx()
    assert nx.is_directed_acyclic_graph(graph)
    last = len(graph) - 1
    assert nx.descendants(graph, 0) | {0} == set(graph)
    assert nx.ancestors(graph, last) | {last} == set(graph)
    assert all(a < b for a, b in graph.edges)


def test_the_sizes_of_the_librarys_graphs():
    sizes = {len(build_graph(spec)) for spec in load_space("nano")}
    assert (min(sizes), max(sizes)) == (12, 38)


def test_head_sizes_that_do_not_tile_the_layer_are_part_of_the_label():
    labels = build_graph(from_model_dict(MIXED)).labels
    assert "c_h64_5_d32" in labels


def test_ids_are_unique_in_the_library():
    assert len({architecture_id(spec) for spec in load_space("nano")}) == 9_312


def permuted(graph, rng):
    """The same graph with its nodes renumbered in another topological order."""
    place = {}
    waiting = dict(graph.to_networkx().in_degree())
    ready = [node for node, degree in waiting.items() if degree == 0]
    while ready:
        node = ready.pop(int(rng.integers(len(ready))))
        place[node] = len(place)
        for a, b in graph.edges:
            if a == node:
                waiting[b] -= 1
                if waiting[b] == 0:
                    ready.append(b)
    back = sorted(place, key=place.get)
    pick = lambda values: tuple(values[node] for node in back)  # noqa: E731
    edges = tuple((place[a], place[b]) for a, b in graph.edges)
    return ArchitectureGraph(pick(graph.kinds), pick(graph.labels), pick(graph.layers), edges)


@pytest.mark.parametrize("seed", range(10))
def test_the_hash_does_not_see_the_numbering(seed):
    rng = np.random.default_rng(seed)
    graph = build_graph(load_space("small").sample(1, rng)[0])
    other = permuted(graph, rng)
    assert graph_hash(other) == graph_hash(graph)


def test_the_hash_sees_every_label_and_edge():
    graph = build_graph(named_model("BERT-Tiny"))
    relabelled = ArchitectureGraph(graph.kinds, (*graph.labels[:-2], "x", "output"), graph.layers, graph.edges)
    cut = ArchitectureGraph(graph.kinds, graph.labels, graph.layers, graph.edges[1:])
    assert len({graph_hash(graph), graph_hash(relabelled), graph_hash(cut)}) == 3


def test_the_order_of_heads_carries_no_meaning():
    swapped = {**MIXED, "o": [list(reversed(MIXED["o"][0]))]}
    assert architecture_id(from_model_dict(swapped)) == architecture_id(from_model_dict(MIXED))


def test_no_two_nodes_are_drawn_in_one_place():
    graph = build_graph(named_model("FlexiBERT-Mini"))
    positions = node_positions(graph.kinds, graph.layers)
    assert len(set(positions)) == len(graph)
    assert all(positions[a][0] < positions[b][0] for a, b in graph.edges)
