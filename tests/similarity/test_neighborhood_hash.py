"""The neighbourhood hash kernel against GraKeL's, a naive one, and the laws of a kernel."""

import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from explorer.errors import InputError
from explorer.similarity.kernel import EdgeDirection
from explorer.similarity.neighborhood_hash import NeighborhoodHash
from explorer.testing.kernels import GraphKernelSuite, architectures, gram, random_graphs, reversed_graph


class TestNeighborhoodHash(GraphKernelSuite):
    def make_kernel(self):
        return NeighborhoodHash()


class TestNeighborhoodHashOfFewBits(GraphKernelSuite):
    """Collisions make it coarse; it stays a kernel."""

    def make_kernel(self):
        return NeighborhoodHash(rounds=2, bits=8, seed=3, direction=EdgeDirection.IN)


class GivenNumbers(NeighborhoodHash):
    """Hashes from given numbers of the labels, as GraKeL has drawn them."""

    def __init__(self, numbers, **options):
        super().__init__(**options)
        self.numbers = numbers

    def label_numbers(self, labels):
        return np.array([self.numbers[label] for label in labels], dtype=np.uint64)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("kind", ["architectures", "random"])
def test_equal_to_grakel_with_its_numbers(kind, bits, grakel_gram):
    batch = architectures(60, 1, "small") if kind == "architectures" else random_graphs(80, 2, most=14)
    options = {"R": 4, "bits": bits, "nh_type": "count_sensitive", "random_state": 5}
    expected, kernel = grakel_gram("NeighborhoodHash", batch, **options)
    ours = gram(GivenNumbers(kernel._labels_hash_dict, rounds=4, bits=bits), batch)
    np.testing.assert_allclose(ours, expected, rtol=0, atol=1e-12)


def rotated(number, by, bits):
    text = format(number, f"0{bits}b")
    return int(text[by % bits :] + text[: by % bits], 2)


def naive_value(first, second, kernel):
    """Numbers rotated as text, multisets as counters."""
    numbers = [[int(n) for n in kernel.label_numbers(graph.labels)] for graph in (first, second)]
    total = 0.0
    for _ in range(kernel.rounds):
        for at, graph in enumerate((first, second)):
            fresh = []
            for node, number in enumerate(numbers[at]):
                number = rotated(number, 1, kernel.bits)
                around = Counter(numbers[at][target] for source, target in graph.edges if source == node)
                for other, count in around.items():
                    number ^= rotated(other ^ count, count, kernel.bits)
                fresh.append(number)
            numbers[at] = fresh
        one, two = Counter(numbers[0]), Counter(numbers[1])
        total += (one & two).total() / (one | two).total()
    return total / kernel.rounds


@pytest.mark.parametrize("bits", [8, 13, 64])
def test_equal_to_a_naive_one(bits):
    batch = [*random_graphs(14, bits), *architectures(3, bits)]
    kernel = NeighborhoodHash(rounds=3, bits=bits, seed=bits)
    expected = [[naive_value(one, two, kernel) for two in batch] for one in batch]
    np.testing.assert_allclose(gram(kernel, batch), expected, rtol=0, atol=1e-12)


def test_looking_back_is_looking_ahead_in_the_reversed_graphs():
    batch = [*architectures(8, 8), *random_graphs(8, 8)]
    ahead = gram(NeighborhoodHash(), [reversed_graph(graph) for graph in batch])
    np.testing.assert_array_equal(gram(NeighborhoodHash(direction=EdgeDirection.IN), batch), ahead)


def test_the_seed_chooses_the_numbers():
    labels = ("input", "output")
    first, second = (NeighborhoodHash(seed=seed).label_numbers(labels).tolist() for seed in (0, 1))
    assert first != second
    assert len({*first, *second}) == 4


def test_numbers_are_the_same_in_every_process():
    script = (
        "from explorer.similarity.neighborhood_hash import NeighborhoodHash as N;"
        "print(N(seed=7).label_numbers(['input', 'ff_512']).tolist())"
    )
    other = {**os.environ, "PYTHONHASHSEED": "1"}
    run = subprocess.run([sys.executable, "-c", script], env=other, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == str(NeighborhoodHash(seed=7).label_numbers(["input", "ff_512"]).tolist())


@pytest.mark.parametrize(
    "wrong", [{"rounds": 0}, {"bits": 7}, {"bits": 65}, {"seed": -1}, {"direction": EdgeDirection.EITHER}]
)
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(InputError, match=next(iter(wrong))):
        NeighborhoodHash(**wrong)
