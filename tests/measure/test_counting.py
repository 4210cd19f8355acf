"""Counted FLOPs against the formula, and against what a batch and a length must do to them."""

from __future__ import annotations

import pytest

from explorer.errors import InputError
from explorer.measure.counting import count_flops
from explorer.measure.settings import Load, quantity_name
from explorer.measure.size import flops
from explorer.space.spec import ArchitectureSpec, HeadOp, LayerSpec


def two_layers(family, parameter):
    return ArchitectureSpec(
        (LayerSpec.per_layer(32, family, parameter, 2, (48,)), LayerSpec.per_layer(64, family, parameter, 4, (32, 16)))
    )


@pytest.mark.parametrize("operation", [("sa", "sdp"), ("sa", "wma"), ("l", "dft")])
def test_the_formula_counts_what_is_executed_with_absolute_positions(operation):
    spec = two_layers(*operation)
    counted = count_flops(spec, Load(batch=3, length=64), "absolute")
    assert counted.forward == pytest.approx(3 * flops(spec, 64, "absolute"), rel=1e-9)
    # Every product of the forward pass has two in the backward pass; a transform has one.
    assert 2.8 * counted.forward < counted.training < 3.5 * counted.forward


@pytest.mark.parametrize("operation", [("sa", "sdp"), ("sa", "wma"), ("l", "dft"), ("l", "dct"), ("c", "5")])
def test_the_formula_is_near_what_is_executed_with_relative_positions(operation):
    spec = two_layers(*operation)
    # One needless position is multiplied; a cosine transform is executed as products with its matrices.
    tolerance = {"dct": 0.35, "5": 0.03}.get(operation[1], 0.005)
    assert count_flops(spec, Load(length=64)).forward == pytest.approx(flops(spec, 64), rel=tolerance)


def test_heads_of_their_own_operations_are_counted():
    heads = (HeadOp("sa", "sdp", 16), HeadOp("sa", "wma", 16), HeadOp("l", "dft", 16))
    spec = ArchitectureSpec((LayerSpec(32, heads, (64,)),))
    assert count_flops(spec, Load(length=32), "absolute").forward == pytest.approx(
        flops(spec, 32, "absolute"), rel=1e-9
    )


@pytest.mark.parametrize(("field", "value"), [("batch", 0), ("length", 9000), ("vocabulary", True), ("precision", "8")])
def test_a_load_out_of_range_is_refused(field, value):
    with pytest.raises(InputError, match=field):
        Load(**{field: value})


def test_quantities_carry_their_load_and_give_it_up():
    assert Load(8, 64, "bf16").quantity("latency_p90") == "latency_p90_b8_l64_bf16"
    assert quantity_name("latency_p90_b8_l64_bf16") == "latency_p90"
    # Embeddings are most of a small model's memory.
    assert Load(vocabulary=1000).quantity("peak_memory_training") == "peak_memory_training_b1_l128_fp32_v1000"
    assert quantity_name("peak_memory_training_b1_l128_fp32_v1000") == "peak_memory_training"
    assert quantity_name("peak_power") == "peak_power"
