"""``archex devices``: devices with measurements."""

from __future__ import annotations

import dataclasses

from rich.markup import escape
from rich.table import Table

from explorer.analysis.devices import known_devices
from explorer.cli.console import DEFAULT_STORE, JsonOption, StoreOption, opened, output, print_json


def devices(store: StoreOption = DEFAULT_STORE, json: JsonOption = False) -> None:
    """List the devices with measurements, their quantities, and the number of measured architectures."""
    with opened(store, create=False) as opened_store:
        known = known_devices(opened_store)
    if json:
        print_json({"devices": [dataclasses.asdict(one) for one in known]})
        return
    if not known:
        output.print("no measurements yet; `archex measure` measures on this machine, `archex import` imports tables")
        return
    table = Table("device", "quantity", "architectures", "minimum", "maximum", "unit")
    for one in known:
        numbers = (f"{one.count:,}", f"{one.least:.4g}", f"{one.most:.4g}")
        table.add_row(escape(one.device), escape(one.quantity), *numbers, escape(one.unit))
    output.print(table)
