"""Lost connections, deadlocks and transient errors of a real Neo4j: retried or reported, never half-applied."""

from __future__ import annotations

import dataclasses
import functools
import os
import threading
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import neo4j
import pytest
from neo4j.exceptions import Neo4jError, TransientError

from graphstore import GraphStore, open_store
from graphstore.cypher import run_query
from graphstore.errors import StoreError
from graphstore.neo4j import graph
from graphstore.neo4j.graph import Statements
from graphstore.neo4j.store import Neo4jStore
from graphstore.records import MeasurementRecord, TrialRecord, TrialStatus
from graphstore.testing import samples
from graphstore.testing.proxy import Proxy, Way

pytestmark = pytest.mark.neo4j
SECRET = "hush-hush"
KNOWN = 24


@pytest.fixture
def wire(server, neo4j_url: str) -> Iterator[Proxy]:
    with Proxy(urlsplit(neo4j_url).port or 7687) as proxy:
        yield proxy


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver waits a moment, not seconds, before it tries again."""
    # The driver has no public setting for the first delay.
    monkeypatch.setattr("neo4j._sync.work.session.sleep", lambda seconds: threading.Event().wait(seconds / 50))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver gives up soon; for wires that stay cut, as on a slow machine half a second may be one request."""
    monkeypatch.setattr(graph, "RETRY_SECONDS", 0.5)


@pytest.fixture
def direct(server, neo4j_url: str) -> Iterator[GraphStore]:
    with open_store(neo4j_url) as store:
        prepare(store)
        yield store


@pytest.fixture
def distant(wire: Proxy, direct: GraphStore, quick: None) -> Iterator[GraphStore]:
    """The same store over a wire that can be cut. A server that asks for no password takes any."""
    user, password = os.environ.get("NEO4J_USER", "neo4j"), os.environ.get("NEO4J_PASSWORD", SECRET)
    with open_store(f"bolt://{user}:{password}@127.0.0.1:{wire.port}") as store:
        yield store


def prepare(store: GraphStore) -> None:
    store.put_space(samples.space())
    store.add_architectures("nano", samples.architectures(KNOWN))
    store.create_study(samples.study())
    store.add_trials("first", [(record.id, {}) for record in samples.architectures(KNOWN)])


class Load:
    """One call of a method, with things nobody wrote before, and what must be there after it."""

    def __init__(self, method: str, turn: int, store: GraphStore) -> None:
        self.method, self.turn = method, turn
        self.known = samples.architectures(KNOWN)
        records = samples.architectures(20, seed=1)
        self.new = [dataclasses.replace(record, id=f"{turn}-{record.id}") for record in records]
        self.scores = [samples.score(record.id, f"task-{turn}", seed=turn) for record in self.known]
        self.trial: TrialRecord | None = None
        if method == "finish_trial":
            self.trial = store.claim_trial("first", f"w{turn}", 1e9, 1000.0)

    def call(self, store: GraphStore) -> object:
        if self.method == "add_architectures":
            return store.add_architectures("nano", self.new)
        if self.method == "add_scores":
            return store.add_scores(self.scores)
        assert self.trial is not None
        return store.finish_trial(self.trial, TrialStatus.COMPLETE, 1001.0, 0.5, scores=self.scores)

    def found(self, store: GraphStore) -> int:
        """How many of the things are there, each whole; twice is an error."""
        if self.method == "add_architectures":
            ids = [summary.id for summary in store.summaries("nano")]
            assert len(set(ids)) == len(ids) == store.count()
            new = [record for record in self.new if record.id in set(ids)]
            assert [store.architecture(record.id) for record in new] == new
            return len(new)
        written = [score for score in store.scores() if score.task == f"task-{self.turn}"]
        assert len({score.id for score in written}) == len(written)
        if self.trial is not None:
            stored = store.trials("first")[self.trial.number]
            assert stored.attempt == 1
            assert (stored.state is TrialStatus.COMPLETE) == bool(written)
        return len(written)

    @functools.cached_property
    def all(self) -> int:
        return len(self.new) if self.method == "add_architectures" else len(self.scores)


METHODS = ("add_architectures", "add_scores", "finish_trial")
"""Those that matter most; every method goes through the same two doors."""
CUTS = 6
FIRST = 21  # of calls whose requests have the same length


def traffic(wire: Proxy, distant: GraphStore, method: str) -> dict[Way, int]:
    """Bytes of one call each way; the connection is there already."""
    load = Load(method, FIRST - 1, distant)
    distant.count()
    before = {way: wire.passed(way) for way in Way}
    load.call(distant)
    return {way: wire.passed(way) - before[way] for way in Way}


@pytest.mark.parametrize("way", Way)
@pytest.mark.parametrize("method", METHODS)
def test_a_cut_wire_is_mended_and_the_call_takes_effect_once(
    wire: Proxy, direct: GraphStore, distant: GraphStore, method: str, way: Way
):
    """Wherever the wire is cut, also between a commit and its acknowledgement, the call returns as if it were not."""
    size = traffic(wire, distant, method)[way]
    results = []
    for turn in range(CUTS):
        load = Load(method, FIRST + turn, direct)
        cuts = wire.cuts
        # The last cut is a few bytes before the end: there the acknowledgement is lost.
        wire.cut_after(way, size * (turn + 1) // CUTS - 12)
        results.append(load.call(distant))
        assert wire.cuts > cuts
        assert load.found(direct) == load.all
        if isinstance(results[-1], TrialRecord):
            assert results[-1] == direct.trials("first")[results[-1].number]
        else:
            assert results[-1] == load.all


def test_a_wire_cut_in_a_read_is_mended(wire: Proxy, direct: GraphStore, distant: GraphStore):
    expected = direct.trials("first")
    for way in Way:
        before = wire.passed(way)
        assert distant.trials("first") == expected
        size = wire.passed(way) - before
        for turn in range(CUTS):
            cuts = wire.cuts
            wire.cut_after(way, size * (turn + 1) // CUTS - 2)
            assert distant.trials("first") == expected
            assert wire.cuts > cuts


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("method", METHODS)
def test_a_wire_that_stays_cut_is_reported_and_the_same_call_completes(
    wire: Proxy, direct: GraphStore, distant: GraphStore, method: str
):
    sizes = traffic(wire, distant, method)
    secret = os.environ.get("NEO4J_PASSWORD", SECRET)
    seen = set()
    for turn, (way, part) in enumerate([(Way.REQUESTS, 2), (Way.REQUESTS, 5), (Way.ANSWERS, 3), (Way.ANSWERS, 6)]):
        load = Load(method, FIRST + turn, direct)
        wire.cut_after(way, sizes[way] * part // CUTS - 12, heals=False)
        with pytest.raises(StoreError) as caught:
            load.call(distant)
        error: BaseException | None = caught.value
        while error is not None:
            assert secret not in f"{error!r} {error}"
            error = error.__cause__ or error.__context__
        found = load.found(direct)
        assert found in (0, load.all)
        seen.add(bool(found))
        wire.heal()
        load.call(distant)
        assert load.found(direct) == load.all
    assert seen == {False, True}, "one of the cuts must be before the commit, one after it"


# Transient errors --------------------------------------------------------------------------------------------------


def transient() -> TransientError:
    code = "Neo.TransientError.Transaction.DeadlockDetected"
    error = Neo4jError._hydrate_neo4j(code=code, message="injected")
    assert isinstance(error, TransientError)
    return error


class Injector:
    """Raises a transient error in place of a statement, or after it; once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seen, self.at, self.after, self.raised = 0, -1, False, 0
        rows = Statements.rows
        injector = self

        def broken(statements: Statements, query: str, **parameters: object) -> graph.Rows:
            injector.seen += 1
            hit = injector.seen == injector.at
            if hit and not injector.after:
                injector.raised += 1
                raise transient()
            found = rows(statements, query, **parameters)
            if hit:
                injector.raised += 1
                raise transient()
            return found

        monkeypatch.setattr(Statements, "rows", broken)

    def arm(self, at: int, after: bool = False) -> None:
        self.seen, self.at, self.after, self.raised = 0, at, after, 0


WRITES: dict[str, Callable[[GraphStore, int, TrialRecord], object]] = {
    "put_space": lambda store, turn, trial: store.put_space(samples.space(f"space-{turn}")),
    "add_architectures": lambda store, turn, trial: store.add_architectures(
        "nano", samples.architectures(3, seed=500 + turn)
    ),
    "add_scores": lambda store, turn, trial: store.add_scores([samples.score(trial.architecture, seed=turn)]),
    "add_trials": lambda store, turn, trial: store.add_trials("second", [(samples.architectures(KNOWN)[turn].id, {})]),
    "finish_trial": lambda store, turn, trial: store.finish_trial(
        trial, TrialStatus.COMPLETE, 1001.0, 0.5, scores=[samples.score(trial.architecture, "end")]
    ),
    "put_job": lambda store, turn, trial: store.put_job(samples.job(f"job-{turn}")),
}


def rows_of(store: GraphStore) -> dict[str, int]:
    return {
        "put_space": len(store.spaces()),
        "add_architectures": store.count("nano"),
        "add_scores": len(store.scores()),
        "add_trials": len(store.trials("second")),
        "finish_trial": sum(trial.state is TrialStatus.COMPLETE for trial in store.trials("first")),
        "put_job": len(store.jobs()),
    }


@pytest.mark.parametrize("method", WRITES)
def test_a_transient_error_at_any_statement_leaves_one_row(
    direct: GraphStore, quick: None, monkeypatch: pytest.MonkeyPatch, method: str
):
    """The write with an error at its first, second, … statement does exactly what it does without."""
    direct.create_study(samples.study("second"))
    injector = Injector(monkeypatch)
    step, statements, at = 0, 1, 0
    while at < statements:
        trial = direct.claim_trial("first", f"w{at}", 1e9, 1000.0) or direct.trials("first")[0]
        before = rows_of(direct)
        injector.arm(at, after=at % 2 == 0)
        WRITES[method](direct, at, trial)
        seen, raised = injector.seen, injector.raised
        injector.arm(-1)
        change = {name: count - before[name] for name, count in rows_of(direct).items() if count != before[name]}
        if at == 0:
            step, statements = change.pop(method), seen + 1
            extra = change
            assert raised == 0
        else:
            assert raised == 1
            assert change == {method: step, **extra}
        at += 1
        assert at < KNOWN, "more statements than trials"
    assert at > 1


# A server that can be restarted -------------------------------------------------------------------------------------


def test_a_server_that_ended_is_started_again_by_whoever_needs_it(wire: Proxy, direct: GraphStore, quick: None):
    """Reads and writes are completed by the restarted server; a free statement is not repeated."""
    restarts: list[int] = []

    def restart() -> None:
        restarts.append(wire.cuts)
        wire.heal()

    user, password = os.environ.get("NEO4J_USER", "neo4j"), os.environ.get("NEO4J_PASSWORD", SECRET)
    id = samples.architectures(KNOWN)[0].id
    with Neo4jStore(f"bolt://127.0.0.1:{wire.port}", user, password, restart=restart) as store:
        calls: list[Callable[[], object]] = [
            lambda: store.count("nano") == KNOWN,
            lambda: store.architecture(id).id == id,
            lambda: store.add_scores([samples.score(id, "again")]) == 1,
        ]
        for turn, call in enumerate(calls, start=1):
            wire.cut()
            assert call()
            assert len(restarts) == turn
        wire.cut()
        with pytest.raises(StoreError, match="started again"):
            run_query(store, "RETURN 1")
        assert run_query(store, "RETURN 1").rows == ((1,),)
        assert len(restarts) == len(calls) + 1
    assert [score.task for score in direct.scores()] == ["again"]


# A real deadlock ---------------------------------------------------------------------------------------------------


def test_a_real_deadlock_leaves_one_row(server, direct: GraphStore, quick: None, monkeypatch: pytest.MonkeyPatch):
    """Somebody else holds the architecture and wants the topic, the store the other way round."""
    record = samples.architectures(KNOWN)[0]
    holds, wants = threading.Event(), threading.Event()
    lost: list[str] = []
    rows = Statements.rows

    def other() -> None:
        with server.session() as session, session.begin_transaction() as transaction:
            transaction.run("MATCH (a:Architecture {id: $id}) SET a.held = true", id=record.id).consume()
            holds.set()
            wants.wait(30)
            try:
                transaction.run("MATCH (m:ArchexMeta {topic: 'scores'}) SET m.held = true").consume()
            except TransientError:
                lost.append("other")
            transaction.rollback()

    def slow(statements: Statements, query: str, **parameters: object) -> graph.Rows:
        if "locked" not in query and not wants.is_set():  # the store has locked its topic by now
            wants.set()
            wait_until_blocked(server)
        try:
            return rows(statements, query, **parameters)
        except TransientError:
            lost.append("store")
            raise

    thread = threading.Thread(target=other)
    thread.start()
    assert holds.wait(30)
    monkeypatch.setattr(Statements, "rows", slow)
    assert direct.add_measurements([MeasurementRecord(record.id, "cpu", "latency", 0.5, "s")]) == 1
    thread.join()
    assert lost, "there was no deadlock"
    assert len(direct.measurements()) == 1
    assert direct.revision("scores") == 1


def wait_until_blocked(server: neo4j.Driver) -> None:
    query = "SHOW TRANSACTIONS YIELD status WHERE status STARTS WITH 'Blocked' RETURN count(*) AS blocked"
    for _ in range(200):
        if server.execute_query(query).records[0]["blocked"]:
            return
        threading.Event().wait(0.02)
    raise AssertionError("nobody waits for the topic")
