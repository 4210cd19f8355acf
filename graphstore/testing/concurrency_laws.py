"""Laws of concurrent use and of revisions."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from graphstore.contract import GraphStore
from graphstore.errors import LeaseLostError
from graphstore.records import Embeddings, MeasurementRecord, NeighborRecord, ScoreRecord, TrialStatus
from graphstore.testing import samples
from graphstore.testing.library_laws import Reopen, filled
from graphstore.testing.study_laws import started

THREADS = 8


def at_once(work: Callable[[int], object], threads: int = THREADS) -> list[object]:
    """Run ``work(0)``, ``work(1)``, … in threads that start together; raises what one of them raised."""
    barrier = threading.Barrier(threads)

    def run(index: int) -> object:
        barrier.wait()
        return work(index)

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))


class ConcurrencyLaws:
    """Threads, several handles, and revisions."""

    def test_each_trial_is_claimed_once(self, store: GraphStore, reopen: Reopen) -> None:
        """Claimers on two handles race for the same trials, and every trial goes to exactly one."""
        started(store, 20)
        handles = [store, reopen()]

        def claim(index: int) -> list[int]:
            numbers = []
            while (trial := handles[index % 2].claim_trial("first", f"w{index}", 60.0, 1000.0)) is not None:
                numbers.append(trial.number)
            return numbers

        taken = [number for numbers in at_once(claim) for number in numbers]  # type: ignore[attr-defined]
        assert sorted(taken) == list(range(20))
        assert {trial.attempt for trial in store.trials("first")} == {1}

    def test_one_trial_has_one_winner(self, store: GraphStore) -> None:
        """One claimer gets the last trial, the others get nothing."""
        started(store, 1)
        found = at_once(lambda index: store.claim_trial("first", f"w{index}", 60.0, 1000.0))
        assert sum(trial is not None for trial in found) == 1

    def test_finish_races_with_expiry(self, store: GraphStore) -> None:
        """A trial whose lease ends as it is finished is either complete with its score, or stale without."""
        ids = started(store, 6)
        for number in range(6):
            trial = store.claim_trial("first", "w", 1.0, 1000.0)
            assert trial is not None
            score = samples.score(ids[number])

            def finish_or_expire(index: int, trial=trial, score=score) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
                if index:
                    store.expire_leases("first", 2000.0, 1)
                    return
                try:
                    store.finish_trial(trial, TrialStatus.COMPLETE, 1500.0, 0.5, scores=[score])
                except LeaseLostError:
                    return

            at_once(finish_or_expire, 2)
        complete = {t.architecture for t in store.trials("first") if t.state is TrialStatus.COMPLETE}
        assert {s.architecture for s in store.scores()} == complete
        assert all(t.state in (TrialStatus.COMPLETE, TrialStatus.FAILED) for t in store.trials("first"))

    def test_threads_write_and_read(self, store: GraphStore) -> None:
        """Eight threads write scores and read them back; nothing is lost, nobody sees half of a call."""
        ids = [record.id for record in filled(store, THREADS)]

        def work(index: int) -> None:
            for turn in range(6):
                pair = [samples.score(ids[index], task, turn / 8, turn) for task in ("a", "b")]
                assert store.add_scores(pair) == 2
                seen = [score.task for score in store.scores("nano")]
                assert seen.count("a") == seen.count("b") >= turn + 1
                store.put_job(samples.job(f"job-{index}", float(turn + 1)))

        at_once(work)
        assert len(store.scores()) == THREADS * 6 * 2
        assert len(store.jobs()) == THREADS

    def test_threads_add_the_same(self, store: GraphStore, reopen: Reopen) -> None:
        """Threads that add overlapping architectures and scores store each exactly once."""
        records = samples.architectures(30)
        store.put_space(samples.space())
        handles = [store, reopen()]

        def work(index: int) -> int:
            handle = handles[index % 2]
            new = handle.add_architectures("nano", records[index : index + 20])
            handle.add_scores([samples.score(record.id) for record in records[index : index + 20]])
            return new

        assert sum(at_once(work)) == 27  # type: ignore[arg-type]
        assert store.count() == store.count("nano") == 27
        assert sorted(s.id for s in store.summaries("nano")) == sorted(r.id for r in records[:27])
        assert [store.architecture(record.id) for record in records[:27]] == records[:27]
        assert len(store.scores()) == 27

    def test_threads_propose_the_same(self, store: GraphStore) -> None:
        """Threads that propose the same architectures leave one trial each, numbered without a gap."""
        ids = [record.id for record in filled(store, 10)]
        store.create_study(samples.study())
        at_once(lambda index: store.add_trials("first", [(id, {}) for id in ids[index % 3 :]]))
        trials = store.trials("first")
        assert [trial.number for trial in trials] == list(range(10))
        assert sorted(trial.architecture for trial in trials) == sorted(ids)

    def test_threads_create_one_study(self, store: GraphStore) -> None:
        """Threads that create a study of one name get one and the same."""
        store.put_space(samples.space())
        found = at_once(lambda index: store.create_study(samples.study(created=float(index))))
        assert all(study == found[0] for study in found)
        assert store.studies() == found[:1]

    def test_each_change_counts(self, store: GraphStore, reopen: Reopen) -> None:
        """Every kind of write raises its own topic's revision and the sum, and no other topic's."""
        ids = [record.id for record in filled(store, 3)]
        store.create_study(samples.study())
        store.add_trials("first", [(id, {}) for id in ids[:2]])
        trial = store.claim_trial("first", "w", 1.0, 1000.0)
        assert trial is not None
        store.put_job(samples.job())
        vectors = Embeddings(tuple(ids), np.ones((3, 2), np.float32))
        writes: list[tuple[str, Callable[[], object]]] = [
            ("library", lambda: store.put_space(samples.space("more"))),
            ("library", lambda: store.add_architectures("more", samples.architectures(1))),
            ("library", lambda: store.put_embeddings("nano", vectors)),
            ("library", lambda: store.put_neighbors("nano", "wl", [NeighborRecord(ids[0], ids[1], "wl", 1, 0.5)])),
            ("scores", lambda: store.add_scores([samples.score(ids[0])])),
            ("scores", lambda: store.add_measurements([MeasurementRecord(ids[0], "cpu", "latency", 0.5, "s")])),
            ("studies", lambda: store.create_study(samples.study("next"))),
            ("studies", lambda: store.update_study("first", spec={"budget": 3})),
            ("studies", lambda: store.add_trials("first", [(ids[2], {})])),
            ("studies", lambda: store.renew_lease(trial, 1.0, 1000.0, {"step": 1})),
            ("studies", lambda: store.claim_trial("first", "w", 1.0, 1000.0)),
            ("studies", lambda: store.finish_trial(trial, TrialStatus.FAILED, 1000.0)),
            ("studies", lambda: store.expire_leases("first", 2000.0, 5)),
            ("jobs", lambda: store.put_job(samples.job("another"))),
            ("jobs", lambda: store.update_job("another", pid=3)),
        ]
        topics = ("library", "scores", "studies", "jobs")
        other = reopen()
        for topic, write in writes:
            before = {name: other.revision(name) for name in topics}
            write()
            after = {name: other.revision(name) for name in topics}
            assert after[topic] > before[topic]
            assert [name for name in topics if after[name] != before[name]] == [topic]
            assert other.revision() == sum(after.values())

    def test_interrupted_load_is_written_again(self, store: GraphStore) -> None:
        """An interrupted load leaves complete batches, and repeating it adds the rest."""
        records = samples.architectures(1100)

        class BrokenOffError(Exception):
            pass

        def stop(done: int, total: int) -> None:
            raise BrokenOffError

        store.put_space(samples.space())
        try:
            store.add_architectures("nano", records, stop)
        except BrokenOffError:
            kept = store.count("nano")
        assert 0 < kept < 1100
        assert [store.architecture(s.id).id for s in store.summaries("nano")[:3]] == [r.id for r in records[:3]]
        assert store.add_architectures("nano", records) == 1100 - kept
        assert [s.id for s in store.summaries("nano")] == [record.id for record in records]

    def test_text_is_kept_as_it_is(self, store: GraphStore) -> None:
        """Quotes, braces, line ends and letters of any script survive in names and sources."""
        id = filled(store, 1)[0].id
        odd = 'it\'s "odd"; DROP {x: $y} `z`\\ \n\t Ωß漢 🙂'
        score = ScoreRecord(id, odd, odd, 0.5, odd, odd, odd, 3, odd)
        store.add_scores([score])
        store.put_space(samples.space(odd))
        store.put_job(samples.job(odd))
        assert store.scores(task=odd) == [score]
        assert store.space(odd).name == odd
        assert store.update_job(odd, message=odd).message == odd
