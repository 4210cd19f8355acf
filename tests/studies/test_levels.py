"""Coarse to fine on a space whose finest level can still be listed, with scores by a formula instead of trainings."""

import itertools
import time
from dataclasses import replace

import numpy as np
import pytest

from explorer.errors import DataError, InputError
from explorer.library.library import Library
from explorer.library.spaces import build_space, is_ready
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.formats import from_json
from explorer.space.grammar import DesignSpace, load_space
from explorer.space.hierarchy import finer, levels
from explorer.studies.driver import (
    MAX_ATTEMPTS,
    StudyDriver,
    best_trial,
    close_study,
    prior_trials,
)
from explorer.studies.levels import grammar, level_specs, next_study
from explorer.studies.managing import extend_study, open_study, prepare_resume
from explorer.studies.objectives import study_candidates
from explorer.studies.spec import Known, Stages, StudySpec
from explorer.studies.stages import run_stages
from explorer.testing.searches import search
from graphstore import open_store
from graphstore.records import ScoreRecord, SpaceRecord, StudyState, TrialStatus

SPACE = DesignSpace.from_document(
    {
        "name": "little",
        "hidden": [16, 32],
        "heads": [2],
        "layers": [2, 4],
        "operations": {"sa": ["sdp"]},
        "feed_forward": {"depth": [1, 2], "width": [16, 32]},
        "layers_per_stack": 2,
    }
)


def quality(spec):
    """How good an architecture is, by a formula: wide late layers, thin early ones, and stacks of unlike widths."""
    score = 0.1 * spec.depth
    for place, layer in enumerate(spec.layers):
        widths = layer.feed_forward
        score += (layer.hidden / 32 - 0.5) * (place - 1) + 0.2 * len(widths) * (place % 2) + 0.5 * len(set(widths))
    return score


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    path = tmp_path_factory.mktemp("little") / "store.db"
    with open_store(f"sqlite:///{path}") as store:
        build_space(store, SPACE, SilentReporter())
    return path.read_bytes()


@pytest.fixture
def fresh(built, tmp_path):
    """Makes stores of their own with the library of the coarse space."""
    names, opened = itertools.count(), []

    def make():
        path = tmp_path / f"{next(names)}.db"
        path.write_bytes(built)
        opened.append(open_store(f"sqlite:///{path}"))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


def plan(policy="evolution", budget=12, name="s", levels=3, level_size=40, **changes):
    stages = Stages(levels=levels, level_size=level_size)
    return search(name, "little", policy, budget=budget, **{"batch": 4, "patience": 2, "stages": stages, **changes})


def evaluate(store, study, stop=lambda: False):
    """Runs a study as workers do, with ``quality`` as the score."""
    driver = StudyDriver(store, study, study_candidates(store, StudySpec.of(study)))
    while not stop():
        store.expire_leases(study.name, time.time() + 100, MAX_ATTEMPTS + 100)
        if not driver.refill(4) and driver.finished():
            break
        while (trial := store.claim_trial(study.name, "test", 60.0, time.time())) is not None:
            value = quality(from_json(store.summaries(ids=[trial.architecture])[0].spec))
            store.finish_trial(trial, TrialStatus.COMPLETE, time.time(), value=value)
    return close_study(store, driver)


def run(store, a_plan, stop=lambda: False):
    study = open_study(store, a_plan)
    return run_stages(store, study, lambda one: evaluate(store, one, stop), SilentReporter(), stop)


def everything(store):
    """All that a search leaves in a store but the times."""
    spaces = {
        space.name: (
            space.info,
            store.architecture_ids(space.name),
            store.embeddings(space.name).vectors.tobytes(),
            store.neighbor_table(space.name, "views"),
        )
        for space in store.spaces()
    }
    studies = {
        study.name: (
            study.space,
            study.spec,
            study.state,
            [(t.number, t.architecture, t.value, t.state, t.info) for t in store.trials(study.name)],
        )
        for study in store.studies()
    }
    return spaces, studies


def test_every_level_begins_from_the_one_before(fresh):
    store = fresh()
    studies = run(store, plan())
    assert [study.name for study in studies] == ["s", "s.level2", "s.level3"]
    assert all(study.state is StudyState.DONE for study in studies)
    coarse = store.embeddings("little")
    for (before, study), level in zip(itertools.pairwise(studies), levels(SPACE)[1:], strict=True):
        members = {summary.id: from_json(summary.spec) for summary in store.summaries(study.space)}
        assert is_ready(store, study.space)
        assert all(spec in level for spec in members.values())
        assert grammar(store, study.space).source() == level.source()
        tried = [t.architecture for t in [*prior_trials(store, StudySpec.of(before)), *store.trials(before.name)]]
        assert (
            [t.architecture for t in prior_trials(store, StudySpec.of(study))] == tried == list(members)[: len(tried)]
        )
        assert not set(tried) & {t.architecture for t in store.trials(study.name)}
        top = best_trial(store.trials(before.name)).architecture
        near = store.neighbors(before.space, top, "views", 5)
        assert {top, *(n.target for n in near)} <= set(members)
        vectors = store.embeddings(study.space)
        shared = [id for id in vectors.ids if id in coarse.ids]
        assert len(shared) >= 12
        for id in shared:
            mine, theirs = vectors.vectors[vectors.ids.index(id)], coarse.vectors[coarse.ids.index(id)]
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
    best = [max(t.value for t in [*prior_trials(store, StudySpec.of(s)), *store.trials(s.name)]) for s in studies]
    assert best == sorted(best)


def test_an_outsider_is_placed_among_the_vectors_of_a_level_as_in_the_first_library(fresh):
    store = fresh()
    study = run(store, plan(levels=2))[-1]
    (inside,) = [s for s in store.summaries(study.space) if s.id == store.embeddings(study.space).ids[-1]]
    placed = Library.open(store, study.space).place([from_json(inside.spec)])[0]
    np.testing.assert_allclose(placed, store.embeddings(study.space).vectors[-1], atol=1e-6)


def test_the_surrogate_goes_on_from_the_coarser_levels_scores(fresh):
    store = fresh()
    run(store, plan("boshnas", budget=8, initial=4, levels=2))
    origins = [trial.info["origin"] for trial in store.trials("s.level2")]
    assert origins
    assert "initial" not in origins


def test_levels_find_what_the_coarse_one_lacks_and_chance_would_not(fresh):
    chain = levels(SPACE)
    assert [level.count() for level in chain] == [72, 4160, 20_880]
    everywhere = np.array([quality(spec) for spec in chain[-1]])
    luck = []
    for seed in (2, 3, 4):
        store = fresh()
        studies = run(store, plan(budget=15, initial=8, level_size=100, levels=5, seed=seed))
        found = max(t.value for study in studies for t in store.trials(study.name))
        assert found > max(map(quality, chain[0]))
        trials = sum(len(store.trials(study.name)) for study in studies)
        luck.append(1 - (1 - (everywhere > found).mean()) ** trials)
    # As many uniform draws from the finest level would rarely find a better one; the search depends on its seed.
    assert np.median(luck) < 0.15


def test_a_converged_level_ends_before_its_budget(fresh):
    store = fresh()
    studies = run(store, plan("boshnas", budget=60, initial=4, levels=2, patience=1))
    used = [len(store.trials(study.name)) for study in studies]
    assert all(study.state is StudyState.DONE for study in studies)
    assert max(used) < 60
    assert used[1] >= 4  # patience x batch trials of the level's own
    whole = {"stages": Stages(), "patience": 1, "stop_when_converged": True}
    alone = run(store, plan("boshnas", 60, "one", initial=4, **whole))
    assert [t.architecture for t in store.trials("one")] == [t.architecture for t in store.trials("s")]
    assert [study.name for study in alone] == ["one"]


class Killed(BaseException):
    """The process is gone."""


class Dying:
    """A store whose user dies before or after one of its writes."""

    WRITES = (
        *("put_space", "add_architectures", "put_kernel", "append_to_library", "create_study", "update_study"),
        *("add_trials", "claim_trial", "finish_trial"),
    )

    def __init__(self, store, at):
        self._store, self._at = store, at
        self.steps = []
        """The write that each step belongs to; it dies in step ``at``, counted from 0."""

    def __getattr__(self, name):
        method = getattr(self._store, name)
        if name not in self.WRITES:
            return method

        def call(*arguments, **named):
            for step in (lambda: None, lambda: method(*arguments, **named)):
                self.steps.append(name)
                if len(self.steps) > self._at:
                    raise Killed(name)
                result = step()
            return result

        return call


def test_a_search_killed_at_any_write_ends_as_if_it_had_not_been(fresh):
    whole = fresh()
    run(whole, plan(budget=4, level_size=20))
    counted = Dying(fresh(), 10**9)
    run(counted, plan(budget=4, level_size=20))
    steps = counted.steps
    assert set(steps) == set(Dying.WRITES)
    assert len(steps) > 50
    library = [step + after for step in map(steps.index, ("put_kernel", "append_to_library")) for after in (0, 1)]
    for at in [*library, *np.random.default_rng(0).choice(len(steps), size=7, replace=False)]:
        store = fresh()
        with pytest.raises(Killed, match=steps[at]):
            run(Dying(store, at), plan(budget=4, level_size=20))
        run(store, plan(budget=4, level_size=20))
        assert everything(store) == everything(whole)


def test_a_stopped_search_goes_on_as_if_it_had_not_been(fresh):
    whole, cut = fresh(), fresh()
    run(whole, plan("boshnas", budget=7, initial=4, levels=2))
    for asked in (1, 3):
        left = itertools.repeat(False, asked)
        run(cut, plan("boshnas", budget=7, initial=4, levels=2), lambda left=left: next(left, True))
        assert cut.studies()[0].state in (StudyState.STOPPED, StudyState.DONE)
    run(cut, plan("boshnas", budget=7, initial=4, levels=2))
    assert everything(cut) == everything(whole)


def test_a_larger_budget_counts_for_the_level_that_was_reached(fresh):
    store = fresh()
    run(store, plan(budget=6))
    before = everything(store)[0]
    first = [t.architecture for t in store.trials("s.level3")]
    run(store, plan(budget=9))
    assert everything(store)[0] == before
    assert [len(store.trials(name)) for name in ("s", "s.level2", "s.level3")] == [6, 6, 9]
    assert [t.architecture for t in store.trials("s.level3")][:6] == first
    assert store.study("s").state is StudyState.DONE


def test_parents_keep_the_constraints(fresh):
    store = fresh()
    sizes = {s.id: s.parameters for s in store.summaries("little")}
    limit = sorted(sizes.values())[len(sizes) // 2]
    run(store, plan(budget=8, levels=2, constraints=[f"parameters<={limit}"]))
    best = store.space("s.level2").info["source"]["best"]
    assert best
    assert all(sizes[id] <= limit for id in best)
    found = {s.id: s.parameters for s in store.summaries("s.level2")}
    assert all(found[t.architecture] <= limit for t in store.trials("s.level2"))
    tight = sorted(found.values())[len(found) // 4]
    (tightened,) = prepare_resume(store, ["s"], [f"parameters<={tight}"])
    grown = extend_study(store, tightened, budget=12)
    run_stages(store, grown, lambda one: evaluate(store, one), SilentReporter(), lambda: False)
    later = store.trials("s.level2")[8:]
    assert len(later) == 4
    assert all(found[t.architecture] <= tight for t in later)


def test_no_level_begins_before_all_trials_have_ended_or_without_a_value(fresh):
    store = fresh()
    study = open_study(store, plan())
    ids = store.architecture_ids("little")[:2]
    store.add_trials("s", [(id, {}) for id in ids])
    with pytest.raises(DataError, match="have ended"):
        next_study(store, study, SilentReporter())
    while (trial := store.claim_trial("s", "test", 60.0, time.time())) is not None:
        store.finish_trial(trial, TrialStatus.FAILED, time.time(), reason="broken")
    assert next_study(store, study, SilentReporter()) is None
    assert [space.name for space in store.spaces()] == ["little"]


def test_a_space_of_the_levels_name_is_left_alone(fresh):
    store = fresh()
    store.put_space(SpaceRecord("s.level2", {"source": {"file": "mine.csv"}}))
    study = evaluate(store, open_study(store, plan(budget=4)))
    with pytest.raises(InputError, match="be new"):
        next_study(store, study, SilentReporter())
    assert store.space("s.level2").info == {"source": {"file": "mine.csv"}}


@pytest.mark.parametrize("name", ["tiny-mini", "nano"])
def test_candidates_of_every_level_are_distinct_members_in_the_promised_shares(name):
    for coarse in levels(load_space(name))[:-1]:
        fine, rng = finer(coarse), np.random.default_rng(0)
        best, near = coarse.sample(5, rng), coarse.sample(10, rng)
        chosen = level_specs(coarse, best, near, 300, np.random.default_rng(1))
        assert len(chosen) == len(set(chosen)) == len({architecture_id(spec) for spec in chosen}) == 300
        assert all(spec in fine for spec in chosen)
        assert chosen[:5] == list(dict.fromkeys(best))[:5]
        parents = len(dict.fromkeys([*best, *near]))
        drawn = chosen[parents:]
        parts = {layer for spec in (*best, *near) for layer in spec.layers}
        mixed = [{*spec.layers} <= parts for spec in drawn]
        assert all(mixed[: int(0.3 * len(drawn))])
        assert sum(spec not in coarse for spec in drawn) > 0.4 * len(drawn)
        assert chosen == level_specs(coarse, best, near, 300, np.random.default_rng(1))


def test_candidates_of_small_and_of_finest_levels():
    small = replace(SPACE, layers=(2,))
    chosen = level_specs(small, list(small)[:3], [], 1000, np.random.default_rng(0))
    assert set(chosen) == set(finer(small))
    finest = levels(SPACE)[-1]
    chosen = level_specs(finest, [finest.at(0)], [finest.at(1)], 50, np.random.default_rng(0))
    assert len(set(chosen)) == 50
    assert all(spec in finest for spec in chosen)


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"stages": Stages(levels=10)}, "levels must be from 1 to 9"),
        ({"stages": Stages(level_size=50)}, "come with levels"),
        ({"patience": 5}, "come with stop_when_converged"),
        ({"stages": Stages(levels=2, level_size=1)}, "level size"),
        ({"stages": Stages(requeries=99)}, "requeries"),
        ({"policy": "random", "stop_when_converged": True}, "come with policy boshnas"),
        ({"policy": "evolution", "stages": Stages(requeries=2)}, "come with policy boshnas"),
        ({"stages": Stages(levels=2), "costs": ["-parameters"]}, "one objective"),
        ({"name": "x" * 75, "stages": Stages(levels=2)}, "study name"),
    ],
)
def test_stages_that_do_not_fit_the_study(fresh, fields, named):
    store = fresh()
    with pytest.raises(InputError, match=named):
        search(**{"name": "s", "space": "little", "policy": "boshnas", **fields}).check(store)
    stages = Stages(levels=3, requeries=5)
    search("s", "little", "boshnas", stages=stages, stop_when_converged=True, patience=3).check(store)


def test_only_a_space_of_a_grammar_has_levels_and_only_a_study_that_trains_requeries(fresh):
    store = fresh()
    store.put_space(SpaceRecord("table", {"source": {"file": "x.csv"}}))
    with pytest.raises(InputError, match="grammar"):
        grammar(store, "table")
    store.add_scores(
        [ScoreRecord(store.architecture_ids("little")[0], "known", "accuracy", 0.5, "d", "f", "r", 0, "t")]
    )
    with pytest.raises(InputError, match="study that trains"):
        search("s", "little", "boshnas", "known", evaluation=Known(), stages=Stages(requeries=2))
