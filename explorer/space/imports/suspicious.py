"""Values of a file that are at odds with the rest of it: they may be right, so they are reported and not refused.

* a value in another unit than the others of its kind, as a fraction among percentages;
* a mean that cannot be, or is not as in the other rows, the mean of its row's scores;
* equal scores of one architecture after different amounts of training, as where a file was copied.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

from explorer.space.imports.rows import FoundRow, FoundScore

Rows = Sequence[tuple[int, FoundRow]]
UNITS = {100.0: "a fraction among percentages", 1000.0: "another unit"}
"""Factors between units that are mistaken for each other."""
MEAN = re.compile(r"\b(mean|average|avg|overall)\b|^glue$", re.IGNORECASE)
"""Tasks that are means of others."""
CORRELATION = re.compile(r"corr|matthews|mcc|pearson|spearman|kendall", re.IGNORECASE)
"""Metrics that may be as near to 0 as they like."""
ROUNDING = 2e-3
"""Largest relative difference between a mean and a rounded one."""
FAR = 0.5
"""Smallest relative difference that is suspicious even where no other row shows how the mean is taken."""
LEAST_DIGITS = 4
"""Number of digits that must agree; fewer may agree by coincidence."""


def suspicious_values(rows: Rows, scale_remedy: str = "") -> tuple[str, ...]:
    """Return one line per suspicious value, in the order of the rows.

    Args:
        rows: the valid rows.
        scale_remedy: what to do about percentages that are fractions; empty where the file's scale is not stated.
    """
    lines = chain(_units(rows), _fractions(rows, scale_remedy), _means(rows), _copies(rows))
    found = sorted(lines, key=lambda pair: pair[0])
    return tuple(line for _, line in found)


@dataclass(frozen=True)
class _Number:
    """A number as the file has it."""

    row: int
    name: str
    value: float


def _units(rows: Rows) -> Iterator[tuple[int, str]]:
    kinds: dict[tuple[object, ...], list[_Number]] = defaultdict(list)
    for number, row in rows:
        for score in row.scores:
            if not CORRELATION.search(score.metric) and not CORRELATION.search(score.task):
                value = score.value / score.factor
                kind = 100.0, score.task, score.metric, score.dataset, score.factor
                kinds[kind].append(_Number(number, score.task, value))
        for one in row.measurements:
            name = f"{one.quantity} on {one.device}"
            kinds[1000.0, one.device, one.quantity].append(_Number(number, name, one.value))
    for (factor, *_), numbers in kinds.items():
        assert isinstance(factor, float)
        yield from _mixed(numbers, factor)


def _mixed(numbers: Sequence[_Number], factor: float) -> Iterator[tuple[int, str]]:
    """Yield the smaller of two groups of numbers that lie apart by about a factor."""
    ordered = sorted((one for one in numbers if one.value), key=lambda one: abs(one.value))
    sizes = [abs(one.value) for one in ordered]
    gaps = [after / before for before, after in pairwise(sizes)]
    if not gaps or max(gaps) < factor / 5:
        return
    split = gaps.index(max(gaps)) + 1
    low, high = ordered[:split], ordered[split:]
    if not all(sizes[split] / 2 <= factor * size <= 2 * sizes[-1] for size in sizes[:split]):
        return
    few, many = (low, high) if len(low) <= len(high) else (high, low)
    span = f"from {abs(many[0].value):g} to {abs(many[-1].value):g}"
    for one in few:
        yield one.row, f"row {one.row}: {one.name} is {one.value:g}, the others are {span}: {UNITS[factor]}?"


def _fractions(rows: Rows, remedy: str) -> Iterator[tuple[int, str]]:
    """Yield kinds of percentages that are all at most 1."""
    kinds: dict[tuple[str, str], list[float]] = defaultdict(list)
    for _, row in rows:
        for score in row.scores:
            if score.factor == 0.01:
                kinds[score.task, score.metric].append(abs(score.value) / score.factor)
    for (task, metric), values in kinds.items():
        if 0 < max(values) <= 1 and not CORRELATION.search(task + metric):
            question = " ".join(filter(None, ("are they fractions?", remedy)))
            yield 0, f"{task}: no percentage is above 1 ({len(values):,} values): {question}"


def _means(rows: Rows) -> Iterator[tuple[int, str]]:
    compared = [(number, *pair) for number, row in rows for pair in _compared(row)]
    complete = max((len(parts) for *_, parts in compared), default=0)
    whole = [(given, mean, parts) for _, _, given, mean, parts in compared if len(parts) == complete]
    agree = sum(abs(given - mean) <= _rounding(mean, parts) for given, mean, parts in whole)
    usual = agree > len(whole) / 2 and agree > 1
    for number, name, given, mean, parts in compared:
        rounding = _rounding(mean, parts)
        impossible = not min(parts) - rounding <= given <= max(parts) + rounding
        exact = usual and len(parts) == complete  # A mean over scores that are missing here may differ.
        if impossible or abs(given - mean) > (rounding if exact else FAR * abs(mean)):
            yield number, f"row {number}: {name} is {given:g}, but the mean of its {len(parts)} scores is {mean:.5g}"


def _rounding(mean: float, parts: Sequence[float]) -> float:
    return ROUNDING * max(abs(mean), max(parts) - min(parts))


def _compared(row: FoundRow) -> Iterator[tuple[str, float, float, list[float]]]:
    """Yield each mean of a row with its name, the mean of the scores that belong to it, and these scores."""
    groups: dict[tuple[object, ...], list[FoundScore]] = defaultdict(list)
    for score in row.scores:
        groups[score.dataset, score.fidelity, score.recipe, score.seed, score.factor].append(score)
    for scores in groups.values():
        means = [score for score in scores if MEAN.search(score.task)]
        parts = [score.value / score.factor for score in scores if not MEAN.search(score.task)]
        if len(parts) > 1:
            for score in means:
                yield score.task, score.value / score.factor, sum(parts) / len(parts), parts


def _copies(rows: Rows) -> Iterator[tuple[int, str]]:
    """Yield the fidelities of an architecture whose scores equal those of another fidelity."""
    trainings: dict[tuple[object, ...], dict[str, tuple[int, dict[str, str]]]] = defaultdict(dict)
    for number, row in rows:
        for score in row.scores:
            training = trainings[row.architecture, score.dataset, score.recipe, score.seed]
            _, values = training.setdefault(score.fidelity, (number, {}))
            values.setdefault(f"{score.task} {score.metric}", f"{score.value / score.factor:.10g}")
    for training in trainings.values():
        known: dict[tuple[tuple[str, str], ...], tuple[str, int]] = {}
        for fidelity, (number, values) in training.items():
            if sum(len(value.strip("-0.").replace(".", "")) for value in values.values()) < LEAST_DIGITS:
                continue
            other, before = known.setdefault(tuple(sorted(values.items())), (fidelity, number))
            if other != fidelity:
                place = f"row {number}" if before == number else f"rows {before} and {number}"
                yield number, f"{place}: all scores of fidelity {other} equal those of {fidelity} ({len(values)})"
