"""Design choices in words, and which of them the scores depend on.

The importance of a choice is measured by permutation (Breiman 2001, section 10, on held-out architectures): a forest
learns the scores of a bootstrap sample of the architectures; among those that were not drawn, the values of one choice
are exchanged, and the importance is by how much the forest's error grows, as a share of the scores' variance: the
median over the bootstrap samples, with their middle 90 % as error bar. Choices that go together share their importance,
and a depth's counts for those of the layers that only the deeper ones have as well.
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
"""Scored architectures below which a forest has nothing to tell."""
SAMPLES, TREES, EXCHANGES = 20, 40, 4
BAR = (0.05, 0.95)
"""Quantiles over the bootstrap samples that an error bar runs between."""
MOST_AXES = 12
"""Axes of parallel coordinates that can still be read."""
Axis = tuple[str, NDArray[np.int64], list[Hashable]]
"""Name of a choice, the position ``[N]`` of each architecture's, and the choices by position."""
ASPECTS = ("operation", "hidden", "heads", "stack depth", "stack width")
"""What a layer chooses."""


def choices_frame(specs: Mapping[str, ArchitectureSpec]) -> pd.DataFrame:
    """What distinguishes some architectures, one column per choice in which they differ.

    Args:
        specs: by id.

    Returns:
        Indexed by id; ``depth``, then for each aspect ``layer 0 operation``, …; choices that neighbouring layers always
        share are one column, ``layers 0-1 operation``. ``None`` where an architecture has no such layer. Mixed widths
        of a feed-forward stack are a text.
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
    """First and last of each run of neighbouring layers that always choose the same."""
    first = 0
    for layer in range(1, len(layers) + 1):
        if layer == len(layers) or layers[layer] != layers[first]:
            yield first, layer - 1
            first = layer


def coded(column: pd.Series) -> tuple[NDArray[np.int64], list[Hashable]]:
    """A choice as positions on an axis.

    Returns:
        The position of each value ``[N]``, and the values by position: numbers in their order, then texts, and first
        ``None`` where there is one.
    """
    found = sorted(set(column), key=lambda v: (v is not None, isinstance(v, str), v if v is not None else 0))
    place = {value: position for position, value in enumerate(found)}
    return np.array([place[value] for value in column], dtype=np.int64), found


def parallel_axes(choices: pd.DataFrame, scores: pd.Series, most: int = MOST_AXES) -> list[Axis]:
    """The choices that tell most about the scores, in their own order, as axes.

    Args:
        choices: as ``choices_frame`` gives them, for the scored architectures at least.
        scores: one per architecture, indexed by id, finite.
        most: how many axes.

    Returns:
        For each its name, the position of each scored architecture's choice and the choices by position. What tells
        most is by the share of the scores' variance that lies between the values of the one choice.
    """
    chosen = choices.loc[scores.index]
    axes = [(str(name), *coded(chosen[name])) for name in chosen]
    values = scores.to_numpy(dtype=np.float64)
    shares = [-_between(codes, values) for _, codes, _ in axes]
    kept = sorted(np.argsort(shares, kind="stable")[:most].tolist())
    return [axes[place] for place in kept]


def _between(codes: NDArray[np.int64], values: NDArray[np.float64]) -> float:
    """Variance of the group means around the mean of all; comparable as all choices share the values."""
    if not len(values):
        return 0.0
    counts = np.bincount(codes)
    means = np.bincount(codes, values) / np.maximum(counts, 1)
    return float(counts @ (means - values.mean()) ** 2)


@dataclass(frozen=True)
class Importance:
    """What a forest says of the choices.

    Attributes:
        choices: by falling importance: ``choice, importance, low, high``, as shares of the scores' variance; 0 is no
            importance, and chance may make it slightly negative.
        explained: share of the variance of held-out scores that the forest explains, median over the bootstrap
            samples; where it is not above 0, the importances mean nothing.
        scored: how many architectures it learned from.
    """

    choices: pd.DataFrame
    explained: float
    scored: int


def choice_importance(choices: pd.DataFrame, scores: pd.Series, seed: int = 0) -> Importance:
    """By how much each choice matters for the scores; see the module's description.

    Args:
        choices: as ``choices_frame`` gives them, for the scored architectures at least.
        scores: one per architecture, indexed by id; those that are not finite are left out.
        seed: of the bootstrap samples, the forests and the exchanges.

    Raises:
        InputError: too few scores, all are equal, or the architectures differ in nothing.
    """
    known = scores[np.isfinite(scores.to_numpy(dtype=np.float64))].astype(np.float64)
    few, remedy = Code.TOO_FEW_SCORES, "Let the study continue, or name several studies."
    if len(known) < FEWEST_SCORES:
        rule = f"have at least {FEWEST_SCORES} scored architectures for the importance of choices"
        raise InputError("study", rule, len(known), remedy, few)
    if float(known.max() - known.min()) <= 0.0:
        raise InputError("scores", "differ for the importance of choices", float(known.iloc[0]), remedy, few)
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
    """Growth of the held-out error by each choice ``[B, c]``, and the explained share ``[B]``, per bootstrap sample."""
    from sklearn.ensemble import RandomForestRegressor  # Imported late, as pages that draw other figures need none.

    count, spread = len(values), float(values.var())
    grown, explained = np.zeros((SAMPLES, codes.shape[1])), np.zeros(SAMPLES)
    for sample in range(SAMPLES):
        held = np.zeros(0, dtype=np.int64)
        while not len(held):  # Of few architectures a sample may hold all.
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
        told = forest.predict(exchanged.reshape(-1, codes.shape[1])).reshape(len(exchanged), -1)
        errors = ((told - values[held]) ** 2).mean(axis=1).reshape(EXCHANGES, -1)
        grown[sample] = (errors.mean(axis=0) - plain) / spread
    return grown, explained
