"""The tokenizer of an imported BERT gives the ids that the checkpoint's files prescribe, or a note says where not."""

from __future__ import annotations

import json

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, BertTokenizer

from explorer.errors import DataError, InputError
from explorer.models.bert_tokenizer import SENTENCES, difference, read_tokenizer

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[unused1]"]
LATIN = ["paris", "Paris", "##s", "cafe", "café", "uber", "Über", "is", "the", ",", "!", "."]
OTHERS = ["مرحبا", "東", "京", "##東", "हिन्दी", "кириллица", "漢", "字"]
LOWER = ["paris", "##s", "cafe", "uber", "is", "the", ",", "!", "."]
SIZE = 100


def write(folder, words, **settings):
    folder.mkdir(exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join([*SPECIAL, *words]) + "\n", encoding="utf-8")
    if settings:
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return folder


def whole(folder, words, **settings):
    """A checkpoint with ``tokenizer.json``."""
    write(folder, words)
    BertTokenizer(str(folder / "vocab.txt"), **settings).save_pretrained(folder)
    return folder


def change(folder, **settings):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **settings}))


def saved(folder, tmp_path, **options):
    """The notes, and the tokenizer as users of the imported folder load it."""
    read = read_tokenizer(folder, SIZE, **options)
    read.tokenizer.save_pretrained(tmp_path / "saved")
    return read.notes, AutoTokenizer.from_pretrained(tmp_path / "saved")


TEXTS = [
    *SENTENCES,
    "Paris paris PARIS, café cafe CAFÉ Über!",
    "مرحبا 東京 漢字 हिन्दी",
    "the [MASK] is, [MASK] paris's",
]


@pytest.mark.parametrize(
    "settings",
    [
        {"do_lower_case": False},
        {"do_lower_case": True},
        {"do_lower_case": True, "strip_accents": False},
        {"do_lower_case": False, "strip_accents": True},
        {"do_lower_case": False, "tokenize_chinese_chars": False},
    ],
    ids=str,
)
def test_ids_are_those_of_tokenizer_json(settings, tmp_path):
    folder = whole(tmp_path / "bert", [*LATIN, *OTHERS], **settings)
    reference = Tokenizer.from_file(str(folder / "tokenizer.json"))
    for contradiction in ({}, {"do_lower_case": not settings["do_lower_case"]}):
        change(folder, **contradiction)
        notes, tokenizer = saved(folder, tmp_path)
        for text in TEXTS:
            assert tokenizer(text).input_ids == reference.encode(text).ids, text
        assert any("contradicts" in note for note in notes) == bool(contradiction)
    (note,) = notes
    assert "tokenizer_config.json contradicts tokenizer.json, which is followed" in note
    assert "gives" in note
    assert "instead of" in note
    assert (tokenizer.padding_side, tokenizer.mask_token_id, tokenizer.pad_token_id) == ("right", 4, 0)


def test_a_contradiction_of_something_else_than_capitals_is_named(tmp_path):
    folder = whole(tmp_path / "bert", [*LATIN, "東京"], do_lower_case=False, tokenize_chinese_chars=False)
    change(folder, tokenize_chinese_chars=True)
    ((note,), tokenizer) = saved(folder, tmp_path)
    assert "東京" in note or "東" in note
    assert tokenizer("東京").tokens() == ["[CLS]", "東京", "[SEP]"]


def test_the_user_decides_about_capitals(tmp_path):
    folder = whole(tmp_path / "bert", LATIN, do_lower_case=False)
    (note,), tokenizer = saved(folder, tmp_path, cased=False)
    assert "its tokenizer.json is not followed, because uncased was asked for" in note
    assert tokenizer("Paris Café").tokens()[1:-1] == ["paris", "cafe"]
    assert saved(folder, tmp_path, cased=True)[0] == ()
    folder = write(tmp_path / "old", LATIN)
    assert saved(folder, tmp_path, cased=True)[0] == ()
    notes, tokenizer = saved(folder, tmp_path, cased=False)
    assert "lower-cased as asked, but its vocabulary has 2 tokens with capitals" in notes[0]
    assert tokenizer("Paris").tokens() == ["[CLS]", "paris", "[SEP]"]


@pytest.mark.parametrize(
    ("words", "text", "tokens", "said"),
    [
        (LATIN, "Paris paris Café", ["Paris", "paris", "[UNK]"], "keep their capitals, because its vocabulary has 2"),
        (LOWER, "Paris Cafés Über", ["paris", "cafe", "##s", "uber"], "lower-cased, because its vocabulary has no"),
        ([*LOWER, "café"], "Café cafe", ["café", "cafe"], "keep their accents, because its vocabulary has tokens such"),
        (["東", "京", "##京"], "東京", ["東", "京"], "lower-cased"),
    ],
    ids=["cased", "uncased", "accents", "without case"],
)
def test_the_vocabulary_decides_where_no_file_does(words, text, tokens, said, tmp_path):
    folder = write(tmp_path / "bert", words)
    notes, tokenizer = saved(folder, tmp_path)
    assert tokenizer(text).tokens()[1:-1] == tokens
    assert said in "; ".join(notes)


def test_a_few_odd_tokens_do_not_make_a_vocabulary_cased(tmp_path):
    words = [f"word{number}" for number in range(2000)]
    folder = write(tmp_path / "bert", [*words, "McDonald"])
    read = read_tokenizer(folder, 3000)
    assert "lower-cased" in read.notes[0]


def test_what_the_configuration_says_counts_and_is_doubted(tmp_path):
    notes, tokenizer = saved(write(tmp_path / "one", LATIN, do_lower_case=True), tmp_path)
    assert "lower-cased as tokenizer_config.json says, but its vocabulary has 2 tokens with capitals" in notes[0]
    assert tokenizer("Paris Café").tokens()[1:-1] == ["paris", "cafe"]
    notes, tokenizer = saved(write(tmp_path / "two", LOWER, do_lower_case=False), tmp_path)
    assert "its vocabulary has no capitals, so words with capitals are unknown" in notes[0]
    assert tokenizer("Paris").tokens()[1:-1] == ["[UNK]"]
    assert saved(write(tmp_path / "three", LOWER, do_lower_case=True), tmp_path)[0] == ()
    assert saved(write(tmp_path / "four", LATIN, do_lower_case=False), tmp_path)[0] == ()


def test_limits_and_other_names_of_special_tokens_are_kept(tmp_path):
    unknown = {"__type": "AddedToken", "content": "[unused1]", "lstrip": False, "rstrip": False, "special": True}
    folder = write(tmp_path / "bert", LOWER, model_max_length=12, unk_token=unknown)
    tokenizer = saved(folder, tmp_path)[1]
    assert tokenizer.model_max_length == 12
    assert tokenizer.unk_token == "[unused1]"
    assert len(tokenizer("the " * 30, truncation=True).input_ids) == 12
    huge = write(tmp_path / "huge", LOWER, model_max_length=int(1e30))
    assert saved(huge, tmp_path)[1].model_max_length == int(1e30)


def test_what_is_not_berts_or_does_not_fit_is_refused(tmp_path):
    folder = write(tmp_path / "bert", LOWER)
    with pytest.raises(DataError, match=r"know at most the model's 10 tokens, but got 15"):
        read_tokenizer(folder, 10)
    change(write(folder, LOWER, do_lower_case=True), tokenizer_class="BertJapaneseTokenizer")
    with pytest.raises(InputError, match=r"tokenizer_class must be BertTokenizer, or have a tokenizer\.json"):
        read_tokenizer(folder, SIZE)
    (folder / "tokenizer_config.json").write_text('{"do_lower_case": ')
    with pytest.raises(DataError, match=r"tokenizer in .* must be readable"):
        read_tokenizer(folder, SIZE)
    (folder / "tokenizer_config.json").unlink()
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(DataError, match=r"tokenizer in .* must be readable.*Correct its files, or remove them"):
        read_tokenizer(folder, SIZE)
    (tmp_path / "none").mkdir()
    assert read_tokenizer(tmp_path / "none", SIZE) is None
    with pytest.raises(InputError, match="cased must be used with a checkpoint that has"):
        read_tokenizer(tmp_path / "none", SIZE, cased=True)


def test_a_tokenizer_with_another_normaliser_has_no_case_to_set(tmp_path):
    from tokenizers import normalizers

    folder = whole(tmp_path / "bert", LOWER)
    core = Tokenizer.from_file(str(folder / "tokenizer.json"))
    core.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    core.save(str(folder / "tokenizer.json"))
    assert read_tokenizer(folder, SIZE) is not None
    with pytest.raises(InputError, match=r"be used with BERT's normaliser in tokenizer\.json, but got 'Sequence'"):
        read_tokenizer(folder, SIZE, cased=True)


def test_a_difference_is_named_by_text_and_tokens(tmp_path):
    one = BertTokenizer(str(write(tmp_path / "a", LATIN) / "vocab.txt"), do_lower_case=False).backend_tokenizer
    assert difference(one, one) == ""
    two = BertTokenizer(str(tmp_path / "a" / "vocab.txt"), do_lower_case=True).backend_tokenizer
    assert "gives paris is the" in difference(one, two)
    assert "instead of Paris is the" in difference(one, two)
    # Words that none of the sentences has.
    other = write(tmp_path / "b", ["zyx", "Zyx"]) / "vocab.txt"
    pair = [BertTokenizer(str(other), do_lower_case=lower).backend_tokenizer for lower in (False, True)]
    assert difference(*pair) == "'Zyx Zyx ZYX' gives zyx zyx zyx [SEP] instead of Zyx Zyx [UNK] [SEP] from token 1 on"


def test_a_cased_vocabulary_below_a_file_that_lower_cases_is_doubted(tmp_path):
    said = "texts are lower-cased as tokenizer.json says, but its vocabulary has 2 tokens with capitals, such as Paris"
    notes, tokenizer = saved(whole(tmp_path / "bert", LATIN, do_lower_case=True), tmp_path)
    assert len(notes) == 1
    assert notes[0].startswith(said)
    assert tokenizer("Paris").tokens()[1] == "paris"
    notes, tokenizer = saved(tmp_path / "bert", tmp_path, cased=True)
    assert tokenizer("Paris").tokens()[1] == "Paris"
    for words, lower in ((LATIN, False), (LOWER, True)):
        assert saved(whole(tmp_path / f"other-{lower}", words, do_lower_case=lower), tmp_path)[0] == ()
