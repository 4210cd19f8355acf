"""``import explorer`` is cheap, and after it the Auto classes load our models, whichever was imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest

from explorer.models import FlexiBertConfig, FlexiBertForSequenceClassification

CHEAP = """
import sys
import explorer, explorer.similarity.graph, explorer.space.grammar
assert not {"torch", "transformers"} & set(sys.modules), "import explorer loads more than it should"
from transformers import AutoConfig
assert AutoConfig.from_pretrained(FOLDER).spec.depth == 2
assert "explorer.models.encoder" not in sys.modules, "a configuration needs no model"
"""
EARLY = "import explorer\nfrom transformers import AutoModelForSequenceClassification"
LATE = "from transformers import AutoConfig, AutoModelForSequenceClassification\nimport explorer"
LOAD = """
model = AutoModelForSequenceClassification.from_pretrained(FOLDER)
assert type(model).__name__ == "FlexiBertForSequenceClassification" and model.config.num_labels == 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    FlexiBertForSequenceClassification(FlexiBertConfig(vocab_size=30, num_labels=3)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("code", [CHEAP + EARLY, LATE], ids=["explorer first", "transformers first"])
def test_the_auto_classes_know_our_models_after_import_explorer(code, folder):
    program = f"FOLDER = {str(folder)!r}\n{code}\n{LOAD}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
