"""The description of a search: one frozen, validated value.

Every entrance (command line, app, ``explorer.study.Study``, demo, queueing) builds a ``StudySpec``, and the store keeps
it as JSON. A spec that breaks a rule of its own cannot be made; ``StudySpec.check`` applies the rules that need a
store. Who runs a study, and with how many workers, is not part of it: that
may change at every resumption (``explorer.studies.executors``).
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, get_type_hints

from pydantic import Field, TypeAdapter, ValidationError

from explorer.analysis.quantities import Direction, Objective
from explorer.errors import DataError, InputError, validation_error
from explorer.search import POLICIES, Capability, policy_class
from explorer.studies.budgets import MAX_TRIALS
from explorer.studies.objectives import read_constraints
from explorer.studies.upgrade import upgraded
from explorer.supershaper.scores import ROWS
from graphstore.records import StudyRecord, StudyState

if TYPE_CHECKING:
    from graphstore import GraphStore

VERSION = 3
"""Version of the JSON form; documents of earlier versions are read as well."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
MAX_SEED = 2**31 - 1
DEFAULT_BATCH = 5
DEFAULT_RECIPE = "nano"
LEVEL_SIZE = 2000
"""Candidates of a finer level by default, in addition to the architectures that were tried before."""


class EvaluationKind(StrEnum):
    """The ways in which trials get their values."""

    KNOWN = "known"
    TRAINED = "trained"
    INSIDE = "inside"
    EXTERNAL = "external"


DEFAULT_TRIALS = {
    EvaluationKind.KNOWN: 50,
    EvaluationKind.TRAINED: 8,
    EvaluationKind.INSIDE: 8,
    EvaluationKind.EXTERNAL: 20,
}
"""Trials of a study whose budget nobody chose. Known scores cost nothing, so 50 show what a policy does. A training by
the recipe ``nano`` takes about a minute, so 8 end within minutes; a trial inside a super-network takes seconds, but
its workers take as long to load. With ask and tell a user usually sets a budget; 20 are enough for a surrogate."""


def default_budget(kind: EvaluationKind, hours: float | None = None) -> int:
    """Return the number of trials where none was chosen: with a limit of hours, as many as fit into it."""
    return DEFAULT_TRIALS[kind] if hours is None else MAX_TRIALS


class Checked:
    """Base of the frozen dataclasses of a spec: pydantic checks and converts each field when a value is made."""

    def __post_init__(self) -> None:
        kind: Any = type(self)
        for name, adapter in _adapters(kind).items():
            try:
                value = adapter.validate_python(getattr(self, name))
            except ValidationError as error:
                raise validation_error(error, InputError, name, "Correct this field of the study", "value") from None
            object.__setattr__(self, name, value)


@lru_cache
def _adapters(kind: type) -> dict[str, TypeAdapter[Any]]:
    hints = get_type_hints(kind, include_extras=True)
    return {one.name: TypeAdapter(hints[one.name]) for one in fields(kind)}


@dataclass(frozen=True, kw_only=True)
class Known(Checked):
    """Trials get the scores that the store already has.

    Attributes:
        fidelity, origin: scores to take, where the objective has several; ``None`` where there is one.
    """

    kind: Literal[EvaluationKind.KNOWN] = EvaluationKind.KNOWN
    fidelity: str | None = None
    origin: str | None = None


@dataclass(frozen=True, kw_only=True)
class Trained(Checked):
    """Each trial pre-trains its architecture and fine-tunes it on tasks.

    Attributes:
        recipe: a recipe's name, or all settings of a user's own.
        tasks: names of the tasks; empty for those that the data offers.
        data: folder or text file as an absolute path, or ``hub:NAME``; ``None`` for the default text.
        task_files: the user's own tasks, as absolute paths.
        transfer: method by which weights are inherited from a trained neighbour; empty to train from scratch;
            ``None`` for what the recipe says.
        transfer_overlap: smallest share of leading layers in common with that neighbour; ``None`` for the recipe's.
        transfer_donor: mark of the one model whose weights are inherited; ``None`` for the recipe's.

    Raises:
        InputError: a field is of the wrong type, or there is an overlap without a method of transfer.
    """

    kind: Literal[EvaluationKind.TRAINED] = EvaluationKind.TRAINED
    recipe: str | Mapping[str, Any] = DEFAULT_RECIPE
    tasks: tuple[str, ...] = ()
    data: str | None = None
    task_files: tuple[str, ...] = ()
    transfer: str | None = None
    transfer_overlap: float | None = None
    transfer_donor: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        own = self.recipe.get("transfer") if isinstance(self.recipe, Mapping) else ""
        method = own if self.transfer is None else self.transfer
        if self.transfer_overlap is not None and not method:
            remedy = "Leave it out, or name a method."
            raise InputError("transfer overlap", "come with a method of transfer", self.transfer_overlap, remedy)


@dataclass(frozen=True, kw_only=True)
class Inside(Checked):
    """Each trial is evaluated inside a trained super-network; nothing is trained.

    Attributes:
        supernet: the super-network's folder, as an absolute path.
        rows: held-out rows that the perplexity is measured on.
    """

    supernet: str
    kind: Literal[EvaluationKind.INSIDE] = EvaluationKind.INSIDE
    rows: Annotated[int, Field(ge=1)] = ROWS


@dataclass(frozen=True, kw_only=True)
class External(Checked):
    """The user evaluates the trials elsewhere, by ask and tell (``explorer.study.Study``)."""

    kind: Literal[EvaluationKind.EXTERNAL] = EvaluationKind.EXTERNAL


Evaluation: TypeAlias = Annotated[Known | Trained | Inside | External, Field(discriminator="kind")]


@dataclass(frozen=True, kw_only=True)
class Stages(Checked):
    """The stages that follow the study once it has ended (``explorer.studies.stages``).

    Attributes:
        levels: levels of the space to search, coarse to fine; 1 for the study's own space only.
        level_size: candidates of each finer level; ``None`` for ``LEVEL_SIZE``.
        requeries: best architectures to train again by tuned recipes, at most.
    """

    levels: Annotated[int, Field(ge=1)] = 1
    level_size: int | None = None
    requeries: Annotated[int, Field(ge=0)] = 0

    def __bool__(self) -> bool:
        return self.levels > 1 or self.requeries > 0


@dataclass(frozen=True, kw_only=True)
class Level(Checked):
    """The position of a study in a search from coarse to fine.

    Attributes:
        number: of the level; the first one is 1.
        of: name of the first level's study.
        prior: earlier levels, as pairs of a study and how many of its trials the policy learns from.
    """

    of: str
    number: int = 1
    prior: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Tuned(Checked):
    """A study that trains the best architectures of another one again (``explorer.studies.requeries``).

    Attributes:
        of: name of the other study.
        queries: pairs of an architecture and the variation of the recipe that it is trained by.
    """

    of: str
    queries: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class StudySpec(Checked):
    """A search.

    Attributes:
        name: unique name; letters, digits, ``.``, ``_`` and ``-``.
        space: name of the space to search.
        evaluation: how trials get their values.
        policy: a name of ``explorer.search.registry.POLICIES``.
        policy_settings: the policy's own settings, such as ``initial``, the size of its initial design.
        objectives: one score to maximise, and the secondary objectives (costs) to minimise.
        constraints: texts such as ``parameters<=200K``; only architectures that satisfy all of them are proposed.
        budget: number of trials.
        hours: hours of trials after which none begins; ``None`` for no limit.
        seed: of the policy and of every training.
        batch: trials of one iteration; on known scores, trials per ask.
        stop_when_converged: whether to end before the budget once nothing better is found.
        patience: iterations without a better architecture until then; ``None`` for the policy's own number.
        stages: the stages that follow the study.
        level: its position in a search from coarse to fine; ``None`` for the first level and for other searches.
        tuned: the trials that it repeats of another study; ``None`` for any other study.

    Raises:
        InputError: a field is of the wrong type, or the fields break one of ``explorer.studies.rules``.
    """

    name: str
    space: str
    evaluation: Evaluation
    policy: str = "boshnas"
    policy_settings: Mapping[str, Any] = field(default_factory=dict)
    objectives: tuple[Objective, ...] = (Objective("mean"),)
    constraints: tuple[str, ...] = ()
    budget: int
    hours: float | None = None
    seed: int = 0
    batch: int = DEFAULT_BATCH
    stop_when_converged: bool = False
    patience: int | None = None
    stages: Stages = field(default_factory=Stages)
    level: Level | None = None
    tuned: Tuned | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        from explorer.studies.rules import check_rules

        check_rules(self)

    @property
    def objective(self) -> str:
        """The score that is maximised: a task, or ``mean``."""
        return next(one.name for one in self.objectives if one.direction is Direction.MAXIMISE)

    @property
    def costs(self) -> tuple[str, ...]:
        """The secondary objectives, which are minimised."""
        return tuple(one.name for one in self.objectives if one.direction is Direction.MINIMISE)

    def check(self, store: GraphStore) -> None:
        """Apply the rules that need a store, before anything is written. Reads a user's own data once.

        Raises:
            InputError: a choice breaks a rule, or a study of this name was started with other choices.
            DataError: the space has no library, or data or scores are missing or malformed.
        """
        from explorer.studies.checks import check_spec

        check_spec(store, self)

    def settings_of_policy(self, prior: int) -> dict[str, Any]:
        """Return the settings that the policy is made with.

        Args:
            prior: trials of earlier levels, which do not count for convergence.
        """
        settings = dict(self.policy_settings)
        if Capability.CONVERGENCE in policy_class(self.policy).capabilities:
            settings.setdefault("iteration", self.batch)
            settings |= {"patience": self.patience} if self.patience else {}
            settings["began"] = prior
        return settings

    def to_json(self) -> dict[str, Any]:
        """Return the spec as JSON values; ``objective`` is there for people who query the store."""
        document: dict[str, Any] = _whole().dump_python(self, mode="json")
        return {"version": VERSION, "objective": self.objective, **document}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> StudySpec:
        """Read what ``to_json`` of this or an earlier version wrote.

        Raises:
            InputError: the document is of a newer version, or a field is missing, unknown or wrong.
        """
        version = document.get("version")
        if version not in range(1, VERSION + 1):
            remedy = "Update this software."
            raise InputError("version of the study's description", f"be from 1 to {VERSION}", version, remedy)
        try:
            given = dict(document) if version == VERSION else upgraded(document)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError(
                "description of a study", "be as it was written", reason, "Start the study again."
            ) from None
        del given["version"]
        given.pop("objective", None)
        known = {one.name for one in fields(cls)}
        needed = {"name", "space", "evaluation", "budget"}
        if wrong := sorted((set(given) - known) | (needed - set(given))):
            raise InputError(
                "description of a study", f"have the fields {', '.join(sorted(known))}", wrong, "Correct it."
            )
        return cls(**given)

    @classmethod
    def of(cls, record: StudyRecord) -> StudySpec:
        """Return the spec of a stored study. Raises DataError if its description cannot be read."""
        try:
            return cls.from_json(record.spec)
        except InputError as error:
            raise DataError.of(error, f"study {record.name}") from None

    def record(self, state: StudyState = StudyState.OPEN, created: float | None = None) -> StudyRecord:
        """Return the record of a new study.

        Args:
            state: of the study.
            created: seconds since the epoch; now by default.
        """
        return StudyRecord(self.name, self.space, self.to_json(), state, time.time() if created is None else created)

    def grown(
        self, budget: int | None = None, hours: float | None = None, constraints: Sequence[str] = ()
    ) -> StudySpec:
        """Return the spec with more of what may change after the start; the only rule of how it does.

        Args:
            budget: number of trials; the larger one counts.
            hours: limit of hours; the larger one counts, and any where the spec has none.
            constraints: are added to the present ones.
        """
        limits = [limit for limit in (self.hours, hours) if limit is not None]
        return replace(
            self,
            budget=max(self.budget, budget or 0),
            hours=max(limits, default=None),
            constraints=read_constraints([*self.constraints, *constraints]),
        )

    def without_changes(self) -> StudySpec:
        """Return the spec without what may change after the start: budget, hours and constraints."""
        return replace(self, budget=1, hours=None, constraints=())


@lru_cache
def _whole() -> TypeAdapter[StudySpec]:
    return TypeAdapter(StudySpec)


def initial_design(policy: str, initial: int | None) -> dict[str, Any]:
    """Return the policy's setting for an initial design of a size; none for policies without an initial design."""
    if initial is None or policy not in POLICIES:
        return {}  # An unknown policy is refused when the spec is made.
    return {"initial": initial} if Capability.INITIAL_DESIGN in policy_class(policy).capabilities else {}
