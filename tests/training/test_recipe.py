from __future__ import annotations

import dataclasses
import json

import pytest
import yaml

from explorer.errors import DataError, InputError
from explorer.training.recipe import RECIPES, UNSEEN, recipe_named, recipe_setting


def test_recipes_that_use_no_later_setting_keep_the_digest_of_the_scores_they_have():
    assert RECIPES["nano"].digest == "d3c3d2a2c13180b4"
    assert RECIPES["quick"].digest == "8451499f587a3fa4"
    assert RECIPES["nano"].fidelity == "pretrain 600x16x32, finetune 400x16 of 4000"


def test_every_setting_shows_in_fidelity_or_digest_but_for_those_that_change_no_result():
    base = RECIPES["nano"]
    changes = {"precision": "bfloat16", "gradient_checkpointing": True, "tune_rates": (1e-3,), "transfer": "ordered"}
    for field in dataclasses.fields(base):
        if field.name in ("tune_steps", "transfer_overlap", "transfer_donor"):  # count where they are used
            continue
        value = getattr(base, field.name)
        if field.name not in changes:
            changes[field.name] = value + 1 if isinstance(value, int) else value / 2 or 0.1
        changed = dataclasses.replace(base, **{field.name: changes[field.name]})
        kinds = {(one.fidelity, one.digest) for one in (base, changed)}
        assert len(kinds) == (1 if field.name in UNSEEN else 2), field.name


@pytest.mark.parametrize("suffix", [".yaml", ".yml", ".json"])
def test_a_file_is_a_recipe(tmp_path, suffix):
    document = {"base": "quick", "pretrain_steps": 2000, "pretrain_rate": 1.0e-4, "precision": "bfloat16"}
    path = tmp_path / f"mine{suffix}"
    path.write_text(json.dumps(document) if suffix == ".json" else yaml.safe_dump(document))
    expected = dataclasses.replace(RECIPES["quick"], pretrain_steps=2000, pretrain_rate=1e-4, precision="bfloat16")
    assert recipe_named(str(path)) == expected
    # What a study keeps has every setting, and survives JSON: the file may change.
    kept = json.loads(json.dumps(recipe_setting(str(path))))
    path.unlink()
    assert recipe_named(kept) == expected
    assert recipe_named(kept).digest == expected.digest


def test_a_file_without_a_base_names_the_amounts(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text("pretrain_steps: 5\nfinetune_steps: 6\n")
    recipe = recipe_named(str(path))
    assert (recipe.pretrain_steps, recipe.finetune_steps) == (5, 6)
    assert recipe_setting("nano") == "nano"


WRONG = {
    "unknown setting": ("base: nano\nlearning_rate: 1.0e-3\n", "learning_rate"),
    "unknown base": ("base: giant\n", "base must be one of nano, quick, paper"),
    "odd base": ("base: [nano]\n", "base must be one of nano, quick, paper"),
    "no amounts": ("pretrain_steps: 5\n", "finetune_steps must be given"),
    "text for a number": ("base: nano\npretrain_rate: 1e-4\n", "pretrain_rate must be a positive number"),
    "text for a whole number": ("base: nano\npretrain_steps: many\n", "pretrain_steps must be an integer"),
    "share for a whole number": ("base: nano\npretrain_steps: 2.5\n", "pretrain_steps must be an integer"),
    "number for a switch": ("base: nano\ngradient_checkpointing: 1\n", "gradient_checkpointing must be true or false"),
    "not a number": ("base: nano\nclip: .nan\n", "clip must be a finite number"),
    "endless": ("base: nano\ncheckpoint_minutes: .inf\n", "checkpoint_minutes must be a finite number"),
    "all dropped": ("base: nano\ndropout: 1\n", "dropout must be a number in"),
    "precision": ("base: nano\nprecision: half\n", "precision must be one of float32, bfloat16, float16"),
    "precision of another type": ("base: nano\nprecision: 16\n", "precision must be a text"),
    "more pieces than rows": ("base: nano\npretrain_pieces: 17\n", "pretrain_pieces must be at most pretrain_batch"),
    "more than any number": (f"base: nano\nclip: 1{'0' * 400}\n", "line 2 must be a number of at most 64 bits"),
    "no mapping": ("- nano\n", "hold one mapping"),
    "empty": ("", "recipe must hold something"),
    "no YAML": ("base: [nano\n", "line 2 must be valid YAML"),
}


@pytest.mark.parametrize(("text", "message"), WRONG.values(), ids=WRONG.keys())
def test_a_wrong_file_is_refused_with_the_reason(tmp_path, text, message):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        recipe_named(str(path))


def test_whole_numbers_are_the_same_recipe_as_floats(tmp_path):
    written = ["clip: 2\ndropout: 0\ntune_rates: [1, 2]", "clip: 2.0\ndropout: 0.0\ntune_rates: [1.0, 2.0]"]
    for number, text in enumerate(written):
        (tmp_path / f"{number}.yaml").write_text(f"base: nano\n{text}\n")
    whole, floats = (recipe_named(str(tmp_path / f"{number}.yaml")) for number in range(2))
    assert whole.digest == floats.digest


def test_names_and_paths_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"recipe must be one of nano, quick, paper, or a .yaml or .yml or .json file"):
        recipe_named("giant")
    with pytest.raises(DataError, match="existing file"):
        recipe_named(str(tmp_path / "absent.yaml"))
