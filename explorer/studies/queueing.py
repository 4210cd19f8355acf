"""Queueing an architecture by hand, from every entrance: the command line, the app and ``explorer.study.Study``.

A study chooses among the architectures of its space's library, so any other one is appended to that library first. A
process that runs the study meanwhile reads the space again when it meets the trial.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from explorer.analysis.architectures import stored_architecture
from explorer.errors import InputError
from explorer.library.library import Library
from explorer.library.records import architecture_record
from explorer.space.spec import ArchitectureSpec
from explorer.studies.budgets import check_budget
from explorer.studies.driver import known_values
from explorer.studies.managing import extend_study, find_study
from explorer.studies.objectives import satisfies
from explorer.studies.spec import Inside, Known, StudySpec
from explorer.studies.supernet import check_shape
from graphstore import GraphStore
from graphstore.records import ArchitectureRecord, StudyState, TrialRecord

MANUAL = "manual"
"""Origin of a trial that a person has queued."""


@dataclass(frozen=True)
class Queued:
    """An architecture that was queued by hand.

    Attributes:
        trial: the waiting trial; its origin is ``manual``.
        budget: the study's budget now.
        grew: whether the budget was used up, and grew for the trial.
        added_to: name of the study's space if the architecture was new to it, else empty.
        read_as: how its file was read, if that is unusual.
    """

    trial: TrialRecord
    budget: int
    grew: bool = False
    added_to: str = ""
    read_as: str = ""

    @property
    def text(self) -> str:
        """The outcome in sentences."""
        facts = [
            f"The file is read as {self.read_as}." if self.read_as else "",
            f"{self.trial.architecture} is trial {self.trial.number} of {self.trial.study}.",
            f"It was new to space {self.added_to}, which has it now." if self.added_to else "",
            f"The budget was used up; it is {self.budget} trials now." if self.grew else "",
        ]
        return " ".join(filter(None, facts))


def enqueue(store: GraphStore, study: str, architecture: str | ArchitectureSpec) -> Queued:
    """Queue an architecture as a study's next trial, which counts in the budget; a used-up budget grows by one.

    Args:
        store: where the study is.
        study: name of the study, which may be running.
        architecture: the architecture; or its id, a unique prefix of that, its name, or a JSON file on this machine.

    Raises:
        InputError: no such study or architecture; or the study has it already, may not choose it, cannot evaluate it,
            or would have too many trials; or its space has no finished library. Nothing is changed then.
    """
    record = find_study(store, study)
    spec, read_as = architecture, ""
    if isinstance(spec, str):
        found = stored_architecture(store, spec)
        spec, read_as = found.spec, found.read_as
    wanted, search = architecture_record(spec), StudySpec.of(record)
    library = Library.open(store, record.space)
    trials = store.trials(study)
    number = next((trial.number for trial in trials if trial.architecture == wanted.id), None)
    if number is not None:
        raise InputError("architecture", "be new to the study", f"{wanted.id} is trial {number}", "Choose another one.")
    check_budget(len(trials) + 1)
    _check_choice(store, search, spec, wanted)
    added_to = record.space if library.append([spec]) else ""
    added = store.add_trials(study, [(wanted.id, {"origin": MANUAL, "acquisition": {}})])
    if not added:
        raise InputError("architecture", "be new to the study", wanted.id, "Another process has just queued it.")
    # Read the study again: a process that runs it may have proposed trials, or ended it, meanwhile.
    record = store.study(study)
    if grew := added[0].number >= StudySpec.of(record).budget:
        record = extend_study(store, record, added[0].number + 1)
    elif record.state is StudyState.DONE:
        record = store.update_study(study, state=StudyState.STOPPED)
    return Queued(added[0], StudySpec.of(record).budget, grew, added_to, read_as)


def _check_choice(store: GraphStore, search: StudySpec, spec: ArchitectureSpec, wanted: ArchitectureRecord) -> None:
    """Raise InputError if a study may not choose an architecture, or cannot evaluate it."""
    match search.evaluation:
        case Known() if wanted.id not in known_values(store, search):
            rule = f"have a known score of {search.objective} in space {search.space}"
            raise InputError("architecture", rule, wanted.id, "Choose another one, or a study that trains.")
        case Inside(supernet=folder):
            check_shape(Path(folder), search.objective, spec)
    if not satisfies(store, search.constraints, wanted):
        rule = f"satisfy the study's constraints: {', '.join(search.constraints)}"
        raise InputError("architecture", rule, wanted.id, "Choose another one, or start a study without them.")
