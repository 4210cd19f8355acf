"""Super-networks and the store: shapes as architectures, their perplexities as scores, studies that only evaluate.

A score of task ``masked_lm`` is minus the natural logarithm of the masked-LM perplexity on held-out text, so that more
is better. Its fidelity says where the shape stood: ``inside super-network MARK, …``, or ``stand-alone, …`` after a
training of its own; the two never mix. Inside perplexities are also measurements of the device ``supernet-MARK``, so
they can be costs and constraints (``perplexity@supernet-MARK<=20``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import InputError
from explorer.library.build import build_library, build_space, has_space, is_ready
from explorer.library.importing import check_space_name
from explorer.library.workplace import run_folder
from explorer.progress import Reporter
from explorer.similarity.graph import architecture_id
from explorer.space.backbones import shape_widths
from explorer.space.formats import from_json
from explorer.space.grammar import DesignSpace
from explorer.space.spec import ArchitectureSpec
from explorer.studies.coordinator import OnPoll, drive
from explorer.studies.driver import own_scores
from explorer.studies.executors.contract import Executor, WorkerOrder
from explorer.studies.worker import Evaluation, KeepScore, Report, ShouldStop, score_record
from explorer.supershaper.scores import (
    INSIDE_TASK,
    QUANTITY,
    ROWS,
    UNIT,
    ShapeScore,
    Widths,
    device_name,
    inside_prefix,
    task_score,
)
from graphstore import GraphStore
from graphstore.records import MeasurementRecord, StudyRecord, TrialRecord

if TYPE_CHECKING:
    from explorer.supershaper.folder import OpenSuperNetwork
    from explorer.supershaper.training import SuperPlan

SETTING = "supernet"
"""Setting of a study that names the super-network's folder instead of a recipe."""
COLLECTED = {"from": SETTING}
"""What a space of single shapes says it was made from."""
MOST_WHOLE = 3000
"""Spaces of more shapes are not put into a store as a whole."""
EVALUATOR = "explorer.studies.supernet:SupernetEvaluator"


def keep_scores(
    store: GraphStore, opened: OpenSuperNetwork, space: str, found: Sequence[ShapeScore], reporter: Reporter
) -> None:
    """Put shapes into a space, with scores, and measurements of those inside. Writing the same again adds nothing.

    Args:
        store: where to.
        opened: the super-network.
        space: its name; a new one holds all shapes of the super-network's widths where they are few, else those found.
        found: the perplexities.
        reporter: told of the phases of building a library.

    Raises:
        InputError: as ``check_space``.
    """
    backbone = opened.settings.plan.backbone
    ids = {one.widths: architecture_id(backbone.spec(one.widths)) for one in found}
    _place(store, opened, space, list(ids), reporter)
    source = f"supernet:{opened.mark}"
    store.add_scores([score_record(task_score(opened, one), ids[one.widths], source) for one in found])
    device = device_name(opened)
    store.add_measurements(
        [
            MeasurementRecord(ids[one.widths], device, QUANTITY, one.perplexity, UNIT)
            for one in found
            if one.alone is None
        ]
    )


def check_space(store: GraphStore, opened: OpenSuperNetwork, space: str, shapes: Sequence[Widths]) -> None:
    """Check that ``keep_scores`` may put shapes into a space; to be asked before the work of evaluating them.

    Raises:
        InputError: the space is defined otherwise, and does not hold them. DataError: it must not be named so.
    """
    check_space_name(space)
    whole = _whole(opened, space)
    if not has_space(store, space) or _source(store, space) == COLLECTED:
        return
    if whole is not None and _source(store, space) == json.loads(json.dumps(whole.source())):
        return
    if not _holds(store, opened, space, shapes):
        rule = f"hold these shapes, or be new: space {space} is defined otherwise"
        raise InputError("--space", rule, space, "Choose another name.")


def _whole(opened: OpenSuperNetwork, space: str) -> DesignSpace | None:
    """All shapes of the super-network's widths, where they are few."""
    plan = opened.settings.plan
    grammar = plan.backbone.space(plan.widths, space)
    return grammar if grammar.count() <= MOST_WHOLE else None


def _source(store: GraphStore, space: str) -> Mapping[str, Any] | None:
    """What a space of the store says it was made from."""
    return store.space(space).info.get("source")


def _holds(store: GraphStore, opened: OpenSuperNetwork, space: str, shapes: Sequence[Widths]) -> bool:
    """Whether a finished space of the store has these shapes."""
    held, backbone = set(store.architecture_ids(space)), opened.settings.plan.backbone
    return is_ready(store, space) and all(architecture_id(backbone.spec(widths)) in held for widths in shapes)


def _place(
    store: GraphStore, opened: OpenSuperNetwork, space: str, shapes: Sequence[Widths], reporter: Reporter
) -> None:
    check_space(store, opened, space, shapes)
    whole, new = _whole(opened, space), not has_space(store, space)
    if whole is not None and (new or _source(store, space) != COLLECTED):
        if new or not _holds(store, opened, space, shapes):
            build_space(store, whole, reporter)  # also goes on with one that was interrupted
    elif new or not _holds(store, opened, space, shapes):
        specs = [opened.settings.plan.backbone.spec(widths) for widths in shapes]
        title = f"Shapes of super-network {opened.mark}"
        build_library(store, space, specs, reporter, source=COLLECTED, title=title)


def check_supernet(settings: Mapping[str, Any], objective: str) -> None:
    """Check a study that evaluates inside a super-network, before anything is written.

    Raises:
        InputError: the objective is another one; DataError: there is no complete super-network.
    """
    from explorer.supershaper.folder import check_folder

    if objective != INSIDE_TASK:
        rule = f"be {INSIDE_TASK} where shapes are evaluated inside a super-network"
        raise InputError("objective", rule, objective, "Leave it out.")
    check_folder(Path(settings[SETTING]))


def check_shapes(store: GraphStore, space: str, settings: Mapping[str, Any]) -> None:
    """Check that a super-network can evaluate all of a space that a study shall search; others are left alone.

    Raises:
        InputError: one of its architectures is no shape that the super-network was trained with; DataError: there is no
            complete super-network.
    """
    from explorer.supershaper.folder import check_folder

    if SETTING in settings:
        plan = check_folder(Path(settings[SETTING])).plan
        for one in store.summaries(space):
            _trained_widths(plan, from_json(one.spec), one.id)


def _trained_widths(plan: SuperPlan, spec: ArchitectureSpec, id: str) -> Widths:
    backbone, widths = plan.backbone, shape_widths(spec)
    with suppress(InputError):
        if plan.check(widths) == spec:
            return widths
    told = f"{backbone.layers} layers, {backbone.hidden} wide, with widths {', '.join(map(str, plan.widths))}"
    rule = f"be a shape that the super-network was trained with ({told})"
    found = f"{id}, of widths {', '.join(map(str, widths))}"
    raise InputError("architecture", rule, found, "Search a space that `archex supernet evaluate --store` made.")


def run_inside(
    store: GraphStore,
    study: StudyRecord,
    executor: Executor,
    reporter: Reporter,
    stop: Callable[[], bool],
    on_poll: OnPoll | None = None,
) -> StudyRecord:
    """Run a study whose trials are evaluated inside a super-network by an executor's workers.

    Raises:
        ExplorerError: workers keep dying; InputError, DataError: as ``check_supernet``, or the folder has another
            super-network than the one the study began with.
    """
    check_supernet(study.settings, study.objective)
    _check_same_network(store, study)
    threads = executor.resources.threads
    order = WorkerOrder(store.url, study.name, study.created, threads=threads, evaluator=EVALUATOR)
    return drive(store, study, executor, order, reporter, stop, on_poll)


def _check_same_network(store: GraphStore, study: StudyRecord) -> None:
    """Refuse to go on inside another super-network: old and new scores of the study would not be comparable."""
    from explorer.supershaper.folder import folder_mark

    folder = Path(study.settings[SETTING])
    mark = folder_mark(folder)
    for score in own_scores(store, study, INSIDE_TASK):
        if not score.fidelity.startswith(inside_prefix(mark)):
            rule = f"hold the super-network that study {study.name} began with ({score.fidelity})"
            raise InputError(str(folder), rule, f"super-network {mark}", "Begin another study.")


class SupernetEvaluator:
    """Evaluates the trial's shape inside a super-network; keeps ``explorer.studies.worker.Evaluator``'s contract.

    Args:
        store: where the study is.
        study: the study; its settings name the super-network's folder.
        order: the worker's.

    Raises:
        DataError: there is no complete super-network.
    """

    def __init__(self, store: GraphStore, study: StudyRecord, order: WorkerOrder) -> None:
        import torch

        from explorer.supershaper.evaluation import HeldOut
        from explorer.supershaper.folder import open_folder
        from explorer.training.loop import best_device

        torch.set_num_threads(order.threads)
        self._store, self._study = store, study
        self._opened = open_folder(Path(study.settings[SETTING]), best_device())
        self._rows = int(study.settings.get("rows", ROWS))
        self._held_out = HeldOut.of(self._opened.text, self._opened.settings.plan.recipe.pretrain_length, self._rows)

    def folder(self, trial: TrialRecord) -> Path:
        """Where a training would keep its files; nothing is written there."""
        return run_folder(self._store.url, self._study.name, f"{trial.number:04d}-{self._opened.mark}")

    def evaluate(
        self, trial: TrialRecord, report: Report, keep: KeepScore, should_stop: ShouldStop
    ) -> Evaluation | None:
        """Evaluate the shape; ``None`` if ``should_stop`` said so before.

        Raises:
            InputError: the architecture is no shape that the super-network was trained with.
        """
        from explorer.supershaper.evaluation import perplexities

        if should_stop():
            return None
        started = time.monotonic()
        spec = from_json(self._store.summaries(ids=[trial.architecture])[0].spec)
        widths = _trained_widths(self._opened.settings.plan, spec, trial.architecture)
        value = perplexities(self._opened.network, [widths], self._held_out)[0]
        score = task_score(self._opened, ShapeScore(widths, value, self._held_out.rows), time.monotonic() - started)
        report(1.0, f"perplexity {value:.3f}")
        measured = MeasurementRecord(trial.architecture, device_name(self._opened), QUANTITY, value, UNIT)
        self._store.add_measurements([measured])
        return Evaluation(score.value, (score,))
