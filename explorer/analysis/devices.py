"""What the store knows of devices: what was measured on each, and what would be measured on any architecture."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from explorer.errors import InputError
from explorer.measure.settings import quantity_name
from explorer.space.formats import from_json
from explorer.space.spec import ArchitectureSpec
from graphstore import GraphStore

if TYPE_CHECKING:
    from explorer.measure.predictor import DevicePredictor, Estimate


@dataclass(frozen=True)
class DeviceQuantity:
    """One quantity of one device.

    Attributes:
        device: its name.
        quantity: with its load, such as ``latency_b1_l128_fp32``.
        unit: of the values.
        count: architectures it is known of.
        least, most: smallest and largest value.
    """

    device: str
    quantity: str
    unit: str
    count: int
    least: float
    most: float


@dataclass(frozen=True)
class DeviceAnswer:
    """What a device would measure.

    Attributes:
        device, quantity, unit: of the value.
        measured: what was measured of this very architecture, if it was.
        estimate: what the measurements of other architectures say.
        predictor: how it was predicted, and how well that went on held-out architectures.
    """

    device: str
    quantity: str
    unit: str
    measured: float | None
    estimate: Estimate
    predictor: DevicePredictor


def known_devices(store: GraphStore) -> list[DeviceQuantity]:
    """Everything measured, by device and quantity."""
    values: dict[tuple[str, str], list[float]] = {}
    units: dict[tuple[str, str], Counter[str]] = {}
    for record in store.measurements():
        key = (record.device, record.quantity)
        values.setdefault(key, []).append(record.value)
        units.setdefault(key, Counter())[record.unit] += 1
    return [
        DeviceQuantity(*key, units[key].most_common(1)[0][0], len(found), min(found), max(found))
        for key, found in sorted(values.items())
    ]


def find_device(store: GraphStore, device: str, quantity: str) -> DeviceQuantity:
    """The device and quantity a user means: by full name, or by as much of it as only one has.

    Raises:
        InputError: nothing or more than one thing fits; the error lists what there is.
    """
    known = known_devices(store)
    devices = sorted({one.device for one in known})
    named = [name for name in devices if name == device] or [n for n in devices if device.lower() in n.lower()]
    if len(named) != 1:
        rule = f"name one device of the store: {'; '.join(named or devices) or 'none yet'}"
        raise InputError("device", rule, device, "See `archex devices`.")
    here = [one for one in known if one.device == named[0]]
    fitting = [one for one in here if one.quantity == quantity]
    fitting = fitting or [one for one in here if quantity_name(one.quantity) == quantity]
    if len(fitting) != 1:
        names = "; ".join(one.quantity for one in fitting or here)
        raise InputError("quantity", f"be one of {named[0]}: {names}", quantity, "See `archex devices`.")
    return fitting[0]


def predict_on_device(
    store: GraphStore, id: str, spec: ArchitectureSpec, device: str, quantity: str, seed: int = 0
) -> DeviceAnswer:
    """Predict a measurement from those of other architectures.

    Args:
        store: whose measurements to learn from.
        id: of the architecture; its own measurement is reported and not learned from.
        spec: the architecture.
        device: its name, or a part that only one has.
        quantity: its name, with or without its load.
        seed: of cross-validation and trees.

    Raises:
        InputError: device or quantity is unknown or not unique, or too little was measured.
    """
    from explorer.measure.predictor import DevicePredictor

    found = find_device(store, device, quantity)
    values = {
        record.architecture: record.value
        for record in store.measurements()
        if (record.device, record.quantity, record.unit) == (found.device, found.quantity, found.unit)
    }
    own = values.pop(id, None)
    specs = {one.id: from_json(one.spec) for one in store.summaries(ids=sorted(values))}
    predictor = DevicePredictor.fit(list(specs.values()), [values[one] for one in specs], seed)
    estimate = predictor.predict([spec])[0]
    return DeviceAnswer(found.device, found.quantity, found.unit, own, estimate, predictor)
