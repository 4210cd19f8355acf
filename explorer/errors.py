"""One exception tree for everything a user of the explorer can run into.

Every message names the field, the rule, the value and the remedy, in that order, on one line.
"""

from __future__ import annotations


class ExplorerError(Exception):
    """Base of all errors the explorer raises on purpose."""


class InputError(ExplorerError):
    """Something the user gave (a file, a value, a name) breaks a rule. The command line exits with 2.

    Args:
        field: what is wrong, as the user knows it, for example ``layers[2].hidden``.
        rule: what must hold.
        value: what was given instead.
        remedy: what to do about it.
    """

    def __init__(self, field: str, rule: str, value: object, remedy: str) -> None:
        self.field, self.rule, self.value, self.remedy = field, rule, value, remedy
        shown = repr(value)
        if len(shown) > 200:
            shown = shown[:197] + "..."
        super().__init__(f"{field} must {rule}, but got {shown}. {remedy}")

    def __reduce__(self) -> tuple[type[InputError], tuple[str, str, object, str]]:
        """Pickle by the four parts, so the error survives the way out of a worker process."""
        return type(self), (self.field, self.rule, self.value, self.remedy)


class SpecError(InputError):
    """An architecture or a design space breaks a rule."""


class DataError(InputError):
    """A data file, text or task cannot be used as it is."""


class TrainingFailed(ExplorerError):  # noqa: N818 - the trial failed; the study goes on
    """One training could not be finished; the reason is kept with its trial."""
