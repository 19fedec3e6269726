"""Operations and bytes against figures counted by hand."""

import pytest

from benchmarks.gpu.device import Device
from benchmarks.gpu.floors import (
    forward_flops_a_token,
    recurrence_bytes,
    recurrence_flops,
    softmax_bytes,
    softmax_flops,
    step_bytes,
    training_flops_a_token,
)
from benchmarks.gpu.rows import words
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.presets import preset

CHARACTERS = LanguageModelConfig(vocab_size=83, hidden_sizes=(512, 512))


def test_awd_lstm_takes_201_mflop_a_token_and_420_tflop_an_epoch() -> None:
    config = preset("awd-wikitext2").language_model(33_278)
    layers = 4 * 1150 * (400 + 1150) + 4 * 1150 * (1150 + 1150) + 4 * 400 * (1150 + 400)
    assert training_flops_a_token(config) == 6 * (layers + 400 * 33_278)
    assert training_flops_a_token(config) == pytest.approx(201e6, rel=1e-3)
    assert training_flops_a_token(config) * words.TOKENS == pytest.approx(420e12, rel=1e-3)


def test_a_character_step_takes_245_gflop() -> None:
    """The one-hot input is gathered: of the first layer only the recurrence counts."""
    assert training_flops_a_token(CHARACTERS) * 128 * 100 == pytest.approx(244.9e9, rel=1e-3)
    assert forward_flops_a_token(CHARACTERS) == 2 * (4 * 512 * 512 + 4 * 512 * 1024 + 512 * 83)


def test_an_update_reads_and_writes_what_the_optimizer_keeps() -> None:
    """Adam: parameter, m and v, each read and written, 4 bytes each."""
    assert step_bytes(CHARACTERS, "adam", 12_800) == 24 * 3_366_483 + 16 * 12_800
    assert step_bytes(CHARACTERS, "nt-asgd", 0) == 8 * 3_366_483


def test_a_small_recurrence_by_hand() -> None:
    """T=2, B=3, I=4, H=5: 20 rows of 9 weights, 6 tokens."""
    assert recurrence_flops(2, 3, 4, 5, backward=False) == 6 * 2 * 20 * 9
    assert recurrence_flops(2, 3, 4, 5, backward=True) == 3 * 6 * 2 * 20 * 9
    assert recurrence_bytes(2, 3, 4, 5, backward=False, size=2) == 2 * (20 * 11 + 24 + 30)
    assert recurrence_bytes(2, 3, 4, 5, backward=True, size=2) == 2 * 2 * (20 * 11 + 24 + 30)


def test_the_softmax_of_the_table() -> None:
    assert softmax_flops(5600, 400, 33_280) == pytest.approx(447.3e9, rel=1e-3)
    assert softmax_bytes(2, 3, 5, size=2) == 2 * 2 * (6 + 15 + 5) + 16


def test_an_epochs_floor_counts_every_token_once() -> None:
    """What does not make a row of 80 is left over; the loss of the last window's length is exact."""
    lengths = words.epoch_lengths(words.drawn_stream(Device("cuda")))
    row = words.row(Device("cuda"), 0)
    assert int(lengths.sum()) == (words.TOKENS - 1) // 80
    assert row.flops == pytest.approx(420e12, rel=1e-3)
    assert row.units == 8 / len(lengths)
