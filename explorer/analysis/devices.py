"""Devices in the store: their measurements, and predicted measurements of other architectures."""

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
        device: name of the device.
        quantity: quantity with its load, such as ``latency_b1_l128_fp32``.
        unit: unit of the values.
        count: number of measured architectures.
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
    """A predicted measurement.

    Attributes:
        device, quantity, unit: device, quantity and unit of the value.
        measured: the measured value of this architecture, if there is one.
        estimate: the prediction from the measurements of other architectures.
        predictor: the fitted predictor, with its accuracy on held-out architectures.
    """

    device: str
    quantity: str
    unit: str
    measured: float | None
    estimate: Estimate
    predictor: DevicePredictor


def known_devices(store: GraphStore, space: str | None = None) -> list[DeviceQuantity]:
    """Return the measured quantities of a space, or of the whole store, ordered by device and quantity."""
    values: dict[tuple[str, str], list[float]] = {}
    units: dict[tuple[str, str], Counter[str]] = {}
    for record in store.measurements(space=space):
        key = (record.device, record.quantity)
        values.setdefault(key, []).append(record.value)
        units.setdefault(key, Counter())[record.unit] += 1
    return [
        DeviceQuantity(*key, units[key].most_common(1)[0][0], len(found), min(found), max(found))
        for key, found in sorted(values.items())
    ]


def find_device(store: GraphStore, device: str, quantity: str, space: str | None = None) -> DeviceQuantity:
    """Return the device and quantity that a user means, among those measured in a space or in the whole store.

    Args:
        store: the store with the measurements.
        device: name of the device, or a part of it that no other device has.
        quantity: name of the quantity, with or without its load.
        space: name of the space; ``None`` for the whole store.

    Raises:
        InputError: none or several match; the error lists the known ones.
    """
    known = known_devices(store, space)
    devices = sorted({one.device for one in known})
    named = [name for name in devices if name == device] or [n for n in devices if device.lower() in n.lower()]
    if len(named) != 1:
        where = f"space {space}" if space else "the store"
        rule = f"name one device of {where}: {'; '.join(named or devices) or 'none yet'}"
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
        store: the store with the measurements to learn from.
        id: id of the architecture; its own measurement is reported, but not used for the prediction.
        spec: the architecture.
        device: name of the device, or a unique part of it.
        quantity: name of the quantity, with or without its load.
        seed: seed of cross-validation and trees.

    Raises:
        InputError: device or quantity is unknown or ambiguous, or there are too few measurements.
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
