"""Super-networks and the store: shapes as architectures, their perplexities as scores, studies that only evaluate.

A score of task ``masked_lm`` is the negative natural logarithm of the masked-LM perplexity on held-out text, so it is
maximised. Its fidelity says where the shape was evaluated: ``inside super-network MARK, …``, or ``stand-alone, …``
after a training of its own; the two never mix. Inside perplexities are also measurements of the device
``supernet-MARK``, so they can be costs and constraints (``perplexity@supernet-MARK<=20``).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from explorer.errors import Advice, InputError, Remedy
from explorer.library.library import Library
from explorer.library.records import score_record
from explorer.library.spaces import build_space, check_space_name, has_space, is_ready
from explorer.library.workplace import run_folder
from explorer.progress import Reporter
from explorer.similarity.graph import architecture_id
from explorer.space.backbones import shape_widths
from explorer.space.formats import from_json
from explorer.space.grammar import DesignSpace
from explorer.space.spec import ArchitectureSpec
from explorer.studies.coordinator import drive
from explorer.studies.driver import own_scores
from explorer.studies.executors.contract import Executor, WorkerOrder
from explorer.studies.spec import Inside, StudySpec
from explorer.studies.worker import Evaluation, KeepScore, Report, ShouldStop
from explorer.supershaper.scores import (
    INSIDE_TASK,
    QUANTITY,
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

COLLECTED = {"from": "supernet"}
"""Source of a space that holds single shapes of a super-network."""
MOST_WHOLE = 3000
"""Largest number of shapes up to which the whole space of a super-network is stored."""
EVALUATOR = "explorer.studies.supernet:SupernetEvaluator"


def keep_scores(
    store: GraphStore, opened: OpenSuperNetwork, space: str, found: Sequence[ShapeScore], reporter: Reporter
) -> None:
    """Put shapes into a space with their scores, and with measurements of inside perplexities; idempotent.

    Args:
        store: where to write.
        opened: the super-network.
        space: its name; a new space holds all shapes of the super-network's widths if they are few, else those found.
        found: the perplexities.
        reporter: receives the phases of building a library.

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
    """Check that ``keep_scores`` may put shapes into a space; call it before the shapes are evaluated.

    Raises:
        InputError: the space has another definition and does not hold them. DataError: its name breaks a rule.
    """
    check_space_name(space)
    whole = _whole(opened, space)
    if not has_space(store, space) or _source(store, space) == COLLECTED:
        return
    if whole is not None and _source(store, space) == json.loads(json.dumps(whole.source())):
        return
    if not _holds(store, opened, space, shapes):
        rule = f"hold these shapes, or be new: space {space} has another definition"
        raise InputError("space", rule, space, "Choose another name.")


def _whole(opened: OpenSuperNetwork, space: str) -> DesignSpace | None:
    """Return the space of all shapes of the super-network's widths; ``None`` if they are many."""
    plan = opened.settings.plan
    grammar = plan.backbone.space(plan.widths, space)
    return grammar if grammar.count() <= MOST_WHOLE else None


def _source(store: GraphStore, space: str) -> Mapping[str, Any] | None:
    """Return the source that a stored space was made from."""
    return store.space(space).info.get("source")


def _holds(store: GraphStore, opened: OpenSuperNetwork, space: str, shapes: Sequence[Widths]) -> bool:
    """Return whether a finished space of the store holds these shapes."""
    held, backbone = set(store.architecture_ids(space)), opened.settings.plan.backbone
    return is_ready(store, space) and all(architecture_id(backbone.spec(widths)) in held for widths in shapes)


def _place(
    store: GraphStore, opened: OpenSuperNetwork, space: str, shapes: Sequence[Widths], reporter: Reporter
) -> None:
    check_space(store, opened, space, shapes)
    whole, new = _whole(opened, space), not has_space(store, space)
    if whole is not None and (new or _source(store, space) != COLLECTED):
        if new or not _holds(store, opened, space, shapes):
            build_space(store, whole, reporter)  # also completes an interrupted build
    elif new or not _holds(store, opened, space, shapes):
        specs = [opened.settings.plan.backbone.spec(widths) for widths in shapes]
        title = f"Shapes of super-network {opened.mark}"
        Library.build(store, space, specs, reporter, source=COLLECTED, title=title)


def check_supernet(store: GraphStore, space: str, folder: Path, objective: str) -> None:
    """Check that a super-network can evaluate all of a space that a study shall search.

    Raises:
        InputError: the objective is another one, or an architecture of the space is not a shape that the super-network
            was trained with. DataError: the super-network is missing or incomplete.
    """
    plan = _plan(folder, objective)
    for one in store.summaries(space):
        _trained_widths(plan, from_json(one.spec), one.id)


def check_shape(folder: Path, objective: str, spec: ArchitectureSpec) -> None:
    """Check that a super-network can evaluate an architecture; see ``check_supernet``, also for errors."""
    _trained_widths(_plan(folder, objective), spec, architecture_id(spec))


def _plan(folder: Path, objective: str) -> SuperPlan:
    from explorer.supershaper.folder import check_folder

    if objective != INSIDE_TASK:
        rule = f"be {INSIDE_TASK} where shapes are evaluated inside a super-network"
        raise InputError("objective", rule, objective, "Leave it out.")
    return check_folder(folder).plan


def _trained_widths(plan: SuperPlan, spec: ArchitectureSpec, id: str) -> Widths:
    backbone, widths = plan.backbone, shape_widths(spec)
    with suppress(InputError):
        if plan.check(widths) == spec:
            return widths
    shown = f"{backbone.layers} layers, {backbone.hidden} wide, with widths {', '.join(map(str, plan.widths))}"
    rule = f"be a shape that the super-network was trained with ({shown})"
    found = f"{id}, of widths {', '.join(map(str, widths))}"
    raise InputError("architecture", rule, found, Advice(Remedy.SUPERNET_SPACE))


def run_inside(
    store: GraphStore,
    study: StudyRecord,
    evaluation: Inside,
    executor: Executor,
    reporter: Reporter,
    stop: Callable[[], bool],
) -> StudyRecord:
    """Run a study whose trials are evaluated inside a super-network by an executor's workers.

    Raises:
        ExplorerError: workers keep dying. InputError, DataError: the objective is another one, or the folder does not
            hold the super-network that the study was started with.
    """
    folder = Path(evaluation.supernet)
    _plan(folder, StudySpec.of(study).objective)
    _check_same_network(store, study, folder)
    threads = executor.resources.threads
    order = WorkerOrder(store.url, study.name, study.created, threads=threads, evaluator=EVALUATOR)
    return drive(store, study, executor, order, reporter, stop)


def _check_same_network(store: GraphStore, study: StudyRecord, folder: Path) -> None:
    """Refuse another super-network: old and new scores of the study would not be comparable."""
    from explorer.supershaper.folder import folder_mark

    mark = folder_mark(folder)
    for score in own_scores(store, study, INSIDE_TASK):
        if not score.fidelity.startswith(inside_prefix(mark)):
            rule = f"hold the super-network that study {study.name} was started with ({score.fidelity})"
            raise InputError(str(folder), rule, f"super-network {mark}", "Start another study.")


class SupernetEvaluator:
    """Evaluates the trial's shape inside a super-network; implements ``explorer.studies.worker.Evaluator``.

    Args:
        store: where the study is.
        study: a study whose evaluation is ``Inside``.
        order: the worker's.

    Raises:
        DataError: the super-network is missing or incomplete.
    """

    def __init__(self, store: GraphStore, study: StudyRecord, order: WorkerOrder) -> None:
        import torch

        from explorer.supershaper.evaluation import HeldOut
        from explorer.supershaper.folder import open_folder
        from explorer.training.loop import best_device

        torch.set_num_threads(order.threads)
        self._store, self._study = store, study
        evaluation = StudySpec.of(study).evaluation
        assert isinstance(evaluation, Inside)
        self._opened = open_folder(Path(evaluation.supernet), best_device())
        length = self._opened.settings.plan.recipe.pretrain_length
        self._held_out = HeldOut.of(self._opened.text, length, evaluation.rows)

    def folder(self, trial: TrialRecord) -> Path:
        """Return the folder that a training would use; nothing is written there."""
        return run_folder(self._store.url, self._study.name, f"{trial.number:04d}-{self._opened.mark}")

    def evaluate(
        self, trial: TrialRecord, report: Report, keep: KeepScore, should_stop: ShouldStop
    ) -> Evaluation | None:
        """Evaluate the shape; return ``None`` if ``should_stop`` returned true before.

        Raises:
            InputError: the architecture is not a shape that the super-network was trained with.
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
