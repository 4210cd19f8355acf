"""The process fitted through anchors, where there are too many scores to fit all: what it equals, and what it costs."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import cho_factor, cho_solve

from explorer.records import Trial
from explorer.search import Candidates, make_policy
from explorer.surrogate import process
from explorer.surrogate.process import AxesProcess
from explorer.surrogate.process_mixture import CONSTANT, PRIOR_NOISE, ProcessPart
from explorer.surrogate.process_surrogate import ProcessSurrogate
from explorer.surrogate.warp import normal_scores


def planted(count: int, seed: int = 0, dims: int = 8) -> tuple[np.ndarray, np.ndarray]:
    """Points whose axes come by falling variance, and a noisy function of them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((count, dims)) * np.linspace(1.0, 0.2, dims)
    return x, x[:, 0] + np.sin(2.0 * x[:, 1]) * x[:, 2] - 0.5 * x[:, 3] ** 2 + 0.2 * rng.standard_normal(count)


def covariance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    far = np.sqrt(5.0 * np.square(a[:, None] - b).sum(2) / 9.0)
    return (1.0 + far + far**2 / 3.0) * np.exp(-far) + CONSTANT


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sparse fits from 61 scores on, through 60 anchors."""
    monkeypatch.setattr(process, "MOST_EXACT", 60)
    monkeypatch.setattr(process, "ANCHORS", 60)


@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
def test_with_all_points_as_anchors_it_is_the_exact_process(xp) -> None:
    x, y = planted(50)
    noises, gram = np.array([0.1, 0.3, 1.0]), covariance(x, x)
    given = [gram, normal_scores(y), noises]
    gram, targets, noises = given if xp is np else map(torch.tensor, given)
    exact = ProcessPart.fit(gram, targets, noises, xp)
    sparse = ProcessPart.fit_sparsely(gram, gram, targets, noises, xp)
    for name in ("scale", "evidence"):
        np.testing.assert_allclose(getattr(sparse, name), getattr(exact, name), rtol=1e-4)
    np.testing.assert_allclose(sparse.left_out(), exact.left_out(), atol=1e-4)
    seen = covariance(planted(9, 1)[0], x)
    seen = seen if xp is np else torch.tensor(seen)
    np.testing.assert_allclose(seen @ sparse.coefficients, seen @ exact.coefficients, atol=1e-4)
    known = [xp.square(seen @ part.vectors) @ part.inverse for part in (sparse, exact)]
    np.testing.assert_allclose(known[0], known[1], atol=1e-4)


def test_it_is_the_dense_process_of_the_projected_function() -> None:
    # By the textbook: Q = K_xz K_zz⁻¹ K_zx takes the place of K_xx, but not of the prior variance of other points.
    x, y = planted(40)
    z, others, targets = x[::5], planted(7, 3)[0], normal_scores(y)
    inner, seen, new = covariance(z, z), covariance(x, z), covariance(others, z)
    noises = np.array([0.1, 0.5])
    part = ProcessPart.fit_sparsely(inner, seen, targets, noises, np)
    solved = cho_solve(cho_factor(inner), seen.T)
    projected, between = seen @ solved, new @ solved
    for place, noise in enumerate(noises):
        noisy = projected + noise * np.eye(len(x))
        scale = targets @ np.linalg.solve(noisy, targets) / len(x)
        evidence = -0.5 * (len(x) * np.log(scale) + np.linalg.slogdet(noisy)[1] + np.log(noise / PRIOR_NOISE) ** 2)
        assert part.scale[place] == pytest.approx(scale, rel=1e-4)
        assert part.evidence[place] == pytest.approx(evidence, rel=1e-4)
        mean = between @ np.linalg.solve(noisy, targets)
        np.testing.assert_allclose(new @ part.coefficients[:, place], mean, atol=1e-4)
        variance = np.einsum("ij,ji->i", between, np.linalg.solve(noisy, between.T))
        np.testing.assert_allclose(np.square(new @ part.vectors) @ part.inverse[:, place], variance, atol=1e-4)
        inverse = np.linalg.inv(noisy)
        np.testing.assert_allclose(part.left_out()[:, place], inverse @ targets / np.diag(inverse), atol=1e-3)


@pytest.mark.usefixtures("small")
def test_anchors_are_far_apart_and_copies_do_no_harm() -> None:
    x, y = planted(200)
    x[100:] = x[:100]
    x[:30] = x[0]
    found = AxesProcess(x.var(axis=0)).fit(torch.tensor(x), torch.tensor(normal_scores(y)))
    assert found._anchors.shape == (60, 8)
    assert len(np.unique(found._anchors.numpy(), axis=0)) == 60
    mean, variance = found(torch.tensor(x))
    assert torch.isfinite(mean).all()
    assert (variance > 0).all()
    few = np.repeat(planted(3)[0], 40, axis=0)  # fewer different points than anchors
    mean, variance = AxesProcess(x.var(axis=0)).fit(torch.tensor(few), torch.tensor(normal_scores(y[:120])))(
        torch.tensor(few)
    )
    assert torch.isfinite(mean).all()
    assert (variance > 0).all()


@pytest.mark.usefixtures("small")
def test_nothing_larger_than_the_anchors_is_factorised(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    def counted(function):
        def call(matrix):
            sizes.append(len(matrix))
            return function(matrix)

        return call

    for name in ("eigh", "cholesky", "inv"):
        monkeypatch.setattr(torch.linalg, name, counted(getattr(torch.linalg, name)))
    for count in (100, 400):
        x, y = planted(count)
        sizes.clear()
        ProcessSurrogate(0).fit(x, y).predict(x)
        assert sizes.count(60) == len(sizes) == 27, "one of each kind for each of nine covariances"


def test_up_to_a_number_of_scores_all_are_anchors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProcessPart, "fit_sparsely", None)
    monkeypatch.setattr(process, "MOST_EXACT", 40)
    x, y = planted(40)
    ProcessSurrogate(0).fit(x, y)
    with pytest.raises(TypeError):
        ProcessSurrogate(0).fit(*planted(41))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_it_proposes_what_the_exact_process_would_nearly(monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """The tolerance: at least four of five are the same, and the exact UCB of none is more than 0.05 below.

    The unit is a standard deviation of the normal scores; the UCB itself is nowhere more than 0.1 off.
    """
    x, y = planted(600, seed)
    candidates = Candidates(tuple(map(str, range(len(x)))), x, np.zeros((len(x), 1), dtype=np.int64))
    told = np.random.default_rng(seed).permutation(len(x))[:300]

    def policy():
        made = make_policy("boshnas", candidates, seed, {"alpha": 0.0, "beta": 0.0})
        made.tell([Trial(number, str(i), float(y[i])) for number, i in enumerate(told)])
        return made

    exact = policy()
    proposed = [candidates.index[one.architecture] for one in exact.ask(5)]
    ucb = exact._posterior().ucb
    monkeypatch.setattr(process, "MOST_EXACT", 100)
    monkeypatch.setattr(process, "ANCHORS", 200)
    sparse = policy()
    nearly = [candidates.index[one.architecture] for one in sparse.ask(5)]
    assert len(set(nearly) & set(proposed)) >= 4
    assert (ucb[nearly] >= ucb[proposed] - 0.05).all()
    np.testing.assert_allclose(sparse._posterior().ucb, ucb, atol=0.1)
