"""Laws of invalid values: each field of each record refuses them before a write."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphstore.contract import GraphStore
from graphstore.errors import StoreInputError
from graphstore.fields import LONGEST_NAME, LONGEST_TEXT, TEXTS, rules
from graphstore.records import (
    Embeddings,
    LineageRecord,
    MeasurementRecord,
    NeighborRecord,
    ScoreRecord,
    TrialRecord,
    TrialStatus,
)
from graphstore.testing import samples
from graphstore.testing.library_laws import filled

NAN, INFINITE = float("nan"), float("inf")

WRONG: dict[str, tuple[Any, ...]] = {
    "text": (None, 5, 0.5, True, b"x", np.int64(1), ["x"], "\ud800"),
    "integer": (None, "abc", "5", 2.5, 1.0, NAN, True, np.int64(1), np.bool_(True), 2**63, [1]),
    "number": (None, "abc", True, NAN, INFINITE, -INFINITE, np.float32(0.5), np.int64(1), np.float64("nan"), 10**400),
    "state": (None, "asleep", 5, True, ["open"]),
    "map": (None, "", 5, [], {"x": NAN}, {"x": np.int64(1)}, {"x": {1}}),
    "list": (None, 5, "12", [1], (True,), ("1",), (0.5,), (np.int64(1),), (None,)),
}


def wrong_values(name: str, record: type) -> list[Any]:
    """Invalid values for a field of a record."""
    rule = rules(record)[name]
    values = [value for value in WRONG[rule.kind] if value is not None or type(None) not in rule.types]
    if rule.kind == "text":
        longest = LONGEST_TEXT if name in TEXTS else LONGEST_NAME
        values += ["x" * (longest + 1), "ü" * (longest // 2 + 1)]
    return values


def changed(record: Any, name: str, value: object) -> Any:
    """Return the record with another value, bypassing its own checks."""
    other = object.__new__(type(record))
    for field in dataclasses.fields(record):
        object.__setattr__(other, field.name, value if field.name == name else getattr(record, field.name))
    return other


class ValueLaws:
    """Values of a wrong type, missing, or not finite."""

    def test_every_field_of_every_record_is_checked(self, store: GraphStore) -> None:
        """A wrong value is refused by an error that names the field, and nothing is written."""
        first, second = filled(store, 2)
        (new,) = samples.architectures(1, seed=9)
        store.create_study(samples.study())
        held = TrialRecord("first", 0, first.id, TrialStatus.RUNNING, 1, 1, "w", 9.0, None, "", {}, 0.0, 0.0, 0.0)
        near = NeighborRecord(first.id, second.id, "wl", 1, 0.5)
        further = dataclasses.replace(near, rank=2)
        measured = MeasurementRecord(first.id, "cpu", "latency", 0.5, "s")
        line = LineageRecord("a", first.id, "b", second.id, "ordered", 0.5)

        def with_part(field: str) -> Callable[[Any], object]:
            parts = getattr(new, field)
            return lambda part: store.add_architectures("nano", [second, changed(new, field, (part, *parts[1:]))])

        writes: tuple[tuple[Any, Callable[[Any], object]], ...] = (
            (samples.space("more"), store.put_space),
            (new, lambda record: store.add_architectures("nano", [second, record])),
            (new.layers[0], with_part("layers")),
            (new.ops[0], with_part("ops")),
            (near, lambda record: store.put_neighbors("nano", "wl", [further, record])),
            (samples.score(first.id), lambda record: store.add_scores([samples.score(second.id), record])),
            (measured, lambda record: store.add_measurements([measured, record])),
            (line, lambda record: store.add_lineage([line, record])),
            (samples.study("more"), store.create_study),
            (held, lambda record: store.restore_trials("first", [record])),
            (samples.job(), store.put_job),
        )
        at = store.revision()
        for record, write in writes:
            for field in dataclasses.fields(record):
                for value in wrong_values(field.name, type(record)):
                    with pytest.raises(StoreInputError) as caught:
                        write(changed(record, field.name, value))
                    message = str(caught.value)
                    assert field.name in message or "study" in message, (type(record), field.name, value, message)
                    assert " must be " in message, message
                    assert len(message) < 1000
        assert store.revision() == at
        for record, write in writes:
            write(record)
        assert store.problems() == []

    def test_every_argument_is_checked(self, store: GraphStore) -> None:
        """Invalid arguments of methods are refused too."""
        first, second = filled(store, 2)
        store.create_study(samples.study())
        store.add_trials("first", [(first.id, {}), (second.id, {})])
        trial = store.claim_trial("first", "w", 10.0, 100.0)
        assert trial is not None
        store.put_job(samples.job())
        at = store.revision()
        done, numbers, integers = TrialStatus.COMPLETE, WRONG["number"], WRONG["integer"]
        bad_score = changed(samples.score(first.id), "seconds", NAN)
        calls: list[Callable[[], object]] = [
            *(lambda v=v: store.finish_trial(trial, done, v, 0.5) for v in numbers),
            *(lambda v=v: store.finish_trial(trial, done, 101.0, v) for v in numbers),
            *(lambda v=v: store.finish_trial(trial, TrialStatus.FAILED, 101.0, reason=v) for v in WRONG["text"]),
            lambda: store.finish_trial(trial, done, 101.0, 0.5, scores=[bad_score]),
            *(lambda v=v: store.claim_trial("first", "w", 10.0, v) for v in numbers),
            *(lambda v=v: store.claim_trial("first", "w", v, 100.0) for v in numbers),
            *(lambda v=v: store.claim_trial("first", v, 10.0, 100.0) for v in (*WRONG["text"], "", "x" * 1001)),
            *(lambda v=v: store.renew_lease(trial, 10.0, v) for v in numbers),
            *(lambda v=v: store.renew_lease(trial, 10.0, 100.0, v) for v in WRONG["map"] if v is not None),
            *(lambda v=v: store.expire_leases("first", v, 3) for v in numbers),
            *(lambda v=v: store.expire_leases("first", 999.0, v) for v in integers),
            *(lambda v=v: store.update_study("first", state=v) for v in WRONG["state"] if v is not None),
            *(lambda v=v: store.update_study("first", spec=v) for v in WRONG["map"] if v is not None),
            *(lambda v=v: store.update_job("job-1", progress=v) for v in numbers),
            *(lambda v=v: store.update_job("job-1", pid=v) for v in integers),
            *(lambda v=v: store.update_job("job-1", info=v) for v in WRONG["map"]),
            *(lambda v=v: store.add_trials("first", [(v, {})]) for v in WRONG["text"]),
            *(lambda v=v: store.add_trials("first", [(second.id, v)]) for v in WRONG["map"]),
            *(lambda v=v: store.add_architectures("nano", [changed(first, "feeds", (v,))]) for v in EDGES),
            *(lambda v=v: store.put_embeddings("nano", Embeddings((v,), np.ones((1, 2), np.float32)))
              for v in WRONG["text"]),
            lambda: store.put_embeddings("nano", Embeddings((first.id,), np.array([["x"]]))),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(StoreInputError, match=" must "):
                call()
        assert store.revision() == at
        assert store.finish_trial(trial, done, 101.0, np.float64(0.5)).value == 0.5
        assert store.problems() == []

    def test_the_longest_texts_are_kept(self, store: GraphStore) -> None:
        """Texts of maximum length are stored, with four-byte characters and several in one index."""
        name, text = "𝄞" * (LONGEST_NAME // 4), "𝄞" * (LONGEST_TEXT // 4)
        record = dataclasses.replace(samples.architectures(1)[0], id=name, spec=text)
        store.put_space(samples.space(name))
        store.add_architectures(name, [record])
        measured = MeasurementRecord(name, name, name, 0.5, name)
        store.add_measurements([measured])
        scored = ScoreRecord(name, name, name, 0.5, name, name, name, 1, name)
        store.add_scores([scored])
        store.create_study(samples.study(name, name))
        store.add_trials(name, [(name, {})])
        assert store.architecture(name) == record
        assert (store.measurements(), store.scores()) == ([measured], [scored])
        assert [trial.study for trial in store.trials(name)] == [name]

    def test_what_can_be_read_only_once_is_kept_whole(self, store: GraphStore) -> None:
        """A generator of scores or measurements is not exhausted by the check of its fields."""
        first, second = (record.id for record in filled(store, 2))
        scores = [ScoreRecord(id, "task", "accuracy", 0.5, "data", "full", "none", 0, "once") for id in (first, second)]
        assert store.add_scores(score for score in scores) == 2
        assert [score.architecture for score in store.scores(task="task")] == sorted([first, second])
        measured = [MeasurementRecord(id, "pi", "latency", 1.0, "s") for id in (first, second)]
        assert store.add_measurements(one for one in measured) == 2
        assert len(store.measurements()) == 2


EDGES = (None, (0, 1, 2), (0, 1.0), (0, True), [0, 1], (0, np.int64(1)), "01")
