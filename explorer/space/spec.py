"""Architectures: layers of heads and feed-forward stacks (FlexiBERT, arXiv 2205.11656, section 3).

With a *backbone*, every layer lies between two linear bottlenecks (SuperShaper, arXiv 2110.04711): one from the
backbone's width down to the layer's hidden size, one back, without activation or residual connection.

A layer lists its heads. The per-layer form of the paper is a special case: all heads are equal, except that half of the
heads of a convolution layer are scaled-dot-product attention (ConvBERT's head ratio of 2).
"""

from __future__ import annotations

from dataclasses import dataclass

from explorer.errors import SpecError
from explorer.space.operations import Family, find_operation

__all__ = ["ArchitectureSpec", "Family", "HeadOp", "LayerSpec", "per_layer_heads", "require_size"]

MAX_LAYERS, MAX_HIDDEN, MAX_HEADS, MAX_STACK = 64, 8192, 128, 8


def require_size(field: str, value: object, maximum: int) -> int:
    """Return ``value`` if it is a whole number from 1 to ``maximum``, else raise SpecError."""
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= maximum:
        raise SpecError(field, f"be a whole number from 1 to {maximum}", value, "Correct the number.")
    return value


@dataclass(frozen=True, order=True)
class HeadOp:
    """The operation of one head.

    Attributes:
        family: self-attention, linear transform or convolution.
        parameter: ``sdp``/``wma``, ``dft``/``dct``, or the odd kernel size as a string.
        size: width of the head.
    """

    family: Family
    parameter: str
    size: int

    def __post_init__(self) -> None:
        parameter = str(self.parameter)
        operation = find_operation(self.family, parameter)
        object.__setattr__(self, "family", operation.family)
        object.__setattr__(self, "parameter", parameter)
        require_size("head size", self.size, MAX_HIDDEN)

    @property
    def kernel(self) -> int:
        """Kernel size of a convolution; 0 for the other families."""
        return int(self.parameter) if self.family is Family.CONVOLUTION else 0

    def __str__(self) -> str:
        return f"{self.family}_{self.parameter}_{self.size}"


def per_layer_heads(family: str, parameter: str | int, heads: int, hidden: int) -> tuple[HeadOp, ...]:
    """Return the heads of a layer in the per-layer form.

    Args:
        family: ``sa``, ``l`` or ``c``.
        parameter: the family's parameter.
        heads: number of heads; divides ``hidden``, and is even for ``c``.
        hidden: hidden size of the layer.

    Raises:
        SpecError: the numbers are not consistent.
    """
    require_size("heads", heads, MAX_HEADS)
    require_size("hidden size", hidden, MAX_HIDDEN)
    if hidden % heads:
        raise SpecError("heads", f"divide the hidden size {hidden}", heads, "Choose a divisor.")
    own = HeadOp(Family(family) if family in set(Family) else family, str(parameter), hidden // heads)  # type: ignore[arg-type]
    if own.family is not Family.CONVOLUTION:
        return (own,) * heads
    if heads % 2:
        rule = "be even in a convolution layer (half of its heads are sdp attention)"
        raise SpecError("heads", rule, heads, "Choose an even number, or write the layer per head.")
    attention = HeadOp(Family.SELF_ATTENTION, "sdp", own.size)
    return (attention,) * (heads // 2) + (own,) * (heads // 2)


@dataclass(frozen=True)
class LayerSpec:
    """One encoder layer.

    Attributes:
        hidden: hidden size of the layer.
        heads: operation of each head, all of one size; sorted, because their order has no meaning.
        feed_forward: widths of the feed-forward stack, first to last.
    """

    hidden: int
    heads: tuple[HeadOp, ...]
    feed_forward: tuple[int, ...]

    def __post_init__(self) -> None:
        require_size("hidden size", self.hidden, MAX_HIDDEN)
        object.__setattr__(self, "heads", tuple(sorted(self.heads)))
        object.__setattr__(self, "feed_forward", tuple(self.feed_forward))
        if not 1 <= len(self.heads) <= MAX_HEADS:
            raise SpecError("heads", f"be 1 to {MAX_HEADS} heads", len(self.heads), "Give every layer its heads.")
        sizes = {head.size for head in self.heads}
        if len(sizes) != 1:
            raise SpecError("head sizes", "be equal within a layer", sorted(sizes), "Use one size per layer.")
        if not 1 <= len(self.feed_forward) <= MAX_STACK:
            rule = f"hold 1 to {MAX_STACK} widths"
            raise SpecError("feed-forward stack", rule, self.feed_forward, "Give at least one width.")
        for width in self.feed_forward:
            require_size("feed-forward width", width, 4 * MAX_HIDDEN)

    @classmethod
    def per_layer(
        cls, hidden: int, family: str, parameter: str | int, heads: int, feed_forward: tuple[int, ...]
    ) -> LayerSpec:
        """Build a layer from the per-layer form. Raises SpecError where the numbers are not consistent."""
        return cls(hidden, per_layer_heads(family, parameter, heads, hidden), feed_forward)

    @property
    def head_size(self) -> int:
        """Width of each head."""
        return self.heads[0].size

    @property
    def main(self) -> HeadOp | None:
        """The head that represents the layer in the per-layer form, or ``None`` if the layer is not of that form."""
        if self.head_size * len(self.heads) != self.hidden:
            return None
        kinds = sorted(set(self.heads))
        if len(kinds) == 1 and kinds[0].family is not Family.CONVOLUTION:
            return kinds[0]
        convolution = [head for head in kinds if head.family is Family.CONVOLUTION]
        if len(kinds) == 2 and len(convolution) == 1 and len(self.heads) % 2 == 0:
            own = convolution[0]
            if self.heads == tuple(sorted(per_layer_heads("c", own.parameter, len(self.heads), self.hidden))):
                return own
        return None

    @property
    def family(self) -> str:
        """Family of the per-layer form; in a mixed layer the distinct families joined by ``+``."""
        main = self.main
        return main.family.value if main else "+".join(sorted({head.family.value for head in self.heads}))

    @property
    def parameter(self) -> str:
        """Parameter of the per-layer form; in a mixed layer the distinct parameters joined by ``+``."""
        main = self.main
        return main.parameter if main else "+".join(sorted({head.parameter for head in self.heads}))


@dataclass(frozen=True)
class ArchitectureSpec:
    """A Transformer encoder.

    Attributes:
        layers: input to output.
        backbone: width of the embeddings, between the layers and of the output, if every layer has two bottlenecks;
            ``None`` if the layers are connected directly.
    """

    layers: tuple[LayerSpec, ...]
    backbone: int | None = None

    def __post_init__(self) -> None:
        if self.backbone is not None:
            require_size("backbone", self.backbone, MAX_HIDDEN)
        object.__setattr__(self, "layers", tuple(self.layers))
        if not 1 <= len(self.layers) <= MAX_LAYERS:
            raise SpecError("layers", f"be 1 to {MAX_LAYERS} layers", len(self.layers), "Give at least one layer.")

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def is_per_layer(self) -> bool:
        """Whether every layer has the per-layer form."""
        return all(layer.main is not None for layer in self.layers)
