"""The load of a measurement, and the names of measured quantities.

A quantity is named ``NAME_bBATCH_lLENGTH_PRECISION``, for example ``latency_b1_l128_fp32``, so that only measurements
under equal loads share a name; a vocabulary other than BERT's 30,522 tokens adds ``_vTOKENS``. Latencies are in
seconds, memory in bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from explorer.errors import InputError

LONGEST = 8192
QUANTITY = re.compile(r"(?P<name>.+?)_b\d+_l\d+_[a-z0-9]+(_v\d+)?")
VOCABULARY = 30522
"""Size of BERT's vocabulary."""


class Precision(StrEnum):
    """Floating-point precision. Inference in bf16 has bf16 weights; training in bf16 has fp32 weights and autocast."""

    FP32 = "fp32"
    BF16 = "bf16"


@dataclass(frozen=True)
class Load:
    """The input and the precision of a measured run.

    Attributes:
        batch: number of sequences.
        length: tokens of each sequence, without padding.
        precision: floating-point precision.
        vocabulary: size of the model's vocabulary.

    Raises:
        InputError: a number is out of range.
    """

    batch: int = 1
    length: int = 128
    precision: Precision = Precision.FP32
    vocabulary: int = VOCABULARY

    def __post_init__(self) -> None:
        limits = (
            ("batch", self.batch, 65536),
            ("length", self.length, LONGEST),
            ("vocabulary", self.vocabulary, 10**6),
        )
        for name, value, most in limits:
            if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
                raise InputError(name, f"be a whole number from 1 to {most:,}", value, "Correct the number.")
        if self.precision not in set(Precision):
            raise InputError("precision", f"be {' or '.join(Precision)}", self.precision, "Use one of the two.")
        object.__setattr__(self, "precision", Precision(self.precision))

    def quantity(self, name: str) -> str:
        """Return the full name of a quantity measured under this load."""
        words = "" if self.vocabulary == VOCABULARY else f"_v{self.vocabulary}"
        return f"{name}_b{self.batch}_l{self.length}_{self.precision}{words}"


def quantity_name(quantity: str) -> str:
    """Return the name of a quantity without its load, such as ``latency`` for ``latency_b1_l128_fp32``."""
    match = QUANTITY.fullmatch(quantity)
    return match["name"] if match else quantity
