"""Timing by a clock made for it, and memory against weights of known size. Nothing here depends on how fast this is."""

from __future__ import annotations

import pytest
import torch

from explorer.errors import ExplorerError, InputError
from explorer.measure.latency import limited_threads, measure_latency, time_runs
from explorer.measure.machine import device_name, parse_device, processor_name
from explorer.measure.memory import Use, high_water_mark, measure_memory, reset_high_water_mark
from explorer.measure.settings import Load
from explorer.measure.size import parameters
from explorer.space.spec import ArchitectureSpec, LayerSpec

CPU = torch.device("cpu")
MIB = 2**20


class Clock:
    """Goes on only while something runs."""

    def __init__(self, durations):
        self.now, self.durations, self.log = 0.0, list(durations), []

    def run(self):
        self.now += self.durations.pop(0)
        self.log.append("run")

    def wait(self):
        self.log.append("wait")

    def __call__(self):
        return self.now


def test_percentiles_leave_the_warm_up_out_and_wait_for_the_device_around_each_run():
    clock = Clock([100.0, 50.0, *range(1, 12)])
    latency = time_runs(clock.run, repeats=11, warm_up=2, wait=clock.wait, clock=clock)
    assert (latency.p50, latency.p90, latency.p95, latency.mean) == pytest.approx((6.0, 10.0, 10.5, 6.0))
    assert (latency.fastest, latency.runs, latency.warm_up) == (1.0, 11, 2)
    assert clock.log == ["run", "run", *["wait", "run", "wait"] * 11]


@pytest.mark.parametrize(("repeats", "warm_up"), [(0, 1), (1, -1)])
def test_runs_out_of_range_are_refused(repeats, warm_up):
    with pytest.raises(InputError, match=r"repeats|warm_up"):
        time_runs(lambda: None, repeats, warm_up, lambda: None, lambda: 0.0)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_model_is_timed_and_leaves_threads_and_random_numbers_as_they_were(precision):
    layer = LayerSpec.per_layer(16, "l", "dft", 2, (16,))
    threads, before = torch.get_num_threads(), torch.random.get_rng_state()
    found = measure_latency(ArchitectureSpec((layer,)), Load(2, 8, precision, 50), CPU, threads=2, repeats=3, warm_up=1)
    assert 0 < found.fastest <= found.p50 <= found.p90 <= found.p95
    assert found.runs == 3
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), before)


def test_threads_come_back_after_an_error():
    before, inside = torch.get_num_threads(), []

    def fail():
        inside.append(torch.get_num_threads())
        raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"), limited_threads(before + 1):
        fail()
    assert (inside, torch.get_num_threads()) == ([before + 1], before)


def test_the_device_has_a_readable_name_without_signs_of_comparison(tmp_path):
    info = tmp_path / "cpuinfo"
    info.write_text("processor : 0\nmodel name\t: Fast<>  CPU = 2®\nmodel name : other\n", encoding="utf-8")
    assert processor_name(info) == "Fast CPU 2"
    assert processor_name(tmp_path / "absent")
    assert device_name(CPU, 3) == f"{processor_name()}, 3 threads, torch {torch.__version__.partition('+')[0]}"


@pytest.mark.parametrize("text", ["tpu", "cuda:999", "cpu:0", ""])
def test_devices_that_are_not_here_are_refused(text):
    with pytest.raises(InputError, match="device"):
        parse_device(text)


def test_the_high_water_mark_sees_what_was_freed_again_and_can_be_set_back():
    reset_high_water_mark()
    before = high_water_mark()
    block = torch.ones(100 * MIB // 4)
    del block
    assert high_water_mark() - before > 90 * MIB


@pytest.mark.slow
def test_memory_of_training_holds_weights_gradients_and_moments_and_inference_the_weights():
    layer = LayerSpec.per_layer(1024, "sa", "sdp", 2, (4096,))
    spec, load = ArchitectureSpec((layer, layer)), Load(1, 8, vocabulary=1000)
    weights = 4 * parameters(spec, vocab_size=1000)
    inference = measure_memory(spec, load, CPU, Use.INFERENCE)
    training = measure_memory(spec, load, CPU, Use.TRAINING)
    assert inference.weights == weights
    assert weights < inference.peak < 1.6 * weights
    # Weights, gradients and AdamW's two moments, and what one step needs besides.
    assert 3.9 * weights < training.peak < 7 * weights
    assert training.baseline > 50 * MIB


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ("echo loading >&2; echo 'RuntimeError: no cuda' >&2; exit 1", "inference failed: RuntimeError: no cuda"),
        ("exit 3", "inference failed: no reason given"),
        ("kill -9 $$", "inference was killed by signal 9: the machine has too little memory"),
    ],
)
def test_a_process_that_fails_says_why(ends, said, tmp_path, monkeypatch):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\ncat > /dev/null\n{ends}\n")
    program.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(program))
    spec = ArchitectureSpec((LayerSpec.per_layer(8, "sa", "sdp", 2, (8,)),))
    with pytest.raises(ExplorerError, match=said):
        measure_memory(spec, Load(1, 8, vocabulary=16), CPU, Use.INFERENCE)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_is_timed_and_its_allocator_gives_the_memory():
    layer = LayerSpec.per_layer(1024, "sa", "sdp", 2, (4096,))
    spec, load, device = ArchitectureSpec((layer, layer)), Load(1, 8, vocabulary=1000), torch.device("cuda:0")
    weights = 4 * parameters(spec, vocab_size=1000)
    assert measure_latency(spec, load, device, repeats=5).p50 > 0
    assert weights <= measure_memory(spec, load, device, Use.INFERENCE).peak < 1.2 * weights
    assert 4 * weights <= measure_memory(spec, load, device, Use.TRAINING).peak < 7 * weights
