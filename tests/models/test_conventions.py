"""What users of ``transformers`` expect of any model: Trainer, pipelines, types, embeddings, hidden states."""

from __future__ import annotations

import math

import pytest
import torch
from datasets import Dataset
from torch.nn import functional as F
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForLanguageModeling,
    DataCollatorWithPadding,
    PreTrainedTokenizerFast,
    Trainer,
    TrainingArguments,
    pipeline,
)

from explorer.models import (
    FlexiBertConfig,
    FlexiBertForMaskedLM,
    FlexiBertForSequenceClassification,
    FlexiBertForTokenClassification,
    FlexiBertModel,
)
from explorer.training.tokenizer import save_tokenizer, train_tokenizer

EVERY_OPERATION = {
    "l": 3,
    "o": [["l_dct_8", "sa_sdp_8", "c_5_8", "sa_wma_8"], ["l_dft_12", "c_9_12"], ["sa_sdp_8", "sa_sdp_8"]],
    "h": [16, 24, 16],
    "f": [[8], [8, 8], [24]],
}
SENTENCES = [
    f"the {animal} {verb} the boat" for animal in ("cat", "dog", "bird") for verb in ("sees", "likes", "finds")
]


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer") / "it"
    save_tokenizer(train_tokenizer(SENTENCES * 4, 300), folder, 24)
    return folder


@pytest.fixture
def tokenizer(tokenizer_folder):
    return PreTrainedTokenizerFast.from_pretrained(tokenizer_folder)


def config(**settings):
    return FlexiBertConfig(model_dict=EVERY_OPERATION, vocab_size=300, max_position_embeddings=24, **settings)


def arguments(folder, **settings):
    return TrainingArguments(
        output_dir=str(folder),
        max_steps=3,
        per_device_train_batch_size=4,
        per_device_eval_batch_size=4,
        learning_rate=1e-2,
        logging_steps=1,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **settings,
    )


@pytest.mark.parametrize("settings", [{}, {"bf16": True, "activation_checkpointing": True}], ids=["plain", "bf16"])
def test_the_trainer_trains_evaluates_saves_and_loads(settings, tokenizer, tmp_path):
    torch.manual_seed(0)
    rows = [{**tokenizer(text), "labels": len(text) % 2} for text in SENTENCES]
    model = FlexiBertForSequenceClassification(config(num_labels=2))
    before = {name: value.clone() for name, value in model.named_parameters()}
    trainer = Trainer(
        model=model,
        args=arguments(tmp_path, save_steps=3, load_best_model_at_end=False, **settings),
        train_dataset=Dataset.from_list(rows),
        eval_dataset=Dataset.from_list(rows),
        data_collator=DataCollatorWithPadding(tokenizer),
        processing_class=tokenizer,
    )
    assert math.isfinite(trainer.train().training_loss)
    untouched = {name for name, value in model.named_parameters() if torch.equal(value, before[name])}
    assert untouched == set()
    assert math.isfinite(trainer.evaluate()["eval_loss"])
    loaded = FlexiBertForSequenceClassification.from_pretrained(tmp_path / "checkpoint-3")
    assert all(torch.equal(value, model.get_parameter(name)) for name, value in loaded.named_parameters())


def test_the_trainer_trains_a_masked_lm_with_the_usual_collator(tokenizer, tmp_path):
    torch.manual_seed(0)
    rows = Dataset.from_list([dict(tokenizer(text)) for text in SENTENCES])
    model = FlexiBertForMaskedLM(config())
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.3)
    trainer = Trainer(model, arguments(tmp_path, save_strategy="no"), collator, rows, rows)
    assert math.isfinite(trainer.train().training_loss)
    assert math.isfinite(trainer.evaluate()["eval_loss"])


def test_pipelines(tokenizer, tokenizer_folder, tmp_path):
    torch.manual_seed(0)
    FlexiBertForMaskedLM(config()).save_pretrained(tmp_path / "lm")
    FlexiBertForSequenceClassification(config(id2label={0: "no", 1: "yes"})).save_pretrained(tmp_path / "classes")
    FlexiBertForTokenClassification(config(id2label={0: "O", 1: "B"})).save_pretrained(tmp_path / "tokens")
    FlexiBertModel(config()).save_pretrained(tmp_path / "encoder")
    for name in ("lm", "classes", "tokens", "encoder"):
        tokenizer.save_pretrained(tmp_path / name)
    fill = pipeline("fill-mask", model=str(tmp_path / "lm"), device="cpu")
    found = fill("the cat <mask> the boat")
    assert len(found) == 5
    assert 1 >= found[0]["score"] >= found[1]["score"] > 0
    classify = pipeline("text-classification", model=str(tmp_path / "classes"), device="cpu")
    one, two = (classify(text, top_k=None) for text in SENTENCES[:2])
    both = classify(SENTENCES[:2], top_k=None, batch_size=2)
    assert {row["label"] for row in one} == {"no", "yes"}
    assert sum(row["score"] for row in one) == pytest.approx(1)
    tokens = pipeline("token-classification", model=str(tmp_path / "tokens"), device="cpu", ignore_labels=[])
    assert {row["entity"] for row in tokens(SENTENCES[0])} <= {"O", "B"}
    features = pipeline("feature-extraction", model=str(tmp_path / "encoder"), device="cpu")(SENTENCES[0])
    assert torch.tensor(features).shape == (1, len(tokenizer(SENTENCES[0])["input_ids"]), 16)
    for alone, together in zip((one, two), both, strict=True):
        assert [row["score"] for row in alone] == pytest.approx([row["score"] for row in together], abs=1e-6)


@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    "kind",
    [FlexiBertModel, FlexiBertForMaskedLM, FlexiBertForSequenceClassification, FlexiBertForTokenClassification],
)
def test_resized_embeddings_leave_known_tokens_as_they_are(kind, tied, tmp_path):
    torch.manual_seed(0)
    model = kind(config(tie_word_embeddings=tied)).eval()
    ids, mask = torch.randint(1, 300, (2, 6)), torch.tensor([[1] * 6, [1] * 4 + [0] * 2])
    with torch.no_grad():
        before = model(ids, mask)[0]
        for size, rounded in ((310, None), (310, 64), (300, None)):
            model.resize_token_embeddings(size, pad_to_multiple_of=rounded)
            model.save_pretrained(tmp_path)
            model = kind.from_pretrained(tmp_path)
            after = model(ids, mask)[0]
            assert model.get_input_embeddings().num_embeddings == model.config.vocab_size == (320 if rounded else size)
            if kind is FlexiBertForMaskedLM:
                assert after.shape[-1] == model.config.vocab_size
                after = after[..., :300]
            torch.testing.assert_close(after, before, rtol=0, atol=1e-6)
    assert model.get_input_embeddings().padding_idx == 0


def test_embeddings_can_be_resized_and_stay_tied():
    torch.manual_seed(0)
    model = FlexiBertForMaskedLM(config())
    words = model.get_input_embeddings()
    assert words is model.flexibert.embeddings.word_embeddings
    old = words.weight.clone()
    model.resize_token_embeddings(310)
    assert model.config.vocab_size == 310
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    assert model.get_output_embeddings().bias.shape == (310,)
    assert torch.equal(model.get_input_embeddings().weight[:300], old)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_a_model_is_loaded_in_the_type_asked_for(dtype, tmp_path):
    FlexiBertForMaskedLM(config()).save_pretrained(tmp_path)
    model = FlexiBertForMaskedLM.from_pretrained(tmp_path, dtype=dtype)
    assert {value.dtype for value in model.parameters()} == {dtype}
    ids, mask = torch.ones(2, 9, dtype=torch.long), torch.tensor([[1] * 9, [1] * 4 + [0] * 5])
    logits = model(ids, mask).logits
    assert logits.dtype == dtype
    assert logits.isfinite().all()


def test_hidden_states_by_argument_and_by_configuration():
    ids = torch.ones(1, 7, dtype=torch.long)
    torch.manual_seed(0)
    model = FlexiBertForSequenceClassification(config()).eval()
    by_argument = model(ids, output_hidden_states=True).hidden_states
    assert [state.shape[-1] for state in by_argument] == [16, 16, 24, 16]
    model.config.output_hidden_states = True
    by_setting = model(ids).hidden_states
    assert all(torch.equal(a, b) for a, b in zip(by_argument, by_setting, strict=True))


def test_tokens_are_classified(tmp_path):
    torch.manual_seed(0)
    model = FlexiBertForTokenClassification(config(num_labels=4)).eval()
    ids, mask = torch.randint(0, 300, (2, 9)), torch.tensor([[1] * 9, [1] * 4 + [0] * 5])
    labels = torch.where(mask.bool(), ids % 4, -100)
    out = model(ids, mask, labels=labels)
    chosen = out.logits[mask.bool()]
    torch.testing.assert_close(out.loss, F.cross_entropy(chosen, labels[mask.bool()]))
    encoder = FlexiBertModel(model.config, add_pooling_layer=False).eval()
    encoder.load_state_dict(model.flexibert.state_dict())
    states = encoder(ids, mask).last_hidden_state
    torch.testing.assert_close(chosen, model.classifier(states)[mask.bool()])
    model.save_pretrained(tmp_path)
    loaded = AutoModelForTokenClassification.from_pretrained(tmp_path)
    assert torch.equal(loaded(ids, mask).logits[mask.bool()], chosen)


def test_classes_that_do_not_exclude_each_other():
    torch.manual_seed(0)
    model = FlexiBertForSequenceClassification(config(num_labels=3, problem_type="multi_label_classification")).eval()
    ids, truth = torch.randint(0, 300, (2, 9)), torch.tensor([[1, 0, 1], [0, 0, 0]])
    out = model(ids, labels=truth)
    share = out.logits.sigmoid()
    torch.testing.assert_close(out.loss, -(truth * share.log() + (1 - truth) * (1 - share).log()).mean())
