"""Weight transfer: what must keep a model's function keeps it, what is reported as taken was taken."""

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from explorer.errors import InputError
from explorer.models import FlexiBertForMaskedLM, config_for
from explorer.models.transfer import Method, Transfer, transfer_weights
from explorer.models.transfer.alignment import free_plan, hardened, transport_plan
from explorer.models.transfer.maps import projected, transported
from explorer.space.backbones import Backbone
from explorer.space.grammar import DesignSpace
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec
from explorer.training.recipe import TRANSFERS

POSITIONS = ("relative_key", "absolute")
layer = LayerSpec.per_layer
PER_HEAD = LayerSpec(
    12, tuple(HeadOp(*op, 3) for op in (("c", "5"), ("sa", "wma"), ("sa", "sdp"), ("l", "dct"))), (20,)
)
ALL_OPERATIONS = ArchitectureSpec(
    (
        layer(8, "sa", "sdp", 2, (16,)),
        layer(8, "sa", "wma", 4, (16, 12)),
        layer(12, "l", "dft", 2, (16,)),
        layer(12, "l", "dct", 2, (10,)),
        layer(8, "c", "5", 2, (16,)),
        PER_HEAD,
    )
)


def model(spec, seed=0, **settings):
    """A model in float64 with large random weights, biases and gains."""
    torch.manual_seed(seed)
    settings = {"vocab_size": 40, "max_position_embeddings": 12, "initializer_range": 0.15, **settings}
    made = FlexiBertForMaskedLM(config_for(spec, **settings)).double().eval()
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return made


def logits(made):
    ids = torch.arange(24).view(2, 12) % 39 + 1
    with torch.no_grad():
        return made(ids, (torch.arange(12) < torch.tensor([[12], [7]])).long()).logits[0]


def move(donor, recipient, method, **settings):
    settings = {"noise": 0.0, **settings}
    return transfer_weights(donor, recipient, Transfer(method, **settings), torch.Generator().manual_seed(1))


def close(first, second):
    return torch.allclose(logits(first), logits(second), atol=1e-10, rtol=0)


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize("method", Method)
def test_into_the_same_architecture_everything_is_copied(method, position):
    donor, recipient = (model(ALL_OPERATIONS, seed, position_embedding_type=position) for seed in (0, 1))
    assert not close(donor, recipient)
    report = move(donor, recipient, method, noise=0.5)
    assert torch.equal(logits(donor), logits(recipient))
    assert report.share == 1
    assert {tensor.how for tensor in report.tensors} == {"copied"}
    assert report.parameters == sum(parameter.numel() for parameter in recipient.parameters())


WIDER = [
    ((layer(8, "sa", "sdp", 2, (16,)), layer(8, "sa", "wma", 2, (6, 8))), (16, 16), 2),
    ((layer(8, "c", "5", 2, (16,)), layer(12, "c", "3", 2, (16,))), (16, 24), 2),
    ((layer(8, "l", "dft", 2, (16,)), layer(16, "l", "dct", 4, (16,))), (16, 32), 1),
]


@pytest.mark.parametrize("position", POSITIONS)
@pytest.mark.parametrize(("layers", "hidden", "factor"), WIDER, ids=["attention", "convolution", "transforms"])
def test_widening_by_transport_keeps_the_function_and_narrowing_finds_it_again(layers, hidden, factor, position):
    narrow = ArchitectureSpec(layers)
    # Attention and convolution get wider heads, transforms more of them: their features have an order.
    wide = ArchitectureSpec(
        tuple(
            LayerSpec.per_layer(
                size,
                one.main.family,
                one.main.parameter,
                len(one.heads) * 2 // factor,
                tuple(3 * width for width in one.feed_forward),
            )
            for one, size in zip(layers, hidden, strict=True)
        )
    )
    donor, grown = model(narrow, position_embedding_type=position), model(wide, 5, position_embedding_type=position)
    move(donor, grown, Method.TRANSPORT)
    assert close(donor, grown)
    ordered = model(wide, 5, position_embedding_type=position)
    move(donor, ordered, Method.ORDERED)
    assert not close(donor, ordered)
    if factor == 2:
        shrunk = model(narrow, 6, position_embedding_type=position)
        move(grown, shrunk, Method.TRANSPORT)
        assert close(donor, shrunk)


def permuted(donor, stream, inner):
    """The same function with permuted neurons of the residual stream and of the first feed-forward Linear."""
    made = FlexiBertForMaskedLM(donor.config).double().eval()
    made.load_state_dict(donor.state_dict())
    body = made.flexibert
    with torch.no_grad():
        embeddings, block = body.embeddings, body.layers[0]
        rows = [embeddings.norm.weight, embeddings.norm.bias, made.head.dense.weight, made.head.dense.bias]
        rows += [made.head.norm.weight, made.head.norm.bias, block.output.weight, block.output.bias]
        rows += [block.feed_forward_output.weight, block.feed_forward_output.bias]
        rows += [p for norm in (block.output_norm, block.feed_forward_norm) for p in norm.parameters()]
        columns = [embeddings.word_embeddings.weight, embeddings.token_type_embeddings.weight, made.head.dense.weight]
        columns += [getattr(block.heads["sa_sdp"], name).weight for name in ("query", "key", "value")]
        columns += [block.feed_forward[0].weight]
        for tensor in rows:
            tensor.copy_(tensor[stream].clone())
        for tensor in columns:
            tensor.copy_(tensor[:, stream].clone())
        for tensor in (block.feed_forward[0].weight, block.feed_forward[0].bias):
            tensor.copy_(tensor[inner].clone())
        block.feed_forward_output.weight.copy_(block.feed_forward_output.weight[:, inner].clone())
    return made


@pytest.mark.parametrize("hard", [False, True])
def test_transport_finds_a_function_among_permuted_neurons_where_ordered_does_not(hard):
    small = ArchitectureSpec((layer(8, "sa", "sdp", 2, (12,)),))
    large = ArchitectureSpec((layer(16, "sa", "sdp", 2, (24,)),))
    donor, grown = model(small), model(large, 1)
    move(donor, grown, Method.TRANSPORT)
    rng = torch.Generator().manual_seed(0)
    mixed = permuted(grown, torch.randperm(16, generator=rng), torch.randperm(24, generator=rng))
    assert close(donor, mixed)
    found, ordered = model(small, 2), model(small, 2)
    move(mixed, found, Method.TRANSPORT, hard=hard)
    move(mixed, ordered, Method.ORDERED)
    assert close(donor, found)
    assert not close(donor, ordered)


def test_two_trained_models_of_permuted_neurons_fuse_to_their_common_function():
    spec = ArchitectureSpec((layer(8, "sa", "sdp", 2, (12,)),))
    donor, rng = model(spec), torch.Generator().manual_seed(0)
    mixed = permuted(donor, torch.randperm(8, generator=rng), torch.randperm(12, generator=rng))
    assert close(donor, mixed)
    averaged = permuted(mixed, torch.arange(8), torch.arange(12))
    move(donor, averaged, Method.ORDERED, own_share=0.5)
    assert not close(donor, averaged)
    report = move(donor, mixed, Method.TRANSPORT, own_share=0.5)
    assert close(donor, mixed)
    assert report.share == 1


def test_a_layer_that_differs_in_some_heads_gets_the_others_and_its_feed_forward():
    def spec(*operations):
        return ArchitectureSpec((LayerSpec(8, tuple(HeadOp(*op, 4) for op in operations), (16,)),))

    donor = model(spec(("sa", "sdp"), ("sa", "sdp"), ("l", "dft")))
    recipient = model(spec(("sa", "sdp"), ("c", "5")), 1)
    fresh = {name: tensor.clone() for name, tensor in recipient.named_parameters()}
    report = move(donor, recipient, Method.ORDERED)
    old, new, prefix = dict(donor.named_parameters()), dict(recipient.named_parameters()), "flexibert.layers.0."
    assert torch.equal(new[prefix + "heads.sa_sdp.query.weight"], old[prefix + "heads.sa_sdp.query.weight"][:4])
    assert torch.equal(new[prefix + "feed_forward.0.weight"], old[prefix + "feed_forward.0.weight"])
    for name in new:
        if "c_5" in name:
            assert torch.equal(new[name], fresh[name])
    # Outputs stand in the order of the heads: the convolution's first here, the transform's first there.
    assert torch.equal(new[prefix + "output.weight"][:, 4:], old[prefix + "output.weight"][:, 4:8])
    assert torch.equal(new[prefix + "output.weight"][:, :4], fresh[prefix + "output.weight"][:, :4])
    by_name = {tensor.name: tensor for tensor in report.tensors}
    assert by_name[prefix + "output.weight"].taken == 8 * 4
    assert by_name[prefix + "heads.c_5.query.weight"].how == "fresh"
    assert "1 of 2 heads have a counterpart" in report.text()


def test_the_reported_counts_are_those_of_hand():
    donor = model(ArchitectureSpec((layer(4, "sa", "sdp", 2, (6,)), layer(4, "sa", "sdp", 2, (6,)))))
    recipient = model(ArchitectureSpec((layer(6, "sa", "sdp", 2, (5, 6)),)), 1)
    fresh = {name: tensor.clone() for name, tensor in recipient.named_parameters()}
    report = move(donor, recipient, Method.ORDERED)
    taken = {tensor.name.removeprefix("flexibert."): tensor.taken for tensor in report.tensors}
    assert taken["embeddings.word_embeddings.weight"] == 40 * 4
    assert taken["embeddings.norm.bias"] == 4
    assert taken["layers.0.distances.weight"] == 23 * 2
    assert taken["layers.0.heads.sa_sdp.key.weight"] == 4 * 4
    assert taken["layers.0.heads.sa_sdp.key.bias"] == 4
    assert taken["layers.0.output.weight"] == 4 * 4
    assert taken["layers.0.feed_forward.0.weight"] == 5 * 4
    assert taken["layers.0.feed_forward.1.weight"] == taken["layers.0.feed_forward_output.weight"] == 0
    assert taken["head.dense.weight"] == 4 * 4
    assert taken["head.decoder.bias"] == 40
    changed = {name: int((tensor != fresh[name]).sum()) for name, tensor in recipient.named_parameters()}
    # A pad token's embedding is zero in both.
    changed["flexibert.embeddings.word_embeddings.weight"] += 4
    assert changed == {tensor.name: tensor.taken for tensor in report.tensors}
    assert report.taken == sum(taken.values()) == sum(part.taken for part in report.parts)
    assert [part.part for part in report.parts] == ["embeddings", "layer 0", "head"]
    assert "the donor's layer 1 is left out" in report.text()


def spaces():
    grammar = {
        "name": "layers",
        "title": "small",
        "hidden": [8, 12],
        "heads": [2, 4],
        "layers": [1, 2, 3],
        "operations": {"sa": ["sdp", "wma"], "l": ["dft", "dct"], "c": [3, 5]},
        "feed_forward": {"depth": [1, 2], "width": [10, 16]},
        "layers_per_stack": 1,
        "heterogeneous_feed_forward": True,
    }
    heads = {**grammar, "name": "heads", "operations_per": "head", "heads": [2, 3]}
    return [DesignSpace.from_document(document) for document in (grammar, heads)]


@pytest.mark.parametrize("method", Method)
def test_every_pair_of_a_random_set_transfers(method):
    rng = np.random.default_rng(0)
    specs = [spec for space in spaces() for spec in space.sample(5, rng)]
    ties = (True, True, False)
    models = [
        model(spec, seed, position_embedding_type=POSITIONS[seed % 2], tie_word_embeddings=ties[seed % 3])
        for seed, spec in enumerate(specs)
    ]
    for (one, donor), (two, like) in itertools.permutations(enumerate(models), 2):
        recipient = FlexiBertForMaskedLM(like.config).double().eval()
        recipient.load_state_dict(like.state_dict())
        report = move(donor, recipient, method, noise=0.1)
        found = logits(recipient)
        assert torch.isfinite(found).all(), (one, two)
        # The scale is kept: logits of a transferred model are as large as those of donor and recipient, roughly.
        assert found.std() < 4 * max(logits(donor).std(), logits(like).std()), (one, two)
        assert 0 < report.share <= 1
        for tensor in report.tensors:
            assert 0 <= tensor.taken <= tensor.parameters
            if tensor.how == "fresh" and not tensor.name.endswith(("projection.weight", "projection.bias")):
                assert torch.equal(recipient.get_parameter(tensor.name), like.get_parameter(tensor.name))


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("merged", [False, True])
def test_shapes_transfer_with_their_bottlenecks(method, merged):
    backbone = Backbone(hidden=16, heads=2, feed_forward=24, layers=3)
    same = model(backbone.spec((8, 16, 4))), model(backbone.spec((8, 16, 4)), 1, merged_bottlenecks=merged)
    if not merged:
        report = move(*same, method)
        assert torch.equal(logits(same[0]), logits(same[1]))
        assert report.share == 1
    plain = ArchitectureSpec((layer(8, "sa", "sdp", 2, (24,)),) * 2)
    specs = [backbone.spec((4, 16, 8)), Backbone(12, 2, 24, 2).spec((12, 4)), plain]
    for one, other in itertools.permutations([model(specs[0], 2), *map(model, specs[1:])], 2):
        assert 0 < move(one, other, method).share <= 1
        assert torch.isfinite(logits(other)).all()
        assert 0 < move(other, same[1], method).share <= 1


def test_a_wider_shape_by_transport_keeps_the_function():
    backbone = Backbone(hidden=8, heads=2, feed_forward=16, layers=2)
    wider = Backbone(hidden=16, heads=2, feed_forward=32, layers=2)
    donor, recipient = model(backbone.spec((8, 8))), model(wider.spec((16, 16)), 1)
    move(donor, recipient, Method.TRANSPORT)
    assert close(donor, recipient)


def test_noise_sets_copies_apart_and_nothing_else():
    narrow, wide = (ArchitectureSpec((layer(8, "sa", "sdp", 2, (width,)),)) for width in (8, 16))
    donor, exact, noisy = model(narrow), model(wide, 1), model(wide, 1)
    move(donor, exact, Method.TRANSPORT)
    move(donor, noisy, Method.TRANSPORT, noise=0.1)
    inner = "flexibert.layers.0.feed_forward.0.weight"
    assert torch.equal(exact.get_parameter(inner)[:8], exact.get_parameter(inner)[8:])
    assert not torch.equal(noisy.get_parameter(inner)[:8], noisy.get_parameter(inner)[8:])
    differing = {n for n, p in noisy.named_parameters() if not torch.equal(p, exact.get_parameter(n))}
    assert differing == {inner, "flexibert.layers.0.feed_forward_output.weight"}


def test_exact_plans_are_the_assignment_of_least_cost():
    rng = torch.Generator().manual_seed(3)
    rows, support = (torch.randn(9, 5, generator=rng, dtype=torch.float64) for _ in range(2))
    plan = transport_plan(rows, support)
    cost = torch.cdist(rows, support).square()
    assert (plan * cost).sum() * 9 == pytest.approx(float(cost.numpy()[linear_sum_assignment(cost.numpy())].sum()))
    soft = transport_plan(rows, support, entropy=0.05)
    assert torch.allclose(soft.sum(0), torch.full((9,), 1 / 9, dtype=torch.float64), atol=1e-6)
    assert (soft > 1e-9).sum() > 9
    assert hardened(soft).sum() >= 9


@pytest.mark.parametrize(("old", "new"), [(6, 4), (4, 6), (4, 8), (7, 3)])
def test_plans_leave_no_neuron_without_source(old, new):
    rng = torch.Generator().manual_seed(0)
    rows, start = (torch.randn(size, 5, generator=rng, dtype=torch.float64) for size in (old, new))
    plan = free_plan(rows, start)
    assert torch.allclose(plan.sum(1), torch.full((old,), 1 / old, dtype=torch.float64))
    assert torch.allclose(plan.sum(0), torch.full((new,), 1 / new, dtype=torch.float64))
    axis = transported(plan)
    assert torch.allclose(axis.out.matrix.sum(1), torch.ones(new, dtype=torch.float64))
    assert torch.allclose(axis.into.matrix.sum(0), torch.ones(old, dtype=torch.float64))


@pytest.mark.parametrize(("new", "old"), [(48, 32), (32, 48)])
def test_random_projections_keep_the_scale(new, old):
    axis = projected(new, old, torch.Generator().manual_seed(0))
    rng = torch.Generator().manual_seed(1)
    x, weight = torch.randn(old, 4000, generator=rng).double(), torch.randn(50, old, generator=rng).double()
    moved = axis.out.apply(x, 0)
    assert moved.square().mean() == pytest.approx(float(x.square().mean()), rel=0.02)
    assert (axis.into.apply(weight, 1) @ moved).square().mean() == pytest.approx(
        float((weight @ x).square().mean()), rel=0.15
    )
    if new > old:
        assert torch.allclose(axis.out.matrix.T @ axis.into.matrix, torch.eye(old, dtype=torch.float64))
    again = projected(new, old, torch.Generator().manual_seed(0))
    assert torch.equal(axis.out.matrix, again.out.matrix)


def test_what_cannot_be_transferred_is_refused():
    spec = ArchitectureSpec((layer(8, "sa", "sdp", 2, (8,)),))
    with pytest.raises(InputError, match=r"vocabulary must equal the donor's, 40 tokens"):
        move(model(spec), model(spec, vocab_size=41), Method.ORDERED)
    with pytest.raises(InputError, match="transfer method must be one of ordered, projection, transport"):
        Transfer("best")
    with pytest.raises(InputError, match="own_share"):
        Transfer(Method.TRANSPORT, own_share=1.0)


def test_a_recipe_knows_all_methods():
    assert tuple(Method) == TRANSFERS
