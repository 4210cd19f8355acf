"""Default choices of a super-network: its backbone, widths and recipe, and which shapes to evaluate."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from explorer.errors import Advice, InputError, Remedy
from explorer.space.backbones import BERT_BASE, WIDTHS, Backbone, parse_widths
from explorer.training.recipe import RECIPES, Recipe, recipe_named

if TYPE_CHECKING:
    from explorer.supershaper.folder import SuperSettings
    from explorer.supershaper.training import SuperPlan

BACKBONES = {
    "nano": Backbone(hidden=64, heads=4, feed_forward=256, layers=4),
    "bert-mini": Backbone(hidden=256, heads=4, feed_forward=1024, layers=4),
    "base": BERT_BASE,
}
"""Backbones by name."""
SAMPLED = 2
"""Random shapes per step, in addition to the largest and the smallest."""
HEAD_SIZE = 64
NANO_RATE, USUAL_RATE, USUAL_LENGTH, USUAL_VOCABULARY = 1e-3, 2e-4, 128, 28_996
MOST_EVALUATED = 20_000
"""Most sampled shapes of one evaluation."""


def super_settings(
    backbone: str = "nano",
    widths: str = "",
    steps: int | None = None,
    text: Path | None = None,
    bert: str = "",
    distil: float = 0.0,
    sampled: int = SAMPLED,
    recipe: str = "",
    seed: int = 0,
    cased: bool | None = None,
) -> SuperSettings:
    """Build the settings of a super-network from a few choices and defaults for the rest.

    Args:
        backbone: name in ``BACKBONES``, or ``LAYERSxHIDDEN``, for example ``12x768``.
        widths: widths of a layer, separated by commas; by default a quarter, half, three quarters and all of the
            backbone's width, or the paper's seven widths for its backbone.
        steps: optimiser steps; by default those of the recipe.
        text: text file, or folder with ``train.txt`` and ``valid.txt``; by default the default text.
        bert: a BERT checkpoint that initialises the weights and the vocabulary: its folder, or its name on the hub.
        distil: share of the smaller shapes' loss that comes from the largest shape's predictions, 0 to 1.
        sampled: random shapes per step, in addition to the largest and the smallest.
        recipe: name or YAML file of a recipe; the default depends on the backbone's width.
        seed: seed of the training.
        cased: whether BERT's tokenizer keeps capitals; by default decided from the checkpoint.

    Raises:
        InputError: a choice breaks a rule, or the BERT checkpoint does not exist.
        DataError: the BERT checkpoint has no readable configuration.
    """
    from explorer.supershaper.folder import SuperSettings
    from explorer.supershaper.training import SuperPlan

    found = backbone_named(backbone)
    chosen = recipe_named(recipe) if recipe else default_recipe(found)
    if steps is not None:
        chosen = replace(chosen, pretrain_steps=steps)
    if cased is not None and not bert:
        rule = "come with a BERT checkpoint, whose tokenizer it is about"
        raise InputError("cased", rule, cased, "Name the checkpoint, or leave it out.")
    start = ""
    if bert:
        checkpoint, length = _bert(bert)
        start, chosen = str(checkpoint.resolve()), replace(chosen, length=length)
    if text is not None and not text.exists():
        raise InputError("text", "be an existing path", str(text), "Check the path.")
    plan = SuperPlan(found, _widths(found, widths), chosen, seed, sampled, distil)
    return SuperSettings(plan, str(text.resolve()) if text else "", start, cased)


def backbone_named(text: str) -> Backbone:
    """Return a backbone by name or as ``12x768``: heads of size 64 (at least four), feed-forward size 4 × hidden.

    Raises:
        InputError: the text is neither.
    """
    if text in BACKBONES:
        return BACKBONES[text]
    layers, x, hidden = text.partition("x")
    if not (x and all(part.isascii() and part.isdigit() and len(part) <= 5 for part in (layers, hidden))):
        rule = f"be {', '.join(BACKBONES)} or LAYERSxHIDDEN"
        raise InputError("backbone", rule, text, "Write for example 12x768.")
    width = int(hidden)
    backbone = Backbone(width, max(4, width // HEAD_SIZE), 4 * width, int(layers))
    backbone.spec([width] * backbone.layers)
    return backbone


def default_recipe(backbone: Backbone) -> Recipe:
    """Return a backbone's default recipe: the nano recipe below width 128, else a shortened paper recipe."""
    if backbone.hidden < 128:
        return replace(RECIPES["nano"], pretrain_rate=NANO_RATE)
    return replace(
        RECIPES["paper"],
        pretrain_steps=10_000,
        pretrain_rate=USUAL_RATE,
        pretrain_length=USUAL_LENGTH,
        length=USUAL_LENGTH,
        vocab_size=USUAL_VOCABULARY,
    )


def shape_of(plan: SuperPlan, text: str) -> tuple[int, ...]:
    """Parse a shape of the super-network.

    Raises:
        InputError: the text is not a list of widths, or the super-network does not hold the shape.
    """
    widths, backbone = parse_widths(text), plan.backbone
    if widths is None:
        rule = f"be {backbone.layers} widths separated by commas"
        raise InputError("shape", rule, text, "Write for example " + ",".join([str(backbone.hidden)] * backbone.layers))
    plan.check(widths)
    return widths


def shapes_to_evaluate(plan: SuperPlan, shapes: Sequence[str], sample: int, seed: int) -> list[tuple[int, ...]]:
    """Return distinct shapes: the named ones, then ``sample`` random ones of the super-network's widths.

    Raises:
        InputError: a shape is invalid, there is none, or there are fewer shapes than the sample needs.
    """
    most = min(MOST_EVALUATED, len(plan.widths) ** plan.backbone.layers - len(shapes))
    if not (shapes or sample) or sample > most:
        rule = f"be named, or sampled: at most {most}"
        raise InputError("shapes", rule, sample, Advice(Remedy.SAMPLE_SHAPES))
    rng = np.random.default_rng(seed)
    chosen = dict.fromkeys(shape_of(plan, text) for text in shapes)
    wanted = len(chosen) + sample
    while len(chosen) < wanted:
        chosen[tuple(map(int, rng.choice(plan.widths, plan.backbone.layers)))] = None
    return list(chosen)


def _widths(backbone: Backbone, text: str) -> tuple[int, ...]:
    if not text:
        quarters = (backbone.hidden * part // 4 for part in (1, 2, 3, 4))
        multiples = (width // backbone.heads * backbone.heads for width in quarters)
        return WIDTHS if backbone == BERT_BASE else tuple(sorted(set(multiples)))
    found = parse_widths(text)
    if found is None:
        raise InputError("widths", "be integers separated by commas", text, "Write for example 16,32,64.")
    return found


def _bert(name: str) -> tuple[Path, int]:
    """Return a BERT checkpoint, its folder or a file of weights, and its number of positions.

    Raises:
        InputError, DataError: there is none, or it has no readable configuration.
    """
    from explorer.models.checkpoint import find_checkpoint, read_settings

    found = find_checkpoint(name)
    length = read_settings(found.folder)[0].get("max_position_embeddings", 512)
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        rule = "be a whole number of at least 1"
        raise InputError("checkpoint: max_position_embeddings", rule, length, "Choose another checkpoint.")
    return found.weights or found.folder, length
