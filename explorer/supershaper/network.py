"""A super-network: one model of the largest shape, every other shape a slice of it (SuperShaper, arXiv 2110.04711).

A sub-network of shape (d₁ … d_L) has the leading d_i rows and columns of everything inside layer i: bottlenecks, query,
key, value and output, LayerNorms, and the feed-forward's ends. Embeddings, head and the feed-forward's inner width stay
whole. Query, key and value are cut as wholes, and their leading d_i rows are shared out among the layer's heads anew,
d_i / heads for each, so one head of a wide layer has rows of several heads of a narrow one.

All this follows from one rule: each parameter of a shape's stand-alone model is the leading part of the parameter of
the same name in the largest one. A sub-network is therefore an ordinary model whose parameters, and their gradients,
are views of the super-network's: nothing is copied forward, and backward each gradient is added where it belongs.
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
    """The configuration of another shape, all other settings alike."""
    changed = copy.copy(config)
    changed.model_dict = to_model_dict(shape)
    changed.merged_bottlenecks = merged
    return changed


class SuperNetwork:
    """Every shape of a backbone within one model.

    Sub-networks share the model's weights, its gradients, its embeddings and its head: of them only one at a time can
    be in training mode, and whatever moves the model to another device or type must come before the first of them.

    Args:
        model: of the largest shape, its bottlenecks not merged.

    Attributes:
        model: the same.
        backbone: what all shapes share.

    Raises:
        InputError: the model's layers are not of the backbone's whole width, or it has merged bottlenecks.
        SpecError: the model is no shape.
    """

    def __init__(self, model: FlexiBertForMaskedLM) -> None:
        config = cast(FlexiBertConfig, model.config)
        spec = spec_of(config)
        self.model, self.backbone, self._config = model, backbone_of(spec), config
        if set(shape_widths(spec)) != {self.backbone.hidden} or config.merged_bottlenecks:
            rule = f"have layers of the backbone's width {self.backbone.hidden} and bottlenecks that are not merged"
            raise InputError("super-network", rule, shape_widths(spec), "Take the largest shape.")
        self._layers: dict[tuple[int, int], FlexiBertLayer] = {}
        self._gradients: dict[nn.Parameter, Tensor] = {}

    @property
    def widest(self) -> Widths:
        """The largest shape."""
        return (self.backbone.hidden,) * self.backbone.layers

    def zero_grad(self) -> None:
        """Set all gradients to zero, in the memory that the sub-networks' gradients are views of.

        To be called before every backward pass that shall not add to earlier ones, and after anything else has dropped
        or replaced gradients (as an optimiser's own ``zero_grad`` does).
        """
        for parameter, gradient in self._all_gradients().items():
            parameter.grad = gradient
        torch._foreach_zero_(list(self._all_gradients().values()))

    @staticmethod
    def backward(loss: Tensor) -> None:
        """Add the gradients of a sub-network's loss to the super-network's."""
        with warnings.catch_warnings():
            # Torch says once that a gradient which is a view may be slower to add to. It is what keeps slices cheap.
            warnings.filterwarnings("ignore", "grad and param do not obey the gradient layout contract")
            loss.backward()

    def sub_network(self, widths: Sequence[int]) -> FlexiBertForMaskedLM:
        """The shape with these widths as a model whose parameters and gradients are views of the super-network's.

        Its dropout within layer i is that of the largest shape times d_i / backbone. It is in the mode (training or
        evaluation) that the super-network's model is in.

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
        """The shape with these widths as a stand-alone model with weights of its own, in evaluation mode.

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
        """Layer ``place`` at a width; made once, as its views stay valid."""
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
        # A leaf of its own: the gradient of a slice of ``whole`` would be a new tensor of the whole's size.
        part = nn.Parameter(leading(whole.detach(), shape))
        part.grad = leading(self._all_gradients()[whole], shape)
        return part

    def _all_gradients(self) -> dict[nn.Parameter, Tensor]:
        """The memory of every parameter's gradient, the same for good."""
        if not self._gradients:
            self._gradients = {one: torch.zeros_like(one) for one in self.model.parameters()}
        return self._gradients


def leading(tensor: Tensor, shape: Sequence[int]) -> Tensor:
    """The leading part of a tensor, as a view of this shape."""
    return tensor[tuple(slice(size) for size in shape)]


def _twin(module: ModelT) -> ModelT:
    """A module of its own that has the same parameters, settings and children; children may be replaced in it."""
    twin = copy.copy(module)
    # accelerate puts a forward of its own, bound to the original, beside the class's.
    vars(twin).pop("forward", None)
    twin._modules = dict(module._modules)
    return twin
