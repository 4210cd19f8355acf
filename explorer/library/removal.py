"""The way back from a wrong import: its scores are removed by their origin, measurements by their device.

Architectures stay: they are the same whatever was said of them, and other imports and studies may use them.
"""

from __future__ import annotations

from explorer.errors import InputError
from explorer.library.sources import PREFIX
from graphstore import GraphStore

TRAINED = PREFIX.rstrip(":")
"""Origin of the scores of trainings, which no import brings back."""


def remove_scores(store: GraphStore, origin: str) -> int:
    """Remove all scores of an import.

    Args:
        store: holds the scores.
        origin: the ``source`` of the import's mapping, or the name of a published format.

    Returns:
        The number of scores that were removed.

    Raises:
        InputError: the store has no such scores, or they were trained here.
    """
    known = sorted({best.kind.origin or "" for best in store.best_per_task()} - {TRAINED})
    if origin not in known:
        rule = f"be the origin of imported scores in the store: {', '.join(known) or 'none'}"
        raise InputError("origin", rule, origin, "Choose one of them; `archex best` shows what they scored.")
    return store.remove_scores(origin)


def remove_measurements(store: GraphStore, device: str, quantity: str | None = None) -> int:
    """Remove the measurements of a device, or only those of one quantity; returns their number.

    Raises:
        InputError: the store has no such measurements.
    """
    held = {(record.device, record.quantity) for record in store.measurements()}
    known = sorted({name for name, of in held if quantity in (None, of)})
    if device not in known:
        rule = f"be a device with {quantity or 'measurements'} in the store: {'; '.join(known) or 'none'}"
        raise InputError("device", rule, device, "Choose one of them.")
    return store.remove_measurements(device, quantity)
