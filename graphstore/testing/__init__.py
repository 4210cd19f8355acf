"""The contract's test suite.

An engine's tests inherit ``GraphStoreSuite`` and supply three fixtures:

* ``store``: an open, empty store, closed after the test;
* ``reopen``: a function that opens one more handle on the same store; all are closed after the test;
* ``fresh``: a function that returns an open, empty store each time; it may reuse the previous one.
"""

from __future__ import annotations

from graphstore.testing.append_laws import AppendLaws, KernelLaws
from graphstore.testing.bulk_laws import BulkLaws
from graphstore.testing.concurrency_laws import ConcurrencyLaws
from graphstore.testing.lease_laws import LeaseLaws
from graphstore.testing.library_laws import LibraryLaws, SimilarityLaws
from graphstore.testing.lineage_laws import LineageLaws
from graphstore.testing.query_laws import QueryLaws
from graphstore.testing.random_laws import RandomQuestionLaws
from graphstore.testing.study_laws import JobLaws, ScoreLaws, StudyLaws
from graphstore.testing.value_laws import ValueLaws


class GraphStoreSuite(
    LibraryLaws,
    SimilarityLaws,
    AppendLaws,
    KernelLaws,
    QueryLaws,
    LineageLaws,
    RandomQuestionLaws,
    ScoreLaws,
    StudyLaws,
    LeaseLaws,
    JobLaws,
    ValueLaws,
    BulkLaws,
    ConcurrencyLaws,
):
    """All laws of the contract; the tests of each engine inherit them."""


__all__ = ["GraphStoreSuite"]
