from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from explorer.training.masking import IGNORED, MaskedBatches, PackedRows, mask_tokens
from explorer.training.tokenizer import END, MASK, SPECIAL_TOKENS, START

VOCABULARY = 500


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    rows = rng.integers(len(SPECIAL_TOKENS), VOCABULARY, (64, 128))
    rows[:, 0] = START
    rows[:, 50] = END
    return rows


def test_share_of_chosen_masked_random_and_kept_tokens(rows):
    batch = mask_tokens(rows, VOCABULARY, 0.15, np.random.default_rng(1))
    chosen = batch.labels != IGNORED
    ordinary = rows >= len(SPECIAL_TOKENS)
    assert chosen.sum() == round(0.15 * ordinary.sum())
    count = chosen.sum()
    assert (batch.inputs[chosen] == MASK).mean() == pytest.approx(0.8, abs=1 / count)
    replaced = chosen & (batch.inputs != MASK) & (batch.inputs != rows)
    # A random token equals the original one in 1 of 495 cases.
    assert replaced.sum() / count == pytest.approx(0.1, abs=0.005)
    assert batch.inputs[replaced].min() >= len(SPECIAL_TOKENS)


def test_labels_are_the_originals_and_nothing_else_changes(rows):
    batch = mask_tokens(rows, VOCABULARY, 0.15, np.random.default_rng(2))
    chosen = batch.labels != IGNORED
    assert (batch.labels[chosen] == rows[chosen]).all()
    assert (batch.inputs[~chosen] == rows[~chosen]).all()
    assert not chosen[rows < len(SPECIAL_TOKENS)].any()


def test_masks_change_from_time_to_time_and_are_fixed_by_the_seed(rows):
    one = np.random.default_rng(3)
    first, second = (mask_tokens(rows, VOCABULARY, 0.15, one).inputs for _ in range(2))
    again = mask_tokens(rows, VOCABULARY, 0.15, np.random.default_rng(3)).inputs
    assert (first != second).any()
    assert (first == again).all()


def test_an_epoch_visits_every_row_of_the_stream_once():
    tokens = np.arange(10, 10 + 31 * 40, dtype=np.uint16)
    packed = PackedRows(tokens, 32, 0)
    # 39 rows of 31 tokens fit behind any offset; none comes twice before all were seen.
    assert packed.epoch == 39
    for epoch in range(3):
        rows = packed.rows(39 * epoch, 39)
        assert (rows[:, 0] == START).all()
        assert (np.diff(rows[:, 1:], axis=1) == 1).all(), "a row is a piece of the stream"
        assert len(set(rows[:, 1])) == 39
        assert len({int(start) % 31 for start in rows[:, 1]}) == 1


@given(st.integers(1, 400), st.integers(8, 40), st.integers(0, 300), st.integers(1, 90))
def test_rows_do_not_depend_on_how_they_are_asked_for(tokens, length, first, count):
    stream = np.arange(10, 10 + tokens, dtype=np.uint16)
    together = PackedRows(stream, length, 3).rows(first, count)
    one_by_one = PackedRows(stream, length, 3)
    assert together.shape == (count, length)
    assert (together == np.concatenate([one_by_one.rows(first + row, 1) for row in range(count)])).all()


def test_a_batch_depends_on_its_number_and_the_seed_only():
    tokens = np.random.default_rng(0).integers(len(SPECIAL_TOKENS), VOCABULARY, 3000).astype(np.uint16)

    def batches(seed):
        return MaskedBatches(tokens, 32, 8, VOCABULARY, 0.15, seed)

    whole = batches(5)
    seen = [whole.batch(number) for number in range(30)]
    for number in (29, 3, 17):
        again = batches(5).batch(number)
        assert (again.inputs == seen[number].inputs).all()
        assert (again.labels == seen[number].labels).all()
    assert (batches(6).batch(3).inputs != seen[3].inputs).any()
    # The second epoch (12 batches of 8 rows) has other rows and other masks.
    masks = [(batch.labels != IGNORED).tobytes() for batch in seen]
    assert len(set(masks)) == 30


def test_a_text_shorter_than_a_row_is_repeated():
    row = PackedRows(np.arange(10, 20, dtype=np.uint16), 32, 0).rows(0, 2)
    assert row.shape == (2, 32)
    assert set(row[:, 1:].ravel()) == set(range(10, 20))
