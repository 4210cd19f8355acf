"""What a transfer of weights took: tensor by tensor, layer by layer, and as a text for people."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Method(StrEnum):
    """How weights are fitted into tensors of another shape. Tensors of the same shape are copied by each."""

    ORDERED = "ordered"
    PROJECTION = "projection"
    TRANSPORT = "transport"


COPIED, FRESH = "copied", "fresh"
"""What happened to a tensor that the method did not have to change, and to one without a source."""


@dataclass(frozen=True)
class TensorReport:
    """One tensor of the recipient.

    Attributes:
        name: as in its state dict.
        part: ``embeddings``, ``layer 0`` and so on, or ``head``.
        parameters: numbers in it.
        taken: how many of them come from the donor; the others keep their fresh values.
        how: ``copied``, the method, or ``fresh``.
    """

    name: str
    part: str
    parameters: int
    taken: int
    how: str

    @property
    def share(self) -> float:
        """Part of its numbers that was taken, 0 to 1."""
        return self.taken / self.parameters


@dataclass(frozen=True)
class PartReport:
    """Embeddings, a layer or the head; attributes as in TensorReport, ``note`` says which heads were matched."""

    part: str
    parameters: int
    taken: int
    note: str

    @property
    def share(self) -> float:
        """Part of its numbers that was taken, 0 to 1."""
        return self.taken / self.parameters


@dataclass(frozen=True)
class TransferReport:
    """A whole transfer.

    Attributes:
        method: how.
        tensors: every trainable tensor of the recipient, tied ones once.
        notes: (part, what is to be said of it).
    """

    method: Method
    tensors: tuple[TensorReport, ...]
    notes: tuple[tuple[str, str], ...]

    @property
    def parameters(self) -> int:
        """Trainable numbers of the recipient."""
        return sum(tensor.parameters for tensor in self.tensors)

    @property
    def taken(self) -> int:
        """How many come from the donor."""
        return sum(tensor.taken for tensor in self.tensors)

    @property
    def share(self) -> float:
        """Part of the parameters that was taken, 0 to 1."""
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
        """A line for the whole and one for every part."""
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
