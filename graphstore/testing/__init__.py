"""The contract's test suite.

An engine's tests inherit ``GraphStoreSuite`` and supply two fixtures:

* ``store``: an open, empty store, closed after the test;
* ``reopen``: a function that opens one more handle on the same store; all are closed after the test.
"""

from __future__ import annotations

from graphstore.testing.concurrency_laws import ConcurrencyLaws
from graphstore.testing.library_laws import LibraryLaws, SimilarityLaws
from graphstore.testing.study_laws import JobLaws, ScoreLaws, StudyLaws


class GraphStoreSuite(LibraryLaws, SimilarityLaws, ScoreLaws, StudyLaws, JobLaws, ConcurrencyLaws):
    """Every law of the contract, to be inherited by each engine's tests."""


__all__ = ["GraphStoreSuite"]
