"""Choosing donors among the runs of a work folder, keeping the choice, and the lineage that comes of it."""

import json
import shutil

import pytest
import torch

from explorer.errors import InputError
from explorer.library.library import Library
from explorer.library.workplace import run_folder
from explorer.models import FlexiBertForMaskedLM, config_for
from explorer.progress import SilentReporter
from explorer.similarity.graph import architecture_id
from explorer.space.formats import to_json
from explorer.space.spec import ArchitectureSpec, LayerSpec
from explorer.studies.donors import choose_donor, donor_from, donor_mark, record_lineage, weight_initialisation
from explorer.studies.spec import Trained
from explorer.studies.trained import TrainingChoices
from explorer.training.files import write_json
from explorer.training.recipe import RECIPES, Recipe
from graphstore import open_store

FIRST, SECOND, THIRD = (
    LayerSpec.per_layer(8, "sa", "sdp", 2, (16,)),
    LayerSpec.per_layer(8, "l", "dft", 2, (16,)),
    LayerSpec.per_layer(8, "c", 5, 2, (16,)),
)
OWN = ArchitectureSpec((FIRST,) * 4 + (SECOND,))
NEAR = ArchitectureSpec((FIRST,) * 4 + (THIRD,))
NEARER = ArchitectureSpec((FIRST,) * 4 + (LayerSpec.per_layer(8, "l", "dft", 2, (32,)),))
FAR = ArchitectureSpec((FIRST,) * 3 + (SECOND,) * 2)
RECIPE = TrainingChoices.of(Trained(recipe="quick", transfer="ordered")).recipe


@pytest.fixture
def store(tmp_path):
    with open_store(f"sqlite:///{tmp_path}/store.db") as opened:
        Library.build(opened, "own", [OWN, NEAR, NEARER, FAR], SilentReporter(), source="here")
        yield opened


def fresh(spec, seed=0):
    torch.manual_seed(seed)
    return FlexiBertForMaskedLM(config_for(spec, vocab_size=30, max_position_embeddings=8))


def trained(store, study, name, spec, recipe=RECIPES["quick"], text="text", seed=0):
    """A run folder as a finished pre-training leaves it."""
    folder = run_folder(store.url, study, name)
    fresh(spec, seed).save_pretrained(folder / "pretrained")
    run = {"architecture": to_json(spec), "text": text, "fidelity": recipe.fidelity, "recipe": recipe.digest, "seed": 0}
    write_json(folder / "run.json", run)
    return folder


def chosen(store, least=None):
    found = choose_donor(store, OWN, RECIPE, "text", least)
    return found and (found.run, found.overlap)


def test_the_donor_shares_most_leading_layers_then_is_nearest(store):
    assert chosen(store) is None
    trained(store, "one", "0000-00", OWN)
    assert chosen(store) is None
    trained(store, "one", "0001-00", FAR)
    assert chosen(store) is None
    assert chosen(store, 0.6) == ("trained:one/1", 0.6)
    trained(store, "one", "0002-00", NEAR, RECIPE)
    assert chosen(store) == ("trained:one/2", 0.8)
    assert chosen(store, 0.81) is None
    trained(store, "train", "ab12cd34", NEARER)
    assert chosen(store) == ("trained:train/ab12cd34", 0.8)
    trained(store, "one", "0003-00", NEARER)
    assert chosen(store) == ("trained:one/3", 0.8)


def test_only_finished_runs_of_the_same_text_and_recipe_that_the_store_knows_give_weights(store):
    trained(store, "one", "0000-00", NEAR, text="other")
    trained(store, "one", "0001-00", NEAR, RECIPES["nano"])
    trained(store, "one", "0002-00", ArchitectureSpec((FIRST,) * 5))
    shutil.rmtree(trained(store, "one", "0003-00", NEAR) / "pretrained")
    (trained(store, "one", "0004-00", NEAR) / "run.json").write_text("{torn")
    assert chosen(store, 0.0) is None


def start(store, folder, recipe=RECIPE, donor=None):
    return weight_initialisation(store, OWN, recipe, "text", 0, folder, "trained:new/0", donor)


def test_a_resumed_run_keeps_its_donor_and_its_lineage_is_stored_once(store, tmp_path):
    near = trained(store, "one", "0000-00", NEAR)
    folder = tmp_path / "run"
    assert start(store, folder) is not None
    trained(store, "one", "0001-00", NEARER)
    initialise = start(store, folder)
    model = fresh(OWN, 7)
    before = {name: tensor.clone() for name, tensor in model.named_parameters()}
    initialise(model)
    donor = FlexiBertForMaskedLM.from_pretrained(near / "pretrained")
    name = "flexibert.layers.3.output.weight"
    assert torch.equal(model.get_parameter(name), donor.get_parameter(name))
    mixed = "flexibert.layers.4.heads.l_dft.value.weight"
    assert torch.equal(model.get_parameter(mixed), before[mixed])
    (record,) = store.lineage(architecture_id(OWN))
    assert (record.run, record.donor_run) == ("trained:new/0", "trained:one/0")
    assert (record.donor, record.method) == (architecture_id(NEAR), "ordered")
    report = json.loads((folder / "transfer.json").read_text())
    assert record.share == report["share"] < 1
    assert "of 2 heads have a counterpart" in report["text"]
    record_lineage(store, architecture_id(OWN), folder, "trained:new/0")
    assert store.lineage() == [record]


def test_a_run_that_began_from_scratch_stays_so(store, tmp_path):
    assert start(store, tmp_path / "run") is None
    trained(store, "one", "0000-00", NEAR)
    assert start(store, tmp_path / "run") is None
    assert start(store, tmp_path / "other") is not None
    assert start(store, tmp_path / "third", RECIPES["quick"]) is None
    record_lineage(store, architecture_id(OWN), tmp_path / "run", "trained:new/0")
    assert store.lineage() == []


def test_a_donor_that_is_gone_or_a_damaged_note_is_named(store, tmp_path):
    folder = trained(store, "one", "0001-00", NEAR)
    initialise = start(store, tmp_path / "run")
    shutil.rmtree(folder)
    with pytest.raises(InputError, match=r"donor's folder must still hold the model of trained:one/1"):
        initialise(fresh(OWN))
    (tmp_path / "run" / "donor.json").write_text("{")
    with pytest.raises(InputError, match="name the run's donor"):
        start(store, tmp_path / "run")


def test_a_named_donor_is_a_run_or_a_folder(store, tmp_path):
    folder = trained(store, "one", "0000-00", FAR)
    by_id = donor_from(store, OWN, FAR, "text")
    for place in (folder, folder / "pretrained"):
        assert donor_from(store, OWN, str(place), "text") == by_id
    assert (by_id.run, by_id.overlap) == ("trained:one/0", 0.6)
    shutil.copytree(folder / "pretrained", tmp_path / "elsewhere")
    elsewhere = donor_from(store, OWN, str(tmp_path / "elsewhere"), "text")
    assert (elsewhere.run, elsewhere.architecture) == (str(tmp_path / "elsewhere"), architecture_id(FAR))
    assert donor_mark(elsewhere) == donor_mark(by_id)
    initialise = start(store, tmp_path / "run", donor=elsewhere)
    initialise(fresh(OWN))
    assert store.lineage()[0].donor_run == str(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="be an architecture that was trained here on the same text"):
        donor_from(store, OWN, FAR, "other")
    with pytest.raises(InputError, match=r"donor must be an id, or a folder"):
        donor_from(store, OWN, str(tmp_path), "text")
    config = json.loads((tmp_path / "elsewhere" / "config.json").read_text())
    write_json(tmp_path / "elsewhere" / "config.json", {**config, "architectures": ["FlexiBertModel"]})
    with pytest.raises(InputError, match="masked language model of this package"):
        donor_from(store, OWN, str(tmp_path / "elsewhere"), "text")


def test_scores_say_that_weights_were_transferred():
    quick = RECIPES["quick"]
    assert RECIPE.fidelity == f"{quick.fidelity}, ordered from neighbours of overlap 0.8"
    assert RECIPE.digest == quick.digest
    wide = TrainingChoices.of(Trained(recipe="quick", transfer="transport", transfer_overlap=0.5)).recipe
    assert wide.fidelity.endswith("transport from neighbours of overlap 0.5")
    with pytest.raises(InputError, match=r"recipe\.transfer must be empty or one of ordered"):
        Recipe(1, 1, transfer="best")
    with pytest.raises(InputError, match=r"recipe\.transfer_overlap"):
        Recipe(1, 1, transfer_overlap=1.5)
