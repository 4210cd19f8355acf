"""Random catalogues and queries: every store returns the results of the naive catalogue, equal to the bit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from graphstore.contract import GraphStore
from graphstore.errors import StoreInputError
from graphstore.queries import ArchitectureQuery
from graphstore.testing.catalogues import catalogues, questions
from graphstore.testing.oracle import Catalogue, Oracle, fill

Fresh = Callable[[], GraphStore]


class RandomQuestionLaws:
    """Random catalogues and queries."""

    examples = 100

    def test_random_questions(self, fresh: Fresh) -> None:
        """Every kind of question."""

        # No shrinking, because it would take minutes and catalogues are small already.
        @settings(max_examples=self.examples, derandomize=True, database=None, phases=[Phase.generate])
        @given(catalogues(), st.lists(questions(), min_size=3, max_size=3))
        def check(catalogue: Catalogue, asked: list[ArchitectureQuery]) -> None:
            store, oracle = fresh(), Oracle(catalogue)
            fill(store, catalogue)
            compare_library(store, oracle, catalogue)
            for query in asked:
                compare(oracle, store, "find", query)

        check()


def compare(oracle: Oracle, store: GraphStore, question: str, *about: object) -> None:
    """Both give equal answers, or both refuse."""
    try:
        answer = getattr(oracle, question)(*about)
    except StoreInputError:
        with pytest.raises(StoreInputError):
            getattr(store, question)(*about)
    else:
        assert getattr(store, question)(*about) == answer


def compare_library(store: GraphStore, oracle: Oracle, catalogue: Catalogue) -> None:
    """Answers to questions without conditions."""
    for space in (None, *catalogue.spaces):
        assert store.summaries(space) == oracle.summaries(space)
        assert store.scores(space) == oracle.scores(space)
        assert store.measurements(space) == oracle.measurements(space)
        assert store.best_per_task(space) == oracle.best_per_task(space)
    for space, vectors in catalogue.vectors.items():
        for vector in ([0.0, 0.0, 0.0], *list(vectors.values())[:1]):
            for k in (1, 3):
                assert store.nearest(space, np.array(vector), k) == oracle.nearest(space, vector, k)
    for space, neighbors in catalogue.neighbors.items():
        source = neighbors[0].source
        assert store.neighbors(space, source, "wl", 2) == oracle.neighbors(space, source, "wl", 2)
    for study in catalogue.trials:
        assert [(trial.number, trial.architecture) for trial in store.trials(study)] == oracle.trials(study)
    for id in (None, *(record.id for record in oracle.members(None)[:2])):
        assert store.lineage(id) == oracle.lineage(id)
        assert store.scores(architecture=id, task="SST-2") == oracle.scores(architecture=id, task="SST-2")
