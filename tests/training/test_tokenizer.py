from __future__ import annotations

import shutil

import numpy as np
import pytest
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from explorer.errors import DataError
from explorer.training.tokenizer import (
    END,
    MASK,
    PAD,
    SPECIAL_TOKENS,
    START,
    encode,
    encode_stream,
    load_tokenizer,
    recognise_special_tokens,
    save_tokenizer,
    token_types,
    train_tokenizer,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("tokenizer") / "saved"
    sentences = [sentence for document in corpus.documents for sentence in document.sentences]
    save_tokenizer(train_tokenizer(sentences, 400), folder, 32)
    return folder


def test_the_folder_loads_with_transformers_and_agrees(folder):
    theirs = AutoTokenizer.from_pretrained(folder)
    assert isinstance(theirs, PreTrainedTokenizerFast)
    tokenizer, _ = load_tokenizer(folder)
    first, second = "The cat sees a dog.", "A bird flies, größer!"
    mine = encode(tokenizer, [first], [second], 32)[0]
    output = theirs(first, second, truncation=True)  # as a pipeline asks: the types come by themselves
    assert output["input_ids"] == mine.tolist()
    assert output["token_type_ids"] == token_types(mine, pair=True).tolist()
    assert theirs.model_max_length == 32
    assert theirs.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(5))
    assert theirs.pad_token_id == PAD


def test_beside_a_model_the_names_of_special_tokens_are_tokens(folder, tmp_path):
    training, before = load_tokenizer(folder)
    text = "The cat <mask> a dog</s>"
    assert MASK not in encode(training, [text], None, 99)[0]
    shutil.copytree(folder, tmp_path / "model")
    for _ in range(2):
        recognise_special_tokens(tmp_path / "model")
        ids = AutoTokenizer.from_pretrained(tmp_path / "model")(text).input_ids
        spelled = [training.encode(part, add_special_tokens=False).ids for part in ("The cat", "a dog")]
        assert ids == [START, *spelled[0], MASK, *spelled[1], END, END]
    assert load_tokenizer(folder)[1] == before


def test_a_tokenizer_for_which_there_is_no_space_says_so(folder, tmp_path, disk):
    tokenizer, _ = load_tokenizer(folder)
    disk(1000)
    with pytest.raises(DataError, match="be a folder that can be written"):
        save_tokenizer(tokenizer, tmp_path / "saved", 32)
    assert not list(tmp_path.iterdir())


def test_special_tokens_frame_sentences_and_any_text_comes_back(folder):
    tokenizer, _ = load_tokenizer(folder)
    text = "größer <s> 漢字 \x00 </s>"
    ids = encode(tokenizer, [text], None, 200)[0]
    assert (ids[0], ids[-1]) == (START, END)
    assert ids[1:-1].min() >= len(SPECIAL_TOKENS), "names of special tokens in the text are text"
    assert tokenizer.decode(ids[1:-1]).strip() == text
    assert (token_types(ids, pair=False) == 0).all()


def test_long_pairs_lose_the_end_of_the_longer_sentence(folder):
    tokenizer, _ = load_tokenizer(folder)
    short = "The cat sees."
    ids = encode(tokenizer, [short], ["The dog likes the bird. " * 20], 32)[0]
    alone = encode(tokenizer, [short], None, 32)[0]
    assert len(ids) == 32
    assert ids[: len(alone)].tolist() == alone.tolist()
    assert ids[-1] == END


def test_a_stream_closes_every_document(folder):
    tokenizer, _ = load_tokenizer(folder)
    parts = ["The cat sees a dog.", "A bird."]
    stream = encode_stream(tokenizer, parts)
    assert stream.dtype == np.uint16
    expected = [id_ for part in parts for id_ in [*encode(tokenizer, [part], None, 99)[0][1:-1], END]]
    assert stream.tolist() == expected


def test_training_twice_gives_the_same_vocabulary(corpus):
    sentences = [sentence for document in corpus.documents for sentence in document.sentences]
    one, two = (train_tokenizer(sentences, 400) for _ in range(2))
    assert one.to_str() == two.to_str()
    assert one.get_vocab_size() == 400


def test_an_existing_folder_stays(folder, corpus):
    before = (folder / "tokenizer.json").read_bytes()
    save_tokenizer(train_tokenizer(["Other text."], 300), folder, 32)
    assert (folder / "tokenizer.json").read_bytes() == before
    assert [path.name for path in folder.parent.iterdir()] == ["saved"]
