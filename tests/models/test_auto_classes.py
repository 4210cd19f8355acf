"""A saved folder loads with the Auto classes: with this package, and without it by its own two files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification

from explorer.models import FlexiBertConfig, FlexiBertForMaskedLM, FlexiBertForSequenceClassification
from explorer.models.checking import build_from_files, carry_code
from explorer.models.flexibert.configuration_flexibert import AUTO_MAP
from explorer.training.tokenizer import save_tokenizer, train_tokenizer

OLD = Path(__file__).parent / "old_folder"
"""Saved by the first version, with every operation; ``logits.json`` has its outputs for ``BATCH``."""
BATCH = """
import torch
ids = torch.randint(1, 20, (2, 8), generator=torch.Generator().manual_seed(0))
mask = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])
def left(ids):
    return torch.stack([ids[0], torch.cat([ids[1, 5:], ids[1, :5]])])
"""
WITHOUT = (
    """
import importlib.util, json, sys
for name in ("explorer", "graphstore"):
    assert importlib.util.find_spec(name) is None, f"{name} can be imported"
from transformers import AutoModel, AutoModelForSequenceClassification, AutoTokenizer, pipeline
"""
    + BATCH
    + """
folder = sys.argv[1]
model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
tokenizer = AutoTokenizer.from_pretrained(folder)
assert type(AutoModel.from_pretrained(folder, trust_remote_code=True)).__name__ == "FlexiBertModel"
classify = pipeline("text-classification", model=folder, trust_remote_code=True, device="cpu")
answer = classify("a boat", top_k=None)
model.save_pretrained(sys.argv[2])
again = AutoModelForSequenceClassification.from_pretrained(sys.argv[2], trust_remote_code=True)
with torch.no_grad():
    logits = [one(ids, mask).logits for one in (model, again)]
    # Padding on the left, embeddings in place of ids, and another type.
    logits.append(model(left(ids), mask.flip(1)).logits)
    logits.append(model(inputs_embeds=model.get_input_embeddings()(ids), attention_mask=mask).logits)
    double = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True, dtype=torch.float64)
    logits.append(double(ids, mask).logits)
    asked = AutoModel.from_pretrained(folder, trust_remote_code=True, output_attentions=True)
    out = asked(ids, mask, output_hidden_states=True)
trained = model.train()
getattr(trained, "activation_checkpointing_enable", trained.gradient_checkpointing_enable)()
trained(ids, mask, labels=torch.tensor([0, 1])).loss.backward()
trained.resize_token_embeddings(310)
fill = pipeline("fill-mask", model=sys.argv[3], trust_remote_code=True, device="cpu")
print()
print(json.dumps({
    "logits": [one.tolist() for one in logits],
    "labels": len(answer),
    "tokens": tokenizer("a boat").input_ids,
    "attentions": [list(one.shape) for one in out.attentions],
    "states": len(out.hidden_states),
    "words": trained(torch.tensor([[305]])).logits.shape[0],
    "filled": len(fill(f"a {fill.tokenizer.mask_token} sees the dog")),
}))
"""
)
CHEAP = """
import sys
import explorer, explorer.similarity.graph, explorer.space.grammar, explorer.space.operations
assert not {"torch", "transformers"} & set(sys.modules), "import explorer loads more than it should"
"""


def expected():
    return torch.tensor(json.loads((OLD / "logits.json").read_text()))


def batch():
    names: dict = {}
    exec(BATCH, names)
    return names["ids"], names["mask"]


def test_a_folder_of_the_first_version_loads_and_computes_the_same():
    model = AutoModelForSequenceClassification.from_pretrained(OLD)
    assert type(model) is FlexiBertForSequenceClassification
    with torch.no_grad():
        for one in (model, build_from_files(OLD)):
            torch.testing.assert_close(one(*batch()).logits, expected(), rtol=0, atol=1e-6)


def test_importing_the_package_is_cheap():
    done = subprocess.run([sys.executable, "-c", CHEAP], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def without_this_package(tmp_path):
    """A folder for ``sys.path`` with everything that is installed but this package."""
    installed = Path(sysconfig.get_path("purelib"))
    if not any((installed / name).exists() for name in ("explorer", "graphstore")):
        return installed  # This package is installed as a link, which only a .pth file knows.
    others = tmp_path / "installed"
    others.mkdir()
    for entry in installed.iterdir():
        if not entry.name.startswith(("explorer", "graphstore", "architecture_explorer")) and entry.suffix != ".pth":
            (others / entry.name).symlink_to(entry)
    return others


def test_a_folder_loads_without_this_package_by_its_own_files(without_this_package, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(OLD, folder)
    carry_code(build_from_files(OLD), folder)
    save_tokenizer(train_tokenizer(["a boat sees the dog"] * 4, 300), tmp_path / "tokenizer", 8)
    shutil.copytree(tmp_path / "tokenizer", folder, dirs_exist_ok=True)
    lm = tmp_path / "lm"
    FlexiBertForMaskedLM(FlexiBertConfig(vocab_size=300, max_position_embeddings=8)).save_pretrained(lm)
    shutil.copytree(tmp_path / "tokenizer", lm, dirs_exist_ok=True)
    program = f"import sys; sys.path.append({str(without_this_package)!r})\n{WITHOUT}"
    # -I ignores the current folder and PYTHONPATH, -S the .pth files of site-packages, editable installs among them.
    # -I also ignores PYTHONPYCACHEPREFIX, without which all modules would be compiled again.
    options = ["-I", "-S", *(["-X", f"pycache_prefix={sys.pycache_prefix}"] if sys.pycache_prefix else [])]
    done = subprocess.run(
        [sys.executable, *options, "-c", program, str(folder), str(tmp_path / "again"), str(lm)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "HF_HOME": str(tmp_path / "cache"), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    for logits in answer["logits"]:
        torch.testing.assert_close(torch.tensor(logits), expected(), rtol=0, atol=1e-6)
    assert len(answer["logits"]) == 5
    assert answer["labels"] == 3
    assert answer["tokens"]
    layers = build_from_files(OLD).config.layers
    attending = [sum(count for name, count in layer.groups if name.startswith("sa_")) for layer in layers]
    assert answer["attentions"] == [[2, heads, 8, 8] for heads in attending]
    assert answer["states"] == len(layers) + 1
    assert (answer["words"], answer["filled"]) == (1, 5)
    # What a stranger saved again is a model of this package.
    model = AutoModelForSequenceClassification.from_pretrained(tmp_path / "again")
    assert type(model) is FlexiBertForSequenceClassification


def test_code_is_added_once(tmp_path):
    model = build_from_files(OLD)
    model.save_pretrained(tmp_path)
    names = {"configuration_flexibert.py", "modeling_flexibert.py"}
    assert names < {path.name for path in tmp_path.iterdir()}
    assert json.loads((tmp_path / "config.json").read_text())["auto_map"] == AUTO_MAP
    (tmp_path / "modeling_flexibert.py").write_text("older\n")
    carry_code(model, tmp_path)
    assert (tmp_path / "modeling_flexibert.py").read_text() == "older\n"
