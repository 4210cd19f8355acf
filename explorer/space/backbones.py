"""Shapes: architectures of SuperShaper's space (arXiv 2110.04711), defined by the width of each layer.

The backbone (BERT-Base in the paper) keeps its width between the layers; layer i has width d_i inside. A shape is an
ordinary architecture with a backbone, so graphs, ids and stores need no special case; this module only converts widths.
The paper's space is the preset ``supershaper``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from explorer.errors import SpecError
from explorer.space.grammar import DesignSpace
from explorer.space.layers import OperationsPer
from explorer.space.spec import ArchitectureSpec, LayerSpec

WIDTHS = (120, 240, 360, 480, 540, 600, 768)
"""Layer widths in the paper."""


@dataclass(frozen=True)
class Backbone:
    """The part that all shapes share; BERT-Base by default.

    Attributes:
        hidden: width of the embeddings, of the connections between layers, and of the output.
        heads: attention heads of every layer; each has width d_i / heads.
        feed_forward: inner width of every feed-forward layer; slicing does not change it.
        layers: number of layers.
    """

    hidden: int = 768
    heads: int = 12
    feed_forward: int = 3072
    layers: int = 12

    def spec(self, widths: Sequence[int]) -> ArchitectureSpec:
        """Return the shape with these widths, one per layer.

        Raises:
            SpecError: the number of widths is not ``layers``, or a width exceeds the backbone's or is not a multiple of
                the number of heads.
        """
        if len(widths) != self.layers:
            rule = f"be {self.layers} widths, one per layer"
            raise SpecError("shape", rule, len(widths), "Give one width for every layer of the backbone.")
        layers = []
        for place, width in enumerate(widths):
            if width > self.hidden:
                rule = f"be at most the backbone's {self.hidden}"
                raise SpecError(f"shape, layer {place}", rule, width, "Narrow the layer.")
            try:
                layers.append(LayerSpec.per_layer(width, "sa", "sdp", self.heads, (self.feed_forward,)))
            except SpecError as error:
                raise error.at(f"shape, layer {place}") from None
        return ArchitectureSpec(tuple(layers), self.hidden)

    def space(self, widths: Sequence[int], name: str = "shapes") -> DesignSpace:
        """Return the space of all shapes with these layer widths. Raises SpecError where a width is not possible."""
        for width in widths:
            self.spec([width] * self.layers)
        return DesignSpace(
            name=name,
            title=f"Shapes of {self.layers} layers on a backbone of width {self.hidden}",
            hidden=tuple(widths),
            heads=((self.heads,),) * len(widths),
            layers=(self.layers,),
            operations=(("sa", "sdp"),),
            operations_per=OperationsPer.LAYER,
            ff_depths=(1,),
            ff_widths=(self.feed_forward,),
            layers_per_stack=1,
            heterogeneous_feed_forward=False,
            backbone=self.hidden,
        )


BERT_BASE = Backbone()


def backbone_of(spec: ArchitectureSpec) -> Backbone:
    """Return the backbone of a shape.

    Raises:
        SpecError: the architecture is not a shape.
    """
    layer = spec.layers[0]
    backbone = Backbone(spec.backbone or 0, len(layer.heads), layer.feed_forward[0], spec.depth)
    if spec.backbone is None:
        raise SpecError("backbone", "be given in a shape", None, "Give b, or choose a shape.")
    if backbone.spec(shape_widths(spec)) != spec:
        rule = "have sdp heads of one number and one feed-forward width throughout"
        raise SpecError("shape", rule, [layer.family for layer in spec.layers], "Choose a shape.")
    return backbone


def is_shape(spec: ArchitectureSpec) -> bool:
    """Return whether an architecture is a shape of some backbone."""
    try:
        backbone_of(spec)
    except SpecError:
        return False
    return True


def shape_spec(widths: Sequence[int], backbone: Backbone = BERT_BASE) -> ArchitectureSpec:
    """Return the shape with these widths. Raises SpecError where a width is not possible."""
    return backbone.spec(widths)


def shape_widths(spec: ArchitectureSpec) -> tuple[int, ...]:
    """Return the width of each layer."""
    return tuple(layer.hidden for layer in spec.layers)


def parse_widths(text: str) -> tuple[int, ...] | None:
    """Read ``480,240,…``; return ``None`` if the text is not a list of whole numbers."""
    parts = [part.strip() for part in text.split(",")]
    if len(parts) < 2 or not all(part.isascii() and part.isdigit() and len(part) <= 6 for part in parts):
        return None
    return tuple(map(int, parts))
