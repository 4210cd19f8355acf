"""A surrogate that is fitted from another one trains its networks further, and leaves the other one as it was."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from explorer.surrogate import ProcessSettings, Surrogate, SurrogateSettings
from explorer.surrogate.process_surrogate import FEWEST_FOR_NOISE, ProcessSurrogate
from explorer.surrogate.surrogate import BoshnasSurrogate

NETWORKS = {
    BoshnasSurrogate: (SurrogateSettings, ("mean", "aleatoric", "epistemic")),
    ProcessSurrogate: (ProcessSettings, ("aleatoric",)),
}
"""What each surrogate predicts by networks; the other parts of ``ProcessSurrogate`` have a closed form."""


def problem(count: int = 20) -> tuple[np.ndarray, np.ndarray]:
    x = np.random.default_rng(0).uniform(-1, 1, size=(count, 3))
    return x, np.sin(2 * x[:, 0]) + x[:, 1] ** 2


def parts(surrogate: Surrogate, x: np.ndarray) -> np.ndarray:
    """What the networks predict; epistemic deviations relative to their mean, whose level comes from random passes."""
    found = surrogate.predict(x)
    found = dataclasses.replace(found, epistemic=found.epistemic / found.epistemic.mean())
    return np.stack([getattr(found, name) for name in NETWORKS[type(surrogate)][1]])


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_networks_of_the_start_are_taken_over(kind):
    x, y = problem()
    still = NETWORKS[kind][0](epochs=3, learning_rate=1e-12)  # Training moves nothing.
    start = kind(1, still).fit(x, y)
    warm, cold = kind(0, still).fit(x, y, start=start), kind(0, still).fit(x, y)
    np.testing.assert_allclose(parts(warm, x), parts(start, x), rtol=1e-6)
    for ours, theirs in zip(parts(cold, x), parts(start, x), strict=True):
        assert not np.allclose(ours, theirs, rtol=1e-2)


@pytest.mark.parametrize("kind", NETWORKS)
def test_the_start_is_trained_further_in_a_copy(kind):
    x, y = problem()
    settings = NETWORKS[kind][0](epochs=30)
    start = kind(1, settings).fit(x[:12], y[:12])
    before = parts(start, x)
    warm = kind(0, settings).fit(x, y, start=start)
    np.testing.assert_array_equal(parts(start, x), before)
    for ours, theirs in zip(parts(warm, x), before, strict=True):
        assert not np.allclose(ours, theirs, rtol=1e-3)


def test_a_start_with_too_few_scores_for_a_noise_network_gives_none():
    x, y = problem()
    start = ProcessSurrogate(1).fit(x[: FEWEST_FOR_NOISE - 1], y[: FEWEST_FOR_NOISE - 1])
    warm, cold = ProcessSurrogate(0).fit(x, y, start=start), ProcessSurrogate(0).fit(x, y)
    np.testing.assert_array_equal(parts(warm, x), parts(cold, x))


@pytest.mark.parametrize("seed", [2, 6])
def test_the_teacher_of_the_start_is_taken_over(seed):
    """The level of the epistemic deviation is the spread of the teacher that was trained, whatever the seed now."""
    x, y = problem(40)
    settings = SurrogateSettings(epochs=90, passes=512)
    start = BoshnasSurrogate(1, settings).fit(x, y)
    still = dataclasses.replace(settings, epochs=3, learning_rate=1e-12)
    warm = BoshnasSurrogate(seed, still).fit(x, y, start=start)
    assert warm.predict(x).epistemic.mean() == pytest.approx(start.predict(x).epistemic.mean(), rel=0.1)
