"""``archex plot``: a figure of one or several studies, saved to a file."""

from __future__ import annotations

import time
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from explorer.cli.console import DEFAULT_STORE, JsonOption, SeedOption, StoreOption, opened, output, print_json
from explorer.errors import InputError
from graphstore import GraphStore
from graphstore.records import StudyRecord


class Figure(StrEnum):
    """The figures."""

    HISTORY = "history"
    ACQUISITION = "acquisition"
    PARALLEL = "parallel"
    IMPORTANCE = "importance"
    PARETO = "pareto"
    TIMELINE = "timeline"


class Shown(StrEnum):
    """The posterior quantity that colours the map."""

    UCB = "ucb"
    MEAN = "mean"
    UNCERTAINTY = "uncertainty"


def plot(
    figure: Annotated[Figure, typer.Argument(help="The figure to draw.", show_choices=True)],
    study: Annotated[list[str], typer.Argument(help="Names of comparable studies, or patterns such as 'nano-mean-*'.")],
    save: Annotated[Path, typer.Option("--save", help="File to write: .html (self-contained), .png, .svg, .pdf.")],
    regret: Annotated[
        bool, typer.Option("--regret", help="history: draw the simple regret, for known scores.")
    ] = False,
    shown: Annotated[Shown, typer.Option("--show", help="acquisition: the quantity that colours the map.")] = Shown.UCB,
    against: Annotated[
        list[str] | None,
        typer.Option("--against", help="pareto: parameters (default), flops, depth, QUANTITY@DEVICE. Repeatable."),
    ] = None,
    seed: SeedOption = 0,
    store: StoreOption = DEFAULT_STORE,
    json: JsonOption = False,
) -> None:
    """Draw the history, the posterior on the map, parallel coordinates, importance, Pareto set or timeline."""
    from explorer.plots.saving import check_target, save_figure
    from explorer.studies import frames as pictures

    check_target(save)
    _check_options(figure, regret, shown, against)
    with opened(store, create=False) as opened_store:
        studies = pictures.find_studies(opened_store, study)
        drawn, facts = _draw(
            opened_store, studies, figure, regret, shown, list(dict.fromkeys(against or ["parameters"])), seed
        )
    size = save_figure(drawn, save)
    names = [one.name for one in studies]
    if json:
        print_json({"figure": figure.value, "file": str(save), "bytes": size, "studies": names, **facts})
    else:
        listed = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
        output.print(
            f"{figure.value} of {len(names)} studies written to {save}: {listed}", markup=False, soft_wrap=True
        )


def _check_options(figure: Figure, regret: bool, shown: Shown, against: Sequence[str] | None) -> None:
    for option, given, own in (
        ("--regret", regret, Figure.HISTORY),
        ("--show", shown is not Shown.UCB, Figure.ACQUISITION),
        ("--against", against, Figure.PARETO),
    ):
        if given and figure is not own:
            raise InputError(option, f"come with {own.value}", figure.value, "Leave it out.")


def _draw(
    store: GraphStore,
    studies: Sequence[StudyRecord],
    figure: Figure,
    regret: bool,
    shown: Shown,
    against: Sequence[str],
    seed: int,
) -> tuple[Any, dict[str, Any]]:
    """Return the figure and facts about it."""
    from explorer import plots
    from explorer.analysis.importance import choice_importance, parallel_axes
    from explorer.plots.pareto import study_axes
    from explorer.studies import frames as pictures
    from explorer.studies.spec import StudySpec

    trials = {one.name: store.trials(one.name) for one in studies}
    objective = StudySpec.of(studies[0]).objective
    values = pictures.trial_values(trials)
    if figure is Figure.TIMELINE:
        bars = pictures.timeline_frame(studies, trials, time.time())
        if bars.empty:
            raise InputError("study", "have a trial that was started", studies[0].name, "Start it first.")
        return plots.trial_timeline(bars), {"trials": len(bars)}
    if values.empty:
        raise InputError("study", "have a finished trial with a value", studies[0].name, "Let it continue first.")
    match figure:
        case Figure.HISTORY:
            best = pictures.best_known(store, studies[0])
            if regret and best is None:
                raise InputError("--regret", "come with studies on known scores", studies[0].name, "Leave it out.")
            curves = pictures.history_frame(studies, trials, best)
            bands = pictures.history_bands(curves, "regret" if regret else "best", seed)
            facts = {"evaluations": len(curves), "best": float(values.max()), "best_known": best}
            return plots.best_so_far_curves(curves, objective, None, bands, regret), facts
        case Figure.ACQUISITION:
            if len(studies) > 1:
                raise InputError("study", "be one, because each has its own posterior", len(studies), "Name one.")
            own = trials[studies[0].name]
            posterior = pictures.posterior_frame(store, studies[0], own)
            points, spread = pictures.map_points(store, studies[0].space)
            axes = (f"coordinate 1 ({spread.x:.0%} of the variance)", f"coordinate 2 ({spread.y:.0%})")
            placed = pictures.trial_points(own)
            drawn = plots.acquisition_map(
                points, posterior, placed, objective, plots.PosteriorQuantity(shown.value), axes
            )
            return drawn, {"candidates": len(posterior), "trials": len(placed)}
        case Figure.PARETO:
            table, front = pictures.pareto_points(store, values, against)
            if table.empty:
                raise InputError("--against", "be known of an evaluated architecture", list(against), "Measure it.")
            facts = {"architectures": len(table), "front": len(front)}
            return plots.pareto_plot(table, front, study_axes(objective, against)), facts
    choices = pictures.trial_choices(store, values)
    if figure is Figure.PARALLEL:
        drawn = parallel_axes(choices, values)
        return plots.parallel_coordinates(drawn, values, objective), {"architectures": len(values), "axes": len(drawn)}
    found = choice_importance(choices, values, seed)
    facts = {"architectures": found.scored, "explained": round(found.explained, 4)}
    return plots.importance_bars(found.choices, objective), facts
