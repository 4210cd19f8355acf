"""A super-network: one model of the largest shape; every other shape is a slice of it (SuperShaper, arXiv 2110.04711).

A sub-network of shape (d₁ … d_L) has the leading d_i rows and columns of everything inside layer i: bottlenecks, query,
key, value and output, LayerNorms, and the input and output sides of the feed-forward stack. Embeddings, head and the
feed-forward's inner width are not sliced. The leading d_i rows of query, key and value are redistributed over the
layer's heads, d_i / heads rows each, so one head of a wide layer has the rows of several heads of a narrow one.

One rule implies all this: each parameter of a shape's stand-alone model is the leading slice of the parameter of the
same name in the largest one. A sub-network is therefore an ordinary model whose parameters and gradients are views of
the super-network's: the forward pass copies nothing, and the backward pass accumulates in place.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from typing import TypeVar, cast

import torch
from torch import Tensor, nn

from explorer.errors import InputError
from explorer.models import FlexiBertConfig, FlexiBertForMaskedLM, spec_of
from explorer.models.flexibert.modeling_flexibert import FlexiBertLayer
from explorer.space.backbones import backbone_of, shape_widths
from explorer.space.formats import to_model_dict
from explorer.space.spec import ArchitectureSpec

Widths = tuple[int, ...]
ModelT = TypeVar("ModelT", bound=nn.Module)


def shape_config(config: FlexiBertConfig, shape: ArchitectureSpec, merged: bool = False) -> FlexiBertConfig:
    """Return the configuration of another shape with otherwise equal settings."""
    changed = copy.copy(config)
    changed.model_dict = to_model_dict(shape)
    changed.merged_bottlenecks = merged
    return changed


class SuperNetwork:
    """All shapes of a backbone in one model.

    Sub-networks share the model's weights, gradients, embeddings and head: only one at a time can be in training mode,
    and the model must be moved to its device and dtype before the first one is created.

    Args:
        model: model of the largest shape with unmerged bottlenecks.

    Attributes:
        model: the same model.
        backbone: sizes that all shapes share.

    Raises:
        InputError: a layer is narrower than the backbone, or the bottlenecks are merged.
        SpecError: the model is not a shape.
    """

    def __init__(self, model: FlexiBertForMaskedLM) -> None:
        config = cast(FlexiBertConfig, model.config)
        spec = spec_of(config)
        self.model, self.backbone, self._config = model, backbone_of(spec), config
        if set(shape_widths(spec)) != {self.backbone.hidden} or config.merged_bottlenecks:
            rule = f"have layers of the backbone's width {self.backbone.hidden} and unmerged bottlenecks"
            raise InputError("super-network", rule, shape_widths(spec), "Take the largest shape.")
        self._layers: dict[tuple[int, int], FlexiBertLayer] = {}
        self._gradients: dict[nn.Parameter, Tensor] = {}

    @property
    def widest(self) -> Widths:
        """The largest shape."""
        return (self.backbone.hidden,) * self.backbone.layers

    def zero_grad(self) -> None:
        """Set all gradients to zero in place, because the sub-networks' gradients are views of them.

        Call it before every backward pass that should not accumulate, and after other code has dropped or replaced
        gradients (as an optimiser's ``zero_grad`` does).
        """
        for parameter, gradient in self._all_gradients().items():
            parameter.grad = gradient
        torch._foreach_zero_(list(self._all_gradients().values()))

    @staticmethod
    def backward(loss: Tensor) -> None:
        """Accumulate the gradients of a sub-network's loss in the super-network."""
        with warnings.catch_warnings():
            # Torch warns once that accumulating into a view may be slower. The views are what makes slices cheap.
            warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")
            loss.backward()

    def sub_network(self, widths: Sequence[int]) -> FlexiBertForMaskedLM:
        """Return the shape with these widths as a model whose parameters and gradients are views.

        Its dropout in layer i is that of the largest shape times d_i / backbone width. Its mode (training or
        evaluation) is that of the super-network's model.

        Raises:
            SpecError: the widths do not fit the backbone.
        """
        config = shape_config(self._config, self.backbone.spec(widths))
        sub, encoder = _twin(self.model), _twin(self.model.flexibert)
        layers = [self._layer(place, width) for place, width in enumerate(widths)]
        for layer in layers:
            if layer.training != self.model.training:
                layer.train(self.model.training)
        encoder.layers = nn.ModuleList(layers)
        sub.flexibert = encoder
        sub.config = encoder.config = config
        return sub

    def extract(self, widths: Sequence[int]) -> FlexiBertForMaskedLM:
        """Return the shape with these widths as a stand-alone model with its own weights, in evaluation mode.

        Raises:
            SpecError: the widths do not fit the backbone.
        """
        alone = FlexiBertForMaskedLM(shape_config(self._config, self.backbone.spec(widths)))
        alone.to(self.model.device, self.model.dtype)  # type: ignore[arg-type]
        full = dict(self.model.named_parameters())
        with torch.no_grad():
            for name, parameter in alone.named_parameters():
                parameter.copy_(leading(full[name], parameter.shape))
        return alone.eval()

    def _layer(self, place: int, width: int) -> FlexiBertLayer:
        """Return layer ``place`` at a width; cached, because its views stay valid."""
        if (place, width) not in self._layers:
            whole = self.model.flexibert.layers[place]
            config = shape_config(self._config, self.backbone.spec((width,) * self.backbone.layers))
            share = width / self.backbone.hidden
            config.hidden_dropout_prob *= share
            config.attention_probs_dropout_prob *= share
            with torch.device("meta"):
                layer = FlexiBertLayer(config, place)
            full = dict(whole.named_parameters())
            for name, parameter in layer.named_parameters():
                owner, _, own = name.rpartition(".")
                setattr(layer.get_submodule(owner), own, self._view(full[name], parameter.shape))
            self._layers[place, width] = layer
        return self._layers[place, width]

    def _view(self, whole: nn.Parameter, shape: torch.Size) -> nn.Parameter:
        # A new leaf: the gradient of a slice of ``whole`` would be a new tensor of the full size.
        part = nn.Parameter(leading(whole.detach(), shape))
        part.grad = leading(self._all_gradients()[whole], shape)
        return part

    def _all_gradients(self) -> dict[nn.Parameter, Tensor]:
        """Allocate every parameter's gradient once; the tensors are never replaced."""
        if not self._gradients:
            self._gradients = {one: torch.zeros_like(one) for one in self.model.parameters()}
        return self._gradients


def leading(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the leading slice of a tensor with this shape, as a view."""
    return tensor[tuple(slice(size) for size in shape)]


def _twin(module: ModelT) -> ModelT:
    """Return a shallow copy of a module with the same parameters and settings whose children can be replaced."""
    twin = copy.copy(module)
    # accelerate adds an instance attribute `forward` that is bound to the original module.
    vars(twin).pop("forward", None)
    twin._modules = dict(module._modules)
    return twin
