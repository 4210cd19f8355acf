"""Studies that a program of schema version 2 wrote: they migrate, and resume with the proposals it would have made.

``fixtures/studies_v2.db.xz`` holds studies under way, written by that program; ``fixtures/studies_v2.json`` what it
proposed next for each of them.
"""

import json
import lzma
from pathlib import Path

import pytest

from explorer.studies.driver import StudyDriver, may_choose, proposal_info, single_thread
from explorer.studies.spec import VERSION, External, Known, StudySpec, Trained
from graphstore import open_store
from graphstore.contract import SCHEMA_VERSION
from graphstore.errors import StoreVersionError
from graphstore.maintenance import check, migrate

FIXTURES = Path(__file__).parents[1] / "fixtures"
EXPECTED = json.loads((FIXTURES / "studies_v2.json").read_text())


@pytest.fixture(scope="module")
def migrated(tmp_path_factory):
    path = tmp_path_factory.mktemp("old") / "store.db"
    path.write_bytes(lzma.decompress((FIXTURES / "studies_v2.db.xz").read_bytes()))
    url = f"sqlite:///{path}"
    with pytest.raises(StoreVersionError, match=f"must be {SCHEMA_VERSION}, but got 2"):
        open_store(url)
    assert migrate(url, lambda line: None).before == 2
    assert check(url).problems == ()
    with open_store(url) as store:
        yield store


def test_all_kinds_of_studies_are_there(migrated):
    assert {study.name for study in migrated.studies()} == {*EXPECTED, "trained-boshnas.tuned"}
    specs = [StudySpec.of(study) for study in migrated.studies()]
    assert {type(spec.evaluation) for spec in specs} == {Known, Trained, External}
    assert {spec.policy for spec in specs} >= {"boshnas", "boshnas_paper", "random", "evolution", "nsga2", "gp"}
    assert any(len(spec.costs) == 2 for spec in specs)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_a_migrated_study_makes_the_same_proposals(migrated, name):
    study, expected = migrated.study(name), EXPECTED[name]
    spec = StudySpec.of(study)
    assert (spec.policy, spec.objective, spec.seed, spec.budget) == tuple(
        expected[field] for field in ("policy", "objective", "seed", "budget")
    )
    trials = migrated.trials(name)
    assert (study.state.value, len(trials)) == (expected["state"], expected["trials"])
    driver = StudyDriver(migrated, study, may_choose(migrated, spec))
    assert driver.finished() is expected["finished"]
    driver.learn(trials)
    with single_thread(driver.policy):
        proposals = [{"architecture": one.architecture, **proposal_info(one)} for one in driver.policy.ask(4)]
    assert [one["architecture"] for one in proposals] == [one["architecture"] for one in expected["proposals"]]
    assert [one["origin"] for one in proposals] == [one["origin"] for one in expected["proposals"]]
    for one, old in zip(proposals, expected["proposals"], strict=True):
        assert one["acquisition"] == pytest.approx(old["acquisition"], rel=1e-6)


def test_a_migrated_study_keeps_its_choices(migrated):
    def spec(name):
        return StudySpec.of(migrated.study(name))

    assert spec("known-boshnas").hours == 2.5
    assert spec("known-evolution").evaluation == Known(fidelity="full")
    settings = spec("known-settings")
    assert settings.policy_settings == {
        **{"method": "gradient", "alpha": 0.3, "embedding": False, "initial": 5},
        "stall": 0,
    }
    assert (settings.stop_when_converged, settings.patience, settings.batch) == (True, 8, 4)
    assert spec("known-random").policy_settings == {}
    assert [str(one) for one in spec("known-nsga2").objectives] == [
        "maximise:known",
        "minimise:parameters",
        "minimise:depth",
    ]
    assert spec("asked-costs").constraints == ("parameters<=700K",)
    transferred = spec("trained-evolution").evaluation
    assert (transferred.recipe, transferred.transfer, transferred.transfer_overlap) == ("quick", "ordered", 0.6)
    own = spec("trained-gp").evaluation
    assert (own.data, own.tasks, own.task_files) == ("hub:nyu-mll/glue", ("sst2",), ("/nowhere/own.yaml",))
    deep, level = spec("deep"), spec("deep.level2")
    assert (deep.stages.levels, deep.stages.level_size, deep.level) == (3, 30, None)
    assert (level.level.number, level.level.of, level.level.prior) == (2, "deep", (("deep", 10),))
    tuned = spec("trained-boshnas.tuned").tuned
    assert tuned.of == "trained-boshnas"
    assert [variation for _, variation in tuned.queries] == ["higher rates", "another seed"]


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_the_present_form_says_the_same(migrated, name):
    spec = StudySpec.of(migrated.study(name))
    document = json.loads(json.dumps(spec.to_json()))
    assert (document["version"], document["objective"]) == (VERSION, spec.objective)
    assert StudySpec.from_json(document) == spec
