"""FLOP of a case against hand-counted figures."""

from dataclasses import replace

import pytest

from benchmarks.cases import AWD_STEP, CASES, CHARACTER_SAMPLE, CHARACTER_STEP, StartCase
from benchmarks.products import Product, flops, products
from benchmarks.small import AWD, CHARACTERS, WORD_SEED
from lstm_ref.core.params import parameter_shapes


def test_the_character_step_has_244_9_gigaflop_without_the_one_hot_product() -> None:
    hidden, decoder = 3 * 4 * 512 * 512, 83 * 512  # W_hh twice, W_ih of the upper layer; 2 FLOP forward, 4 backward
    assert flops(CHARACTER_STEP) == 6 * (hidden + decoder) * 128 * 100
    assert flops(CHARACTER_STEP) / 1e9 == pytest.approx(244.9, abs=0.05)


def test_awd_lstm_has_201_megaflop_a_token() -> None:
    assert flops(AWD_STEP) / AWD_STEP.tokens / 1e6 == pytest.approx(201, abs=0.05)


def test_a_sampled_character_reads_every_weight_once() -> None:
    assert flops(CHARACTER_SAMPLE) == 2 * (3 * 4 * 512 * 512 + 83 * 512)
    assert flops(CHARACTER_SAMPLE) / 2 * 4 / 1e6 == pytest.approx(12.75, abs=0.005)  # MB of float32


@pytest.mark.parametrize("case", [CHARACTERS, AWD, WORD_SEED, AWD_STEP])
def test_a_step_has_six_flop_a_weight_and_token(case) -> None:
    """Of every matrix that is multiplied with: an embedding is gathered, and one-hot input picks rows."""
    gathered = (
        {"lstm.weight_ih_l0"} if not case.of_words else {"embedding.weight"} - {case.config.tied and "embedding.weight"}
    )
    shapes = {name: shape for name, shape in parameter_shapes(case.config).items() if len(shape) == 2}
    weights = sum(a * b for name, (a, b) in shapes.items() if name not in gathered)
    assert flops(case) == 6 * weights * case.tokens


def test_the_recurrent_products_are_one_a_step_in_either_direction() -> None:
    found = products(CHARACTER_STEP)
    assert Product(128, 512, 2048, 100) in found
    assert Product(128, 2048, 512, 100) in found
    assert sum(p.flops for p in found if p.count == 100) / flops(CHARACTER_STEP) == pytest.approx(0.44, abs=0.005)


def test_work_grows_with_the_batch_and_the_window_alone() -> None:
    for name, case in CASES.items():
        if name.endswith("step"):
            assert flops(replace(case, batch_size=3 * case.batch_size)) == 3 * flops(case)
            assert flops(replace(case, seq_length=2 * case.seq_length)) == 2 * flops(case)
    assert StartCase in map(type, CASES.values())
