"""Every operation against explicit loops in float64 that follow its definition, with and without padding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from explorer.models import FlexiBertConfig
from explorer.models.flexibert.modeling_flexibert import (
    FlexiBertLayer,
    MatrixCache,
    Padding,
    Transform,
    convolve,
    relative_scores,
    transform_matrix,
)

LENGTHS = [[9], [6, 3, 1]]
LONGEST = 10
SIZE = 4


def build(heads, hidden, relative):
    """The heads of one layer in float64 with large random weights, and the layer's distance embeddings."""
    torch.manual_seed(3)
    config = FlexiBertConfig(
        model_dict={"l": 1, "o": [["_".join((*head, str(SIZE))) for head in heads]], "h": [hidden], "f": [[8]]},
        position_embedding_type="relative_key" if relative else "absolute",
        max_position_embeddings=LONGEST,
    )
    layer = FlexiBertLayer(config, 0).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, 0.5)
    return layer


def run_heads(layer, x, lengths):
    """Output of all heads of a layer, ``[B, S, heads x size]``, as FlexiBertLayer computes it."""
    seen = []
    hook = layer.output.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    mask = (torch.arange(x.shape[1]) < torch.tensor(lengths)[:, None]).long()
    layer(x, Padding(mask, MatrixCache(), x))
    hook.remove()
    return seen[0]


def linear(module, row, part):
    """The given outputs of a Linear, one by one."""
    return torch.stack([(module.weight[out] * row).sum() + module.bias[out] for out in range(part.start, part.stop)])


def softmax(values):
    exponentials = [torch.exp(value - max(v.item() for v in values)) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def attention(scores, values):
    """Weighted sum of values for each row of scores."""
    return torch.stack([sum(w * v for w, v in zip(softmax(row), values, strict=True)) for row in scores])


def distance(layer, i, j):
    return layer.distances.weight[j - i + LONGEST - 1]


def naive_attention(layer, module, head, x, matrix):
    """softmax((q W kᵀ + q R) / sqrt(d)) v of one head and one unpadded sequence."""
    part = slice(head * SIZE, (head + 1) * SIZE)
    q, k, v = ([linear(m, row, part) for row in x] for m in (module.query, module.key, module.value))
    scores = []
    for i in range(len(x)):
        row = []
        for j in range(len(x)):
            score = sum(q[i][a] * (matrix[a] * k[j]).sum() for a in range(SIZE))
            if layer.distances is not None:
                score = score + (q[i] * distance(layer, i, j)).sum()
            row.append(score / math.sqrt(SIZE))
        scores.append(row)
    return attention(scores, v)


def naive_dft(x):
    n, d = x.shape
    out = [
        [
            sum((x[s, f] * math.cos(2 * math.pi * (k * s / n + m * f / d))) for s in range(n) for f in range(d))
            for m in range(d)
        ]
        for k in range(n)
    ]
    return torch.stack([torch.stack(row) for row in out]) / math.sqrt(n * d)


def naive_dct(x):
    n, d = x.shape
    rows = []
    for k in range(n):
        over_tokens = sum(x[s] * math.cos(math.pi * (2 * s + 1) * k / (2 * n)) for s in range(n))
        over_tokens = over_tokens * math.sqrt((1 if k == 0 else 2) / n)
        row = [sum(over_tokens[f] * math.cos(math.pi * (2 * f + 1) * m / (2 * d)) for f in range(d)) for m in range(d)]
        rows.append(torch.stack([value * math.sqrt((1 if m == 0 else 2) / d) for m, value in enumerate(row)]))
    return torch.stack(rows)


def naive_mixing(layer, module, head, x, transform, first):
    part = slice(head * SIZE, (head + 1) * SIZE)
    if module.input is None:
        own = x[:, (first + head) * SIZE : (first + head + 1) * SIZE]
    else:
        own = torch.stack([linear(module.input, row, part) for row in x])
    out = transform(own)
    if layer.distances is not None:
        q, v = ([linear(m, row, part) for row in x] for m in (module.query, module.value))
        scores = [
            [(q[i] * distance(layer, i, j)).sum() / math.sqrt(SIZE) for j in range(len(x))] for i in range(len(x))
        ]
        out = out + attention(scores, v)
    return out


def naive_convolution(module, head, x):
    part, kernel, n = slice(head * SIZE, (head + 1) * SIZE), module.kernel, len(x)
    half = kernel // 2
    taps = module.depthwise.weight[:, 0, 0, :]
    weight, bias = module.weight[head], module.bias[head, 0]
    values = [linear(module.value, row, part) for row in x]
    out = []
    for i in range(n):
        near = [t for t in range(kernel) if 0 <= i + t - half < n]
        span = sum(taps[:, t] * x[i + t - half] for t in near)
        key = linear(module.pointwise, span, part) * linear(module.query, x[i], part)
        weights = softmax([(key * weight[:, t]).sum() + bias[t] for t in range(kernel)])
        out.append(sum(weights[t] * values[i + t - half] for t in near))
    return torch.stack(out)


def naive_head(layer, name, head, first, x):
    module = layer.heads[name]
    family, parameter = name.split("_")
    if family == "sa":
        matrix = torch.eye(SIZE, dtype=x.dtype)
        if parameter == "wma":
            matrix = module.weight if module.weight.ndim == 2 else module.weight[head]
        return naive_attention(layer, module, head, x, matrix)
    if family == "l":
        return naive_mixing(layer, module, head, x, naive_dft if parameter == "dft" else naive_dct, first)
    return naive_convolution(module, head, x)


def naive_heads(layer, x, lengths):
    """What ``run_heads`` should give, head by head and sequence by sequence, with zeros at padding."""
    rows = []
    for sequence, length in zip(x, lengths, strict=True):
        first, columns = 0, []
        for name, module in layer.heads.items():
            heads = range(module.group.heads)
            columns += [naive_head(layer, name, head, first, sequence[:length]) for head in heads]
            first += len(heads)
        rows.append(torch.nn.functional.pad(torch.cat(columns, 1), (0, 0, 0, x.shape[1] - length)))
    return torch.stack(rows)


LAYERS = {
    "sdp": ([("sa", "sdp")] * 2, 8),
    "wma shared matrix": ([("sa", "wma")] * 2, 8),
    "wma matrix per head": ([("sa", "wma")] * 2, 10),
    "dft": ([("l", "dft")] * 2, 8),
    "dct": ([("l", "dct")] * 2, 8),
    "dft of odd width not filled": ([("l", "dft")], 7),
    "convolution 1": ([("c", "1")] * 2, 8),
    "convolution 5": ([("c", "5"), ("sa", "sdp")], 8),
    "convolution longer than the sequence": ([("c", "15")] * 2, 8),
    "all at once": (
        [("c", "3"), ("c", "9"), ("l", "dft"), ("l", "dct"), ("sa", "wma"), ("l", "dct"), ("sa", "wma"), ("sa", "sdp")],
        32,
    ),
    "all at once, wider than hidden": (
        [("c", "3"), ("c", "5"), ("l", "dft"), ("l", "dct"), ("sa", "wma"), ("l", "dct"), ("sa", "wma"), ("sa", "sdp")],
        12,
    ),
}


@pytest.mark.parametrize("lengths", LENGTHS, ids=["full", "padded"])
@pytest.mark.parametrize("relative", [True, False], ids=["relative", "absolute"])
@pytest.mark.parametrize("name", LAYERS)
def test_heads_follow_their_definition(name, relative, lengths):
    """Outputs, and gradients of the input and of every parameter."""
    heads, hidden = LAYERS[name]
    layer = build(heads, hidden, relative)
    chance = torch.Generator().manual_seed(1)
    x = torch.randn(len(lengths), max(lengths), hidden, dtype=torch.float64, generator=chance).requires_grad_()
    real = (torch.arange(x.shape[1]) < torch.tensor(lengths)[:, None])[:, :, None]
    names = [name for name, _ in layer.named_parameters() if name.startswith(("heads.", "distances."))]
    inputs = [x, *(layer.get_parameter(name) for name in names)]
    out = run_heads(layer, x, lengths).masked_fill(~real, 0.0)
    wanted = naive_heads(layer, x, lengths)
    assert out.shape == (len(lengths), max(lengths), len(heads) * SIZE)
    torch.testing.assert_close(out, wanted, rtol=0, atol=1e-9)
    upstream = torch.randn(out.shape, dtype=torch.float64, generator=chance)
    for what, got, true in zip(
        ["x", *names],
        torch.autograd.grad(out, inputs, upstream, allow_unused=True),
        torch.autograd.grad(wanted, inputs, upstream, allow_unused=True),
        strict=True,
    ):
        assert got is not None, what
        assert true is not None, what
        torch.testing.assert_close(got, true, rtol=0, atol=1e-9, msg=lambda text, what=what: f"{what}: {text}")
    with torch.no_grad():  # Where no gradient is wanted, projections are not joined.
        torch.testing.assert_close(run_heads(layer, x, lengths) * real, out.detach(), rtol=0, atol=1e-12)


@pytest.mark.parametrize(("length", "size"), [(1, 1), (2, 3), (7, 8), (16, 5)])
def test_dft_matrices_are_torch_fft(length, size):
    x = torch.randn(length, size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    tokens, features = transform_matrix(Transform.DFT, length), transform_matrix(Transform.DFT, size)
    mixed = tokens[:, :length] @ x @ features[:, :size] - tokens[:, length:] @ x @ features[:, size:]
    torch.testing.assert_close(mixed, torch.fft.fft2(x, norm="ortho").real, rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 5, 64])
def test_dct_matrix_is_orthonormal_and_scipys(length):
    fft = pytest.importorskip("scipy.fft")
    matrix = transform_matrix(Transform.DCT, length)
    np.testing.assert_allclose(matrix.numpy(), fft.dct(np.eye(length), axis=0, norm="ortho"), rtol=0, atol=1e-12)
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(length, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize("length", [1, 2, 5])
def test_relative_scores_pick_the_distance(length):
    generator = torch.Generator().manual_seed(0)
    query = torch.randn(2, 3, length, 4, generator=generator, dtype=torch.float64)
    distances = torch.randn(2 * length - 1, 4, generator=generator, dtype=torch.float64)
    scores = relative_scores(query, distances)
    assert scores.shape == (2, 3, length, length)
    for i in range(length):
        for j in range(length):
            wanted = query[:, :, i] @ distances[j - i + length - 1]
            torch.testing.assert_close(scores[:, :, i, j], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kernel", [1, 3, 9])
@pytest.mark.parametrize("length", [2, 24, 100])
def test_both_ways_to_convolve_agree_with_unfolding(kernel, length):
    generator = torch.Generator().manual_seed(0)
    weights = torch.randn(2, 3, length, kernel, generator=generator, dtype=torch.float64)
    values = torch.randn(2, 3, length, 4, generator=generator, dtype=torch.float64)
    half = kernel // 2
    spans = torch.nn.functional.pad(values, (0, 0, half, half)).unfold(2, kernel, 1)
    wanted = (spans * weights[:, :, :, None]).sum(-1)
    torch.testing.assert_close(convolve(weights, values), wanted, rtol=0, atol=1e-12)


def test_cache_stays_within_its_capacity_and_keeps_the_newest():
    cache, kind = MatrixCache(capacity=200), (torch.device("cpu"), torch.float32)
    newest = [cache.tokens(Transform.DCT, length, 10, *kind) for length in (1, 2, 3)]
    again = cache.tokens(Transform.DCT, 3, 10, *kind)
    assert again is newest[2]
    assert cache.tokens(Transform.DCT, 1, 10, *kind) is not newest[0]
    assert len(cache._entries) == 2
    assert cache._held == sum(entry.numel() for entry in cache._entries.values())


def test_cached_matrices_serve_training_after_inference_mode():
    layer = build([("l", "dct")] * 2, 8, relative=False)
    cache = MatrixCache()
    x = torch.randn(1, 5, 8, dtype=torch.float64)
    with torch.inference_mode():
        layer(x, Padding(None, cache, x))
    layer(x, Padding(None, cache, x)).sum().backward()
    assert layer.output.weight.grad is not None
