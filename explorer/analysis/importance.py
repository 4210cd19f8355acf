"""Design choices as a table, and their importance for the scores.

Importance is measured by permutation (Breiman 2001, section 10) on held-out architectures: a random forest is fitted to
a bootstrap sample of the architectures; the values of one choice are permuted among the architectures that were not
drawn; the importance is the increase of the forest's squared error, as a share of the scores' variance. It is reported
as the median over the bootstrap samples, with their middle 90 % as error bar. Correlated choices share their
importance, and the depth includes that of layers which only deeper architectures have.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from explorer.errors import Code, InputError
from explorer.space.spec import ArchitectureSpec, LayerSpec

FEWEST_SCORES = 12
"""Fewest scored architectures to fit a forest to."""
MOST_SCORES = 1000
"""Most architectures that the forests are fitted to: a random part of more, which would only take longer."""
SAMPLES, TREES, EXCHANGES = 20, 40, 4
BAR = (0.05, 0.95)
"""Quantiles over the bootstrap samples at the ends of an error bar."""
MOST_AXES = 12
"""Most axes of parallel coordinates that are still readable."""
Axis = tuple[str, NDArray[np.int64], list[Hashable]]
"""Name of a choice, its position ``[N]`` for each architecture, and its values by position."""
ASPECTS = ("operation", "hidden", "heads", "stack depth", "stack width")
"""The choices of a layer."""


def choices_frame(specs: Mapping[str, ArchitectureSpec]) -> pd.DataFrame:
    """Return the choices in which some architectures differ, one column per choice.

    Args:
        specs: the architectures by id.

    Returns:
        Indexed by id; ``depth``, then for each aspect ``layer 0 operation``, …; choices that neighbouring layers always
        share are one column, ``layers 0-1 operation``. ``None`` if an architecture has no such layer. Mixed widths of a
        feed-forward stack are a text.
    """
    index = pd.Index(specs, name="id", dtype=object)
    deepest = max((spec.depth for spec in specs.values()), default=0)
    columns: dict[str, list[Hashable]] = {"depth": [spec.depth for spec in specs.values()]}
    for aspect in ASPECTS:
        layers = [[_value(spec, layer, aspect) for spec in specs.values()] for layer in range(deepest)]
        for first, last in _alike(layers):
            name = f"layer {first}" if first == last else f"layers {first}-{last}"
            columns[f"{name} {aspect}"] = layers[first]
    differing = {name: values for name, values in columns.items() if len(set(values)) > 1}
    return pd.DataFrame({name: pd.Series(values, index, dtype=object) for name, values in differing.items()}, index)


def _value(spec: ArchitectureSpec, layer: int, aspect: str) -> Hashable:
    return _choice(spec.layers[layer], aspect) if layer < spec.depth else None


def _choice(layer: LayerSpec, aspect: str) -> Hashable:
    match aspect:
        case "operation":
            return f"{layer.family}_{layer.parameter}"
        case "hidden":
            return layer.hidden
        case "heads":
            return len(layer.heads)
        case "stack depth":
            return len(layer.feed_forward)
    widths = layer.feed_forward
    return widths[0] if len(set(widths)) == 1 else " ".join(map(str, widths))


def _alike(layers: Sequence[Sequence[Hashable]]) -> Iterator[tuple[int, int]]:
    """Yield the first and last layer of each run of neighbouring layers with equal choices."""
    first = 0
    for layer in range(1, len(layers) + 1):
        if layer == len(layers) or layers[layer] != layers[first]:
            yield first, layer - 1
            first = layer


def coded(column: pd.Series) -> tuple[NDArray[np.int64], list[Hashable]]:
    """Return a choice as positions on an axis.

    Returns:
        The position of each value ``[N]``, and the values by position: ``None`` first, then numbers, then texts.
    """
    found = sorted(set(column), key=lambda v: (v is not None, isinstance(v, str), v if v is not None else 0))
    place = {value: position for position, value in enumerate(found)}
    return np.array([place[value] for value in column], dtype=np.int64), found


def parallel_axes(choices: pd.DataFrame, scores: pd.Series, most: int = MOST_AXES) -> list[Axis]:
    """Return the choices that explain most of the scores' variance, in the order of the table, as axes.

    Args:
        choices: the frame that ``choices_frame`` returns, for at least the scored architectures.
        scores: one score per architecture, indexed by id, finite.
        most: number of axes at most.

    Returns:
        For each choice its name, the position of each scored architecture, and the values by position. Choices are
        selected by the share of the scores' variance between the groups of equal values.
    """
    chosen = choices.loc[scores.index]
    axes = [(str(name), *coded(chosen[name])) for name in chosen]
    values = scores.to_numpy(dtype=np.float64)
    shares = [-_between(codes, values) for _, codes, _ in axes]
    kept = sorted(np.argsort(shares, kind="stable")[:most].tolist())
    return [axes[place] for place in kept]


def _between(codes: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Return the sum of squares between groups; comparable across choices, because all share the values."""
    if not len(values):
        return 0.0
    counts = np.bincount(codes)
    means = np.bincount(codes, values) / np.maximum(counts, 1)
    return float(counts @ (means - values.mean()) ** 2)


@dataclass(frozen=True)
class Importance:
    """Permutation importance of the choices.

    Attributes:
        choices: by falling importance: ``choice, importance, low, high``, as shares of the scores' variance; an
            unimportant choice has about 0, which noise may make slightly negative.
        explained: share of the variance of held-out scores that the forest explains, median over the bootstrap
            samples; the importances are meaningless unless it is above 0.
        scored: number of architectures that the forest was fitted to.
    """

    choices: pd.DataFrame
    explained: float
    scored: int


def choice_importance(choices: pd.DataFrame, scores: pd.Series, seed: int = 0) -> Importance:
    """Return how important each choice is for the scores; see the module's description.

    Args:
        choices: the frame that ``choices_frame`` returns, for at least the scored architectures.
        scores: one score per architecture, indexed by id; those that are not finite are dropped.
        seed: seed of the bootstrap samples, the forests and the permutations.

    Raises:
        InputError: with ``Code.TOO_FEW_SCORES``: too few scores, equal scores, or equal architectures.
    """
    known = scores[np.isfinite(scores.to_numpy(dtype=np.float64))].astype(np.float64)
    few, remedy = Code.TOO_FEW_SCORES, "Let the study continue, or name several studies."
    if len(known) < FEWEST_SCORES:
        rule = f"have at least {FEWEST_SCORES} scored architectures for the importance of choices"
        raise InputError("study", rule, len(known), remedy, few)
    if float(known.max() - known.min()) <= 0.0:
        raise InputError("scores", "differ for the importance of choices", float(known.iloc[0]), remedy, few)
    if len(known) > MOST_SCORES:
        drawn = np.random.default_rng([seed, MOST_SCORES]).permutation(len(known))[:MOST_SCORES]
        known = known.iloc[np.sort(drawn)]
    chosen = choices.loc[known.index]
    names = [name for name in chosen if chosen[name].nunique(dropna=False) > 1]
    if not names:
        raise InputError("scored architectures", "differ in a design choice", len(known), remedy, few)
    codes = np.stack([coded(chosen[name])[0] for name in names], axis=1).astype(np.float64)
    grown, explained = _permuted(codes, known.to_numpy(), np.random.default_rng(seed))
    low, high = np.quantile(grown, BAR, axis=0)
    frame = pd.DataFrame({"choice": names, "importance": np.median(grown, axis=0), "low": low, "high": high})
    frame = frame.sort_values("importance", ascending=False, kind="stable", ignore_index=True)
    return Importance(frame, float(np.median(explained)), len(known))


def _permuted(
    codes: NDArray[np.float64], values: NDArray[np.float64], generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the increase of the held-out error by choice ``[B, c]`` and the explained share ``[B]``, per sample."""
    from sklearn.ensemble import RandomForestRegressor  # imported late: slow, and other figures do not need it

    count, spread = len(values), float(values.var())
    grown, explained = np.zeros((SAMPLES, codes.shape[1])), np.zeros(SAMPLES)
    for sample in range(SAMPLES):
        held = np.zeros(0, dtype=np.int64)
        while not len(held):  # a sample of few architectures may contain all of them
            drawn = generator.integers(count, size=count)
            held = np.setdiff1d(np.arange(count), drawn)
        forest = RandomForestRegressor(TREES, max_features=0.5, random_state=int(generator.integers(2**31)))
        forest.fit(codes[drawn], values[drawn])
        plain = float(((forest.predict(codes[held]) - values[held]) ** 2).mean())
        explained[sample] = 1.0 - plain / spread
        exchanged = np.repeat(codes[held][None], EXCHANGES * codes.shape[1], axis=0)  # [E * c, held, c]
        for row in range(len(exchanged)):
            choice = row % codes.shape[1]
            exchanged[row, :, choice] = generator.permutation(exchanged[row, :, choice])
        predicted = forest.predict(exchanged.reshape(-1, codes.shape[1])).reshape(len(exchanged), -1)
        errors = ((predicted - values[held]) ** 2).mean(axis=1).reshape(EXCHANGES, -1)
        grown[sample] = (errors.mean(axis=0) - plain) / spread
    return grown, explained
