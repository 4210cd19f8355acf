"""Saved Cypher queries, each with an explanation, parameters and the meaning of its columns.

In all of them a ``kind`` is the metric, dataset, fidelity, recipe and origin of scores. Only scores of one kind are
compared; losses and errors are minimised, all other metrics maximised. An empty space means the whole store. The labels
that begin with ``Archex`` are those that only nodes of the store have (``graphstore.neo4j.migrations``).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from graphstore.errors import Code, StoreInputError
from graphstore.neo4j.saved_texts import TEXTS


class ParameterType(StrEnum):
    """Type of a parameter's value."""

    TEXT = "text"
    INTEGER = "integer"
    NUMBER = "number"


@dataclass(frozen=True)
class Parameter:
    """A parameter of a saved query.

    Attributes:
        name: as in the text, without ``$``.
        type: type of its value.
        default: value if none is given; ``None`` for a required parameter.
        help: its meaning, shown to users.
    """

    name: str
    type: ParameterType
    default: str | int | float | None
    help: str

    def read(self, value: Any) -> str | int | float:
        """Return the value for the query, from a text or from a value of the type.

        Raises:
            StoreInputError: the value has another type.
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
    """A saved query.

    Attributes:
        name: its unique name.
        title: its name as shown to users.
        explanation: what it returns and why that is useful.
        columns: meaning of each column.
        text: the Cypher statement.
        parameters: its parameters.
    """

    name: str
    title: str
    explanation: str
    columns: Mapping[str, str]
    text: str
    parameters: tuple[Parameter, ...]

    def values(self, given: Mapping[str, Any]) -> dict[str, str | int | float]:
        """Return all parameters: the given ones, and defaults for the others.

        Raises:
            StoreInputError: a parameter is missing, unknown, or has another type.
        """
        names = [parameter.name for parameter in self.parameters]
        unknown = sorted(set(given) - set(names))
        if unknown:
            known = ", ".join(names) or "none, because it has no parameters"
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
    """Return the saved query of this name.

    Raises:
        StoreInputError: there is none.
    """
    for query in saved_queries():
        if query.name == name:
            return query
    names = ", ".join(query.name for query in saved_queries())
    raise StoreInputError(f"saved query must be one of {names}, but got {name[:80]!r}.", Code.UNKNOWN_QUERY)


_TASK = Parameter("task", ParameterType.TEXT, "mean", "the task of the scores")
_SPACE = Parameter("space", ParameterType.TEXT, "", "the name of a space; empty for the whole store")
_KERNEL = Parameter("kernel", ParameterType.TEXT, "", "the kernel of the neighbours; empty for all kernels")
_LIMIT = Parameter("limit", ParameterType.INTEGER, 20, "the maximum number of rows")
_ID = Parameter("id", ParameterType.TEXT, None, "the id of an architecture, or a prefix of it")

_KIND = {"kind": "Metric, dataset, fidelity, recipe, origin of the scores; rows of different kinds are not comparable."}
_ARCHITECTURE = {"architecture": "Id of the architecture."}


def _query(name: str, title: str, explanation: str, columns: Mapping[str, str], *parameters: Parameter) -> SavedQuery:
    return SavedQuery(name, title, explanation, columns, TEXTS[name], parameters)


def saved_queries() -> tuple[SavedQuery, ...]:
    """Return all saved queries."""
    return (
        _query(
            "counts",
            "Contents of the store",
            "Counts the store's nodes by label and relationships by type. Use it for a first look at an unknown store, "
            "or to check an import.",
            {"sort": "node or relation.", "name": "Label or type.", "count": "Number of nodes or relationships."},
        ),
        _query(
            "best-by-last-layer",
            "Best architectures with a given last layer",
            "Ranks the scored architectures whose last layer has a given operation family. The task head reads the "
            "output of the last layer, so its operation often matters most.",
            _KIND
            | _ARCHITECTURE
            | {
                "last": "Operation of the last layer.",
                "value": "Mean score of the architecture.",
                "parameters": "Parameters of the encoder.",
            },
            _TASK,
            Parameter("family", ParameterType.TEXT, "c", "the operation family: sa, l or c"),
            _SPACE,
            _LIMIT,
        ),
        _query(
            "operations-by-depth",
            "Operations of the best architectures by layer",
            "Counts the operations of the top k architectures of each score kind, layer by layer. It shows where the "
            "best architectures agree and where the choice does not matter.",
            _KIND
            | {
                "layer": "Index of the layer, from 0 at the input.",
                "operation": "Family and parameter.",
                "architectures": "Number of the top k that have it there.",
            },
            _TASK,
            _SPACE,
            Parameter("k", ParameterType.INTEGER, 20, "the number of best architectures"),
        ),
        _query(
            "untrained-nearby",
            "Untrained neighbours of neighbours",
            "Follows two SIMILAR relationships from an architecture and returns architectures without a score that are "
            "not neighbours themselves: candidates just outside the known region around a good architecture.",
            _ARCHITECTURE
            | {
                "paths": "Number of neighbours that lead to it.",
                "nearest": "Smallest sum of the two dissimilarities.",
                "parameters": "Parameters of the encoder.",
            },
            _ID,
            _SPACE,
            _KERNEL,
            _LIMIT,
        ),
        _query(
            "path",
            "Shortest path between two architectures",
            "Finds the smallest number of SIMILAR relationships that connect two architectures, in either direction: "
            "the small changes that turn one design into the other.",
            {
                "steps": "Number of relationships.",
                "dissimilarity": "Sum of their dissimilarities.",
                "architectures": "Ids on the path, both ends included.",
            },
            Parameter("from", ParameterType.TEXT, None, "the id of the first architecture, or a prefix of it"),
            Parameter("to", ParameterType.TEXT, None, "the id of the last architecture, or a prefix of it"),
            _SPACE,
            _KERNEL,
        ),
        _query(
            "heterogeneity",
            "Heterogeneity against score",
            "Groups scored architectures by heterogeneity in steps of 0.1 and compares their scores.",
            _KIND
            | {
                "heterogeneity": "Lower end of the group; each is 0.1 wide.",
                "architectures": "Number of architectures in the group.",
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
            "Returns the non-dominated architectures in score and number of parameters.",
            _KIND
            | _ARCHITECTURE
            | {"parameters": "Parameters of the encoder.", "value": "Mean score of the architecture."},
            _TASK,
            _SPACE,
        ),
        _query(
            "stale-trials",
            "Stale and repeated trials",
            "Lists trials whose lease ran out and trials that were attempted more than once. Many of them indicate a "
            "machine that dies or runs out of memory.",
            {
                "study": "The study.",
                "trial": "Number of the trial.",
                "state": "Its state now.",
                "attempts": "Number of attempts.",
                "reason": "Why it ended, if known.",
            }
            | _ARCHITECTURE,
        ),
        _query(
            "best-so-far",
            "Improvements of each study",
            "Returns the finished trials of each study that improved on all earlier ones: how fast a policy improves, "
            "and when it stops.",
            {
                "study": "The study.",
                "policy": "Its policy.",
                "evaluations": "Number of finished trials with a value, including this one.",
                "best": "Best value so far, which this trial reached.",
            }
            | _ARCHITECTURE,
        ),
        _query(
            "hubs",
            "Architectures that are neighbours of many",
            "Counts how often an architecture is among the neighbours of others. A hub represents a whole region, so "
            "its score is informative about many architectures.",
            _ARCHITECTURE
            | {
                "neighbours": "Number of architectures that have it among their nearest.",
                "mean_dissimilarity": "Mean dissimilarity to them.",
                "scores": "Number of its scores.",
            },
            _SPACE,
            _KERNEL,
            _LIMIT,
        ),
        _query(
            "skip-connections",
            "Skip connections",
            "Finds the edges of an architecture's computational graph that bypass a path of up to eight operations: "
            "the residual connections.",
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
            "Overlap of spaces",
            "Counts the architectures that two spaces share. Scores of shared architectures count in both spaces.",
            {
                "first": "A space.",
                "second": "Another space.",
                "shared": "Number of architectures in both.",
                "scored": "Number of them that have a score.",
            },
        ),
        _query(
            "lineage",
            "Lineage of weights",
            "Follows INHERITED relationships from the runs of an architecture to their donor runs, and to the donors "
            "of those.",
            {
                "runs": "The runs, each followed by its donor.",
                "architectures": "Ids of their architectures.",
                "share": "Share of the weights inherited along the whole path, 0 to 1: the product of the shares.",
            },
            _ID,
            _LIMIT,
        ),
        _query(
            "improvements",
            "Largest differences between neighbours",
            "Compares scored architectures with their scored neighbours and finds small changes of the design that "
            "made a large difference.",
            _KIND
            | {
                "worse": "Id of the architecture with the worse score.",
                "better": "Id of its neighbour with the better score.",
                "gain": "Difference of their mean scores, above 0.",
                "dissimilarity": "Dissimilarity of the two.",
            },
            _TASK,
            _SPACE,
            _KERNEL,
            _LIMIT,
        ),
    )
