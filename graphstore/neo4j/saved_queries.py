"""Questions worth asking in Cypher, ready to run: each with what it tells, its parameters and what its columns mean.

In all of them a ``kind`` is the metric, dataset, fidelity and recipe of scores; only scores of one kind are compared,
and losses and errors are better where they are smaller. An empty space means the whole store.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from graphstore.errors import StoreInputError
from graphstore.neo4j.saved_texts import TEXTS


class ParameterType(StrEnum):
    """What a parameter's value is."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"


@dataclass(frozen=True)
class Parameter:
    """A value a saved query asks for.

    Attributes:
        name: as in the text, without ``$``.
        type: what it is.
        default: what it is if it is not given; ``None`` where it must be given.
        help: what it means, for people.
    """

    name: str
    type: ParameterType
    default: str | int | float | None
    help: str

    def read(self, value: Any) -> str | int | float:
        """The value as the query needs it, from a text or from a value of the type.

        Raises:
            StoreInputError: it is not of the type.
        """
        try:
            if self.type is ParameterType.TEXT:
                return str(value)
            if self.type is ParameterType.INTEGER:
                number = float(value) if isinstance(value, float) else int(value)
                if number == int(number) and abs(number) < 2**63:
                    return int(number)
            elif math.isfinite(float(value)):
                return float(value)
        except (TypeError, ValueError, OverflowError):
            pass
        raise StoreInputError(
            f"parameter {self.name} must be {self._kind}, but got {str(value)[:80]!r}. It is {self.help}."
        )

    @property
    def _kind(self) -> str:
        return "a whole number of 64 bits" if self.type is ParameterType.INTEGER else "a finite number"


@dataclass(frozen=True)
class SavedQuery:
    """A question ready to run.

    Attributes:
        name: what it is called by.
        title: what it is called for people.
        explanation: what it tells and why that is useful.
        columns: what it gives → what that means.
        text: the Cypher.
        parameters: what it asks for.
    """

    name: str
    title: str
    explanation: str
    columns: Mapping[str, str]
    text: str
    parameters: tuple[Parameter, ...]

    def values(self, given: Mapping[str, Any]) -> dict[str, str | int | float]:
        """All parameters: those given, and defaults for the others.

        Raises:
            StoreInputError: one is missing, unknown, or not of its type.
        """
        names = [parameter.name for parameter in self.parameters]
        unknown = sorted(set(given) - set(names))
        if unknown:
            known = ", ".join(names) or "none, as it has no parameters"
            raise StoreInputError(
                f"parameters of {self.name} must be among {known}, but got {unknown[0]!r}. Correct it."
            )
        found: dict[str, str | int | float] = {}
        for parameter in self.parameters:
            value = given.get(parameter.name, parameter.default)
            if value is None or (parameter.default is None and value == ""):
                raise StoreInputError(
                    f"parameter {parameter.name} of {self.name} must be given, but got none. It is {parameter.help}."
                )
            found[parameter.name] = parameter.read(value)
        return found


def saved_query(name: str) -> SavedQuery:
    """The saved query of this name. Raises StoreInputError."""
    for query in saved_queries():
        if query.name == name:
            return query
    names = ", ".join(query.name for query in saved_queries())
    raise StoreInputError(f"saved query must be one of {names}, but got {name[:80]!r}. See `archex cypher --list`.")


_TASK = Parameter("task", ParameterType.TEXT, "mean", "the task whose scores count")
_SPACE = Parameter("space", ParameterType.TEXT, "", "the name of a space; empty for the whole store")
_KERNEL = Parameter("kernel", ParameterType.TEXT, "weisfeiler_lehman", "the kernel whose neighbours count")
_LIMIT = Parameter("limit", ParameterType.INTEGER, 20, "how many rows at most")
_ID = Parameter("id", ParameterType.TEXT, None, "the id of an architecture, or its beginning")

_KIND = {"kind": "Metric, dataset, fidelity and recipe of the scores; rows of different kinds do not compare."}
_ARCHITECTURE = {"architecture": "Id of the architecture."}


def _query(name: str, title: str, explanation: str, columns: Mapping[str, str], *parameters: Parameter) -> SavedQuery:
    return SavedQuery(name, title, explanation, columns, TEXTS[name], parameters)


def saved_queries() -> tuple[SavedQuery, ...]:
    """All saved queries."""
    return (
        _query(
            "counts",
            "What the store holds",
            "Counts nodes by label and relations by type: the first look at an unknown store, and a quick check after "
            "an import.",
            {"sort": "node or relation.", "name": "Its label or type.", "count": "How many there are."},
        ),
        _query(
            "best-by-last-layer",
            "The best whose last layer has an operation",
            "Ranks the scored architectures whose last layer has a given operation family. The last layer makes the "
            "representation that the task's head reads, so its operation is the first to look at.",
            _KIND
            | _ARCHITECTURE
            | {
                "last": "Operation of the last layer.",
                "value": "Mean score of the architecture.",
                "parameters": "Weights of the encoder.",
            },
            _TASK,
            Parameter("family", ParameterType.TEXT, "c", "the operation family: sa, l or c"),
            _SPACE,
            _LIMIT,
        ),
        _query(
            "operations-by-depth",
            "Which operations the best have at each layer",
            "Takes the top k of each kind of a task's scores and counts their operations layer by layer: what the good "
            "ones agree on, and where it does not matter.",
            _KIND
            | {
                "layer": "Index of the layer, from 0 at the input.",
                "operation": "Family and parameter.",
                "architectures": "How many of the top k have it there.",
            },
            _TASK,
            _SPACE,
            Parameter("k", ParameterType.INTEGER, 20, "how many of the best count"),
        ),
        _query(
            "untrained-nearby",
            "Untrained neighbours of neighbours",
            "Walks two SIMILAR steps from an architecture and keeps what has no score and is no neighbour itself: "
            "candidates just outside what is known around a good one.",
            _ARCHITECTURE
            | {
                "paths": "How many neighbours lead there.",
                "nearest": "The smallest sum of the two dissimilarities.",
                "parameters": "Weights of the encoder.",
            },
            _ID,
            _SPACE,
            _KERNEL,
            _LIMIT,
        ),
        _query(
            "path",
            "The shortest way between two architectures",
            "Finds the fewest SIMILAR steps that lead from one architecture to another, in either direction of the "
            "relation: the small changes that turn one design into the other.",
            {
                "steps": "How many steps.",
                "dissimilarity": "The sum of the steps' dissimilarities.",
                "architectures": "Ids on the way, both ends included.",
            },
            Parameter("from", ParameterType.TEXT, None, "the id where the way begins, or its beginning"),
            Parameter("to", ParameterType.TEXT, None, "the id where the way ends, or its beginning"),
            _SPACE,
            _KERNEL,
        ),
        _query(
            "heterogeneity",
            "Heterogeneity against score",
            "Groups scored architectures by heterogeneity in steps of a tenth: do mixed designs do better than uniform "
            "ones here?",
            _KIND
            | {
                "heterogeneity": "Lower end of the group; each is 0.1 wide.",
                "architectures": "How many are in it.",
                "mean": "Mean of their scores.",
                "lowest": "Their lowest score.",
                "highest": "Their highest score.",
            },
            _TASK,
            _SPACE,
        ),
        _query(
            "pareto",
            "Pareto set of score and size",
            "Keeps the architectures that no other beats in score without being larger: the ones to choose from when "
            "size matters.",
            _KIND
            | _ARCHITECTURE
            | {"parameters": "Weights of the encoder.", "value": "Mean score of the architecture."},
            _TASK,
            _SPACE,
        ),
        _query(
            "stale-trials",
            "Trials that went stale",
            "Lists trials whose worker fell silent: those that wait for another try, and those that were tried more "
            "than once. Many of them point to a machine that dies or runs out of memory.",
            {
                "study": "The study.",
                "trial": "Number of the trial.",
                "state": "Its state now.",
                "attempts": "How often it was begun.",
                "reason": "Why it ended, where it says.",
            }
            | _ARCHITECTURE,
        ),
        _query(
            "best-so-far",
            "Where each study got better",
            "Follows each study through its finished trials and gives those that beat all before them: how fast a "
            "policy finds, and when it stopped finding.",
            {
                "study": "The study.",
                "policy": "Its policy.",
                "evaluations": "Finished trials with a value, up to and with this one.",
                "best": "The best value so far, which this trial brought.",
            }
            | _ARCHITECTURE,
        ),
        _query(
            "hubs",
            "Architectures that many are similar to",
            "Counts how often an architecture is among the neighbours of others. Hubs stand for whole regions: "
            "training one tells about many.",
            _ARCHITECTURE
            | {
                "neighbours": "How many have it among their nearest.",
                "mean_dissimilarity": "Mean dissimilarity to them.",
                "scores": "How many scores it has.",
            },
            _SPACE,
            _KERNEL,
            _LIMIT,
        ),
        _query(
            "skip-connections",
            "Connections that skip operations",
            "Follows FEEDS in the computational graph of one architecture and gives the edges beside which a longer "
            "way of up to eight steps leads to the same operation: the residual connections.",
            {
                "layer": "Layer in which the connection ends.",
                "source": "Label of the operation where it begins.",
                "source_index": "Number of that operation.",
                "target": "Label of the operation where it ends.",
                "target_index": "Number of that operation.",
            },
            _ID,
        ),
        _query(
            "overlap",
            "Where spaces overlap",
            "Counts the architectures that two spaces share. Scores of shared ones are known in both without any "
            "training.",
            {
                "first": "A space.",
                "second": "Another space.",
                "shared": "How many architectures are in both.",
                "scored": "How many of them have a score.",
            },
        ),
        _query(
            "lineage",
            "Where weights came from",
            "Follows INHERITED from the trained instances of an architecture to the instances whose weights they began "
            "with, and on to theirs.",
            {
                "runs": "The trained instances, the first one's donor next, and so on.",
                "architectures": "Ids of their architectures.",
                "share": "Part of the weights that came all the way, 0 to 1: the product of the steps' shares.",
            },
            _ID,
            _LIMIT,
        ),
        _query(
            "improvements",
            "The largest gains among neighbours",
            "Compares scored architectures with their scored neighbours: small changes of the design that made a large "
            "difference are the ones to understand.",
            _KIND
            | {
                "worse": "Id of the one with the worse score.",
                "better": "Id of its neighbour with the better one.",
                "gain": "Difference of their mean scores, above 0.",
                "dissimilarity": "How unlike the two are.",
            },
            _TASK,
            _SPACE,
            _KERNEL,
            _LIMIT,
        ),
    )
