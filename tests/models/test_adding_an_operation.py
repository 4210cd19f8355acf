"""The steps of ``docs/extending.md`` for an operation, followed with average pooling over the sequence."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
import pytest
import torch
from torch import nn
from transformers import initialization as init

from explorer.analysis.questions import parse_layer_rule
from explorer.errors import SpecError
from explorer.measure.amounts import amount_names, amounts
from explorer.measure.counting import count_flops
from explorer.measure.predictor import DevicePredictor
from explorer.measure.settings import Load
from explorer.measure.size import flops, parameters
from explorer.models import FlexiBertForMaskedLM, FlexiBertModel, config_for
from explorer.models.flexibert import modeling_flexibert as modeling
from explorer.models.flexibert.modeling_flexibert import Axis, Heads, linear_axes
from explorer.models.transfer import Method, Transfer, transfer_weights
from explorer.similarity.graph import build_graph
from explorer.space import operations
from explorer.space.formats import from_model_dict, to_model_dict
from explorer.space.grammar import DesignSpace
from explorer.space.operations import GREY, Family, Operation
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec


class AverageHeads(Heads):
    """Average pooling, ``avg``: every token gets the mean value of the sequence, times a gain for each head."""

    uses_positions = False
    axes = MappingProxyType({**linear_axes(("value", Axis.VALUES)), "gain": (Axis.HEADS,)})

    def __init__(self, group):
        super().__init__(group, ("value",))
        self.value = nn.Linear(group.hidden, group.width)
        self.gain = nn.Parameter(torch.zeros(group.heads))

    def init_weights(self, std):
        init.constant_(self.gain, 1.5)

    def forward(self, x, parts, scores, padding):
        count = x.shape[1] if padding.lengths is None else padding.lengths[:, None, None]
        mean = padding.clear(parts["value"]).sum(1, keepdim=True) / count  # [B, 1, H d]
        scaled = mean.unflatten(-1, (self.group.heads, -1)) * self.gain[:, None]  # [B, 1, H, d]
        return scaled.flatten(2).expand(-1, x.shape[1], -1)  # [B, S, H d]


AVERAGE = Operation(
    family=Family.LINEAR,
    parameter="avg",
    title="linear (average)",
    short="average",
    colors={"avg": "#117733"},
    uses_positions=False,
    parameters=lambda group: group.linear + group.heads,
    flops=lambda group, length: group.linear_flops(length),
)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(operations.OPERATIONS, AVERAGE.key, AVERAGE)
    monkeypatch.setitem(modeling.OPERATIONS, AVERAGE.key, AverageHeads)


def layer(hidden=8, heads=2, stack=(12,)):
    return LayerSpec.per_layer(hidden, "l", "avg", heads, stack)


def spec(hidden=8, heads=2):
    mixed = LayerSpec(12, tuple(HeadOp(*op, 4) for op in (("sa", "sdp"), ("l", "avg"), ("l", "avg"))), (8,))
    return ArchitectureSpec((layer(hidden, heads), mixed))


def model(architecture, seed=0, positions=None):
    torch.manual_seed(seed)
    settings = {"vocab_size": 30, "max_position_embeddings": 12, "initializer_range": 0.2}
    return FlexiBertForMaskedLM(config_for(architecture, position_embedding_type=positions, **settings)).eval()


def test_it_is_an_operation_of_the_space():
    assert from_model_dict(to_model_dict(spec())) == spec()
    labels = [label for label in build_graph(spec()).labels if "avg" in label]
    assert len(labels) == 4
    grammar = DesignSpace.from_document(
        {
            "name": "averages",
            "hidden": [8],
            "heads": [2],
            "layers": [2],
            "operations": {"sa": ["sdp"], "l": ["avg"]},
            "feed_forward": {"depth": [1], "width": [12]},
            "layers_per_stack": 1,
        }
    )
    assert grammar.count() == 4
    assert ArchitectureSpec((layer(), layer())) in grammar
    with pytest.raises(SpecError, match="parameter of l must be dft or dct or avg, but got 'mean'"):
        HeadOp("l", "mean", 4)


def test_people_see_it():
    assert operations.operation_title("l_avg") == "linear (average)"
    assert operations.operation_color("l_avg") not in {
        GREY,
        *(operations.operation_color(one) for one in ("l_dft", "c_5")),
    }
    assert "l_avg" in operations.usual_operations()
    assert operations.parameter_titles()["avg"] == "average (avg)"
    assert "cosine (dct) or average (avg)" in operations.notation_help()
    assert parse_layer_rule("first parameter=avg").parameter == "avg"


@pytest.mark.parametrize("positions", ["relative_key", "absolute"])
def test_its_formulas_are_those_of_the_built_model(positions):
    with torch.device("meta"):
        config = config_for(spec(), vocab_size=30, max_position_embeddings=12, position_embedding_type=positions)
        built = FlexiBertModel(config, add_pooling_layer=False)
    assert parameters(spec(), 30, 12, positions=positions) == sum(value.numel() for value in built.parameters())
    assert (built.layers[0].distances, built.layers[1].distances is None) == (None, positions == "absolute")


def test_its_flops_are_those_that_torch_counts():
    assert count_flops(spec(), Load(length=32, vocabulary=30), "absolute").forward == flops(spec(), 32, "absolute")


def test_padding_has_no_influence():
    made = model(spec())
    assert torch.equal(made.flexibert.layers[0].heads["l_avg"].gain, torch.full((2,), 1.5))
    ids = torch.arange(1, 15).view(2, 7)
    mask = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    with torch.no_grad():
        together, alone = made(ids, mask).logits, made(ids[1:, :4]).logits
    torch.testing.assert_close(together[1, :4], alone[0], rtol=0, atol=1e-5)
    assert (together[0, 0] - alone[0, 0]).abs().max() > 1e-3


@pytest.mark.parametrize("method", Method)
def test_its_weights_are_transferred(method):
    donor, equal, other = model(spec()), model(spec(), 1), model(spec(16, 4), 2)
    with torch.no_grad():
        donor.flexibert.layers[0].heads["l_avg"].gain.copy_(torch.tensor([2.0, 3.0]))
    generator = torch.Generator().manual_seed(0)
    assert transfer_weights(donor, equal, Transfer(method), generator).share == 1
    for name, value in equal.named_parameters():
        assert torch.equal(value, donor.get_parameter(name)), name
    transfer_weights(donor, other, Transfer(method, noise=0.0), generator)
    heads, given = other.flexibert.layers[0].heads["l_avg"], donor.flexibert.layers[0].heads["l_avg"]
    expected = [2.0, 3.0, 1.5, 1.5] if method is Method.ORDERED else [2.0, 3.0, 2.0, 3.0]
    assert heads.gain.tolist() == expected
    if method is Method.ORDERED:
        assert torch.equal(heads.value.weight[:8, :8], given.value.weight)


def test_a_device_predictor_prices_it():
    rng = np.random.default_rng(0)
    widths = rng.integers(1, 40, 24)
    specs = [ArchitectureSpec((layer(8 * (1 + n % 3), 2, (int(width),)),)) for n, width in enumerate(widths)]
    rows = amounts(specs)
    assert rows.shape[1] == len(amount_names())
    weights = rows[:, amount_names().index("l_avg_weights")]
    assert weights.tolist() == [one.layers[0].hidden ** 2 for one in specs]
    seconds = 1e-3 + 1e-5 * weights
    (found,) = DevicePredictor.fit(specs[:20], seconds[:20]).predict(specs[20:21])
    assert found.value == pytest.approx(seconds[20], rel=0.2)


def test_both_tables_agree():
    assert list(modeling.OPERATIONS) == list(operations.OPERATIONS)
    for key, operation in operations.OPERATIONS.items():
        assert modeling.OPERATIONS[key].uses_positions is operation.uses_positions, key
