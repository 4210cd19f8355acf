"""``archex import bert``: the architecture into the store, the model and its tokenizer into a folder."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForMaskedLM, AutoTokenizer, BertConfig, BertForMaskedLM, BertTokenizer

from explorer.similarity.graph import architecture_id
from explorer.space.spec import ArchitectureSpec, LayerSpec
from graphstore import open_store

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "sees", "a", "boat"]
SPEC = ArchitectureSpec((LayerSpec.per_layer(16, "sa", "sdp", 2, (24,)),))


@pytest.fixture
def archex(archex):
    """Runs a command in a folder with a BERT checkpoint."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24}
    BertForMaskedLM(BertConfig(vocab_size=10, max_position_embeddings=12, **sizes)).save_pretrained("bert")
    Path("vocab.txt").write_text("\n".join(WORDS))
    BertTokenizer("vocab.txt").save_pretrained("bert")
    # As checkpoints of the first years are: which tokenizer it is, only the kind of model tells.
    Path("bert/tokenizer_config.json").write_text('{"do_lower_case": true, "padding_side": "left"}')
    return archex


def test_a_checkpoint_comes_in(archex):
    code, out, err = archex("import", "bert", "bert", "ours", "--json")
    assert code == 0, err
    done = json.loads(out)
    assert done["id"] == architecture_id(SPEC)
    assert (done["space"], done["new"], done["tokenizer"], done["left_out"]) == ("own", True, True, [])
    assert done["difference"] < 1e-5
    with open_store("sqlite:///explorer.db") as store:
        assert store.architecture_ids("own") == [done["id"]]
    tokenizer = AutoTokenizer.from_pretrained("ours")
    rows = tokenizer(["the cat sees [MASK] boat", "the cat"], padding=True, return_tensors="pt")
    assert rows["input_ids"][1].tolist() == [2, 5, 6, 3, 0, 0, 0]
    theirs, ours = BertForMaskedLM.from_pretrained("bert"), AutoModelForMaskedLM.from_pretrained("ours")
    real = rows["attention_mask"].bool()
    with torch.no_grad():
        torch.testing.assert_close(ours(**rows).logits[real], theirs(**rows).logits[real], rtol=0, atol=1e-5)
    code, out, _ = archex("import", "bert", "bert", "again")
    assert code == 0
    assert "already in the store" in out
    assert "FlexiBertForMaskedLM written to again, with its tokenizer" in out


def test_what_cannot_come_in_leaves_nothing(archex):
    for arguments, message in (
        (("./nowhere", "ours"), "checkpoint must be an existing folder, or the name of a model on the hub"),
        (("bert", "bert"), "folder must be new or empty"),
        (("bert", "ours", "--space", "No!"), "name of the space must be"),
    ):
        code, _, err = archex("import", "bert", *arguments)
        assert code == 2
        assert message in err
    config = json.loads(Path("bert/config.json").read_text())
    Path("bert/config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    code, _, err = archex("import", "bert", "bert", "ours")
    assert (code, "hidden_act must be gelu" in err) == (2, True)
    assert {path.name for path in Path().iterdir()} == {"bert", "vocab.txt"}


def test_what_was_decided_is_said(archex):
    weights = Path("bert/model.safetensors")
    wrapped = {f"module.{name}": value for name, value in load_file(weights).items()}
    save_file(wrapped, weights, {"format": "pt"})
    Path("bert/tokenizer.json").unlink()
    Path("bert/tokenizer_config.json").unlink()
    Path("bert/vocab.txt").write_text("\n".join([*WORDS[:-1], "Boat"]))
    code, out, err = archex("import", "bert", "bert/config.json", "ours")
    assert code == 0, err
    assert "note: took `module.` off the names of" in err
    assert "note: texts keep their capitals, because its vocabulary has 1 tokens with capitals, such as Boat" in err
    assert "load it with AutoModelForMaskedLM.from_pretrained('ours', trust_remote_code=True)" in out
    assert AutoTokenizer.from_pretrained("ours")("Boat boat").tokens() == ["[CLS]", "Boat", "[UNK]", "[SEP]"]
    code, _, err = archex("import", "bert", "bert", "other", "--uncased")
    assert (code, "lower-cased as asked" in err) == (0, True)
    assert AutoTokenizer.from_pretrained("other")("Boat").tokens() == ["[CLS]", "[UNK]", "[SEP]"]


def test_a_super_network_says_the_same_about_its_bert(archex):
    """Tokenizers are decided from a checkpoint by one rule, so both commands print the same notes."""
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 64}
    bert = BertForMaskedLM(BertConfig(vocab_size=10, max_position_embeddings=32, **sizes))
    bert.save_pretrained("cased")
    Path("cased/vocab.txt").write_text("\n".join([*WORDS[:-1], "Boat"]))
    weights = Path("cased/model.safetensors")
    save_file({f"_orig_mod.{name}": value for name, value in load_file(weights).items()}, weights, {"format": "pt"})
    Path("text.txt").write_text("The cat sees a Boat. " * 40)
    train = ("supernet", "train", "--backbone", "1x16", "--widths", "8,16", "--recipe", "quick", "--steps", "1")
    for number, choice in enumerate(([], ["--uncased"], ["--cased"])):
        code, _, told = archex("import", "bert", "cased", f"model-{number}", *choice)
        assert code == 0, told
        notes = [line for line in told.splitlines() if line.startswith("note: ")]
        assert len(notes) == 1 + (choice != ["--cased"])
        command = (*train, f"net-{number}", "--text", "text.txt", "--from", "cased", *choice)
        code, _, told = archex(*command)
        assert code == 0, told
        assert [line for line in told.splitlines() if line.startswith("note: ")] == notes
        tokenizer = AutoTokenizer.from_pretrained(next(Path(f"net-{number}/data").glob("tokenizer-*")))
        assert tokenizer("Boat")["input_ids"][1] == (1 if choice == ["--uncased"] else 9)
        code, _, told = archex(*command)
        assert (code, "note: " in told) == (0, False), "it is finished, and nothing is decided again"
    code, _, told = archex(*train, "net-0", "--text", "text.txt", "--from", "cased", "--uncased")
    assert (code, "cased must be None, as in the super-network in net-0" in told) == (2, True)
    code, _, told = archex(*train, "other", "--cased")
    assert (code, "cased must come with a BERT checkpoint" in told) == (2, True)
    # A file of weights that is named is the one that is read, also where the folder has others.
    torch.save({name: value + 1 for name, value in bert.state_dict().items()}, "cased/late.bin")
    code, _, told = archex(*train, "late", "--text", "text.txt", "--from", "cased/late.bin")
    assert code == 0, told
    assert json.loads(Path("late/supernet.json").read_text())["bert"] == str(Path("cased/late.bin").resolve())
    first = AutoModelForMaskedLM.from_pretrained("late/model").flexibert.embeddings.word_embeddings.weight
    assert float(first.detach()[5:].mean()) > 0.9
