"""Report on a weight transfer: by tensor, by layer, and as text."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """How weights are mapped to tensors of another shape. All methods copy tensors of the same shape."""

    ORDERED = "ordered"
    PROJECTION = "projection"
    TRANSPORT = "transport"


COPIED, FRESH = "copied", "fresh"
"""A tensor that was copied unchanged, and one without a source in the donor."""


@dataclass(frozen=True)
class TensorReport:
    """One tensor of the recipient.

    Attributes:
        name: key in its state dict.
        part: ``embeddings``, ``layer 0`` and so on, or ``head``.
        parameters: number of elements.
        taken: number of elements from the donor; the others keep their initial values.
        how: ``copied``, the method, or ``fresh``.
    """

    name: str
    part: str
    parameters: int
    taken: int
    how: str

    @property
    def share(self) -> float:
        """Fraction of its parameters that was taken, 0 to 1."""
        return self.taken / self.parameters


@dataclass(frozen=True)
class PartReport:
    """Totals of the embeddings, a layer or the head; ``note`` says how many heads were matched."""

    part: str
    parameters: int
    taken: int
    note: str

    @property
    def share(self) -> float:
        """Fraction of its parameters that was taken, 0 to 1."""
        return self.taken / self.parameters


@dataclass(frozen=True)
class TransferReport:
    """Report on a whole transfer.

    Attributes:
        method: the method.
        tensors: every trainable tensor of the recipient, tied ones once.
        notes: (part, remark).
    """

    method: Method
    tensors: tuple[TensorReport, ...]
    notes: tuple[tuple[str, str], ...]

    @property
    def parameters(self) -> int:
        """Number of trainable parameters of the recipient."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def taken(self) -> int:
        """Number of parameters from the donor."""
        return sum(tensor.taken for tensor in self.tensors)

    @property
    def share(self) -> float:
        """Fraction of the parameters that was taken, 0 to 1."""
        return self.taken / self.parameters

    @property
    def parts(self) -> tuple[PartReport, ...]:
        """Embeddings, layers and head, in order."""
        found = []
        for part in dict.fromkeys(tensor.part for tensor in self.tensors):
            own = [tensor for tensor in self.tensors if tensor.part == part]
            sizes = sum(tensor.parameters for tensor in own), sum(tensor.taken for tensor in own)
            note = "; ".join(text for name, text in self.notes if name == part)
            found.append(PartReport(part, *sizes, note))
        return tuple(found)

    def text(self) -> str:
        """Return a line for the whole and one for every part."""
        lines = [f"{self.method}: {self.taken:,} of {self.parameters:,} parameters taken ({self.share:.0%})"]
        for part in self.parts:
            note = f"; {part.note}" if part.note else ""
            lines.append(
                f"  {part.part}: {part.share:.0%} of {part.parameters:,}{_ways(self.tensors, part.part)}{note}"
            )
        return "\n".join(lines)


def _ways(tensors: Iterable[TensorReport], part: str) -> str:
    sizes: dict[str, int] = {}
    for tensor in tensors:
        if tensor.part == part and tensor.taken:
            sizes[tensor.how] = sizes.get(tensor.how, 0) + tensor.taken
    return f" ({', '.join(f'{size:,} {how}' for how, size in sizes.items())})" if sizes else ""
