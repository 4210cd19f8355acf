"""Every operation against explicit loops in float64 that follow its definition, with and without padding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from explorer.models.config import FlexiBertConfig
from explorer.models.layer import EncoderLayer
from explorer.models.matrices import MatrixCache, Transform, transform_matrix
from explorer.models.operations.convolution import convolve
from explorer.models.operations.group import relative_scores
from explorer.models.padding import Padding
from explorer.space.spec import HeadOp, LayerSpec

LENGTHS = [[6, 6, 6], [6, 3, 1]]
LONGEST = 8
SIZE = 4


def build(heads, hidden, relative):
    """The heads of one layer in float64 with large random weights, and the layer's distance embeddings."""
    torch.manual_seed(3)
    config = FlexiBertConfig(
        position_embedding_type="relative_key" if relative else "absolute", max_position_embeddings=LONGEST
    )
    spec = LayerSpec(hidden, tuple(HeadOp(family, parameter, SIZE) for family, parameter in heads), (8,))
    layer = EncoderLayer(spec, hidden, config).double().eval()
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.normal_(0, 0.5)
    return layer


def run_heads(layer, x, lengths):
    """Output of all heads of a layer, ``[B, S, heads x size]``, as EncoderLayer computes it."""
    seen = []
    hook = layer.output.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    mask = (torch.arange(x.shape[1]) < torch.tensor(lengths)[:, None]).long()
    with torch.no_grad():
        layer(x, Padding(mask, MatrixCache(), x))
    hook.remove()
    return seen[0].numpy()


def linear(module, row):
    """One row through a Linear, entry by entry."""
    weight, bias = module.weight.detach().numpy(), module.bias.detach().numpy()
    return np.array([sum(w * v for w, v in zip(ws, row, strict=True)) + b for ws, b in zip(weight, bias, strict=True)])


def softmax(values):
    top = max(values)
    exponentials = [math.exp(value - top) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def attention(scores, values):
    """Weighted sum of values for each row of scores."""
    return np.array([sum(w * v for w, v in zip(softmax(row), values, strict=True)) for row in scores])


def distance(layer, i, j):
    return layer.distances.weight.detach().numpy()[j - i + LONGEST - 1]


def naive_attention(layer, module, head, x, matrix):
    """softmax((q W kᵀ + q R) / sqrt(d)) v of one head and one unpadded sequence."""
    part = slice(head * SIZE, (head + 1) * SIZE)
    q, k, v = ([linear(m, row)[part] for row in x] for m in (module.query, module.key, module.value))
    scores = []
    for i in range(len(x)):
        row = []
        for j in range(len(x)):
            score = sum(q[i][a] * matrix[a][b] * k[j][b] for a in range(SIZE) for b in range(SIZE))
            if layer.distances is not None:
                score += sum(q[i] * distance(layer, i, j))
            row.append(score / math.sqrt(SIZE))
        scores.append(row)
    return attention(scores, v)


def naive_dft(x):
    n, d = x.shape
    out = np.zeros((n, d))
    for k in range(n):
        for m in range(d):
            out[k, m] = sum(
                x[s, f] * math.cos(2 * math.pi * (k * s / n + m * f / d)) for s in range(n) for f in range(d)
            )
    return out / math.sqrt(n * d)


def naive_dct(x):
    n, d = x.shape
    out = np.zeros((n, d))
    for k in range(n):
        for m in range(d):
            scale = math.sqrt((1 if k == 0 else 2) / n) * math.sqrt((1 if m == 0 else 2) / d)
            out[k, m] = scale * sum(
                x[s, f] * math.cos(math.pi * (2 * s + 1) * k / (2 * n)) * math.cos(math.pi * (2 * f + 1) * m / (2 * d))
                for s in range(n)
                for f in range(d)
            )
    return out


def naive_mixing(layer, module, head, x, transform, first):
    part = slice(head * SIZE, (head + 1) * SIZE)
    if module.input is None:
        own = x[:, (first + head) * SIZE : (first + head + 1) * SIZE]
    else:
        own = np.array([linear(module.input, row)[part] for row in x])
    out = transform(own)
    if layer.distances is not None:
        q, v = ([linear(m, row)[part] for row in x] for m in (module.query, module.value))
        scores = [[sum(q[i] * distance(layer, i, j)) / math.sqrt(SIZE) for j in range(len(x))] for i in range(len(x))]
        out = out + attention(scores, v)
    return out


def naive_convolution(module, head, x):
    part, kernel, n = slice(head * SIZE, (head + 1) * SIZE), module.kernel, len(x)
    half = kernel // 2
    taps = module.depthwise.weight.detach().numpy()[:, 0, 0, :]
    weight, bias = module.weight.detach().numpy()[head], module.bias.detach().numpy()[head, 0]
    values = [linear(module.value, row)[part] for row in x]
    out = np.zeros((n, SIZE))
    for i in range(n):
        span = np.zeros(x.shape[1])
        for t in range(kernel):
            if 0 <= i + t - half < n:
                span += taps[:, t] * x[i + t - half]
        key = linear(module.pointwise, span)[part] * linear(module.query, x[i])[part]
        weights = softmax([sum(key * weight[:, t]) + bias[t] for t in range(kernel)])
        for t in range(kernel):
            if 0 <= i + t - half < n:
                out[i] += weights[t] * values[i + t - half]
    return out


def naive_head(layer, name, head, first, x):
    module = layer.heads[name]
    family, parameter = name.split("_")
    if family == "sa":
        matrix = np.eye(SIZE)
        if parameter == "wma":
            weight = module.weight.detach().numpy()
            matrix = weight if weight.ndim == 2 else weight[head]
        return naive_attention(layer, module, head, x, matrix)
    if family == "l":
        return naive_mixing(layer, module, head, x, naive_dft if parameter == "dft" else naive_dct, first)
    return naive_convolution(module, head, x)


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
    heads, hidden = LAYERS[name]
    layer = build(heads, hidden, relative)
    x = torch.randn(len(lengths), max(lengths), hidden, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    out = run_heads(layer, x, lengths)
    first = 0
    for group_name, module in layer.heads.items():
        for head in range(module.group.heads):
            column = slice((first + head) * SIZE, (first + head + 1) * SIZE)
            for index, length in enumerate(lengths):
                wanted = naive_head(layer, group_name, head, first, x[index, :length].numpy())
                np.testing.assert_allclose(out[index, :length, column], wanted, rtol=0, atol=1e-9)
        first += module.group.heads
    assert first == len(heads)


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
    cache, like = MatrixCache(capacity=200), torch.zeros(1)
    newest = [cache.tokens(Transform.DCT, length, 10, like) for length in (1, 2, 3)]
    again = cache.tokens(Transform.DCT, 3, 10, like)
    assert again is newest[2]
    assert cache.tokens(Transform.DCT, 1, 10, like) is not newest[0]
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
