"""Parameters: names and shapes as torch.nn.LSTM has them, the original notebook's counts, and the initial values."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.config import LanguageModelConfig, RunConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ShapeError
from lstm_ref.core.params import check_parameters, describe, initial_parameters, parameter_count, parameter_shapes
from lstm_ref.core.presets import preset

CONFIG = LanguageModelConfig(vocab_size=7, embedding_size=5, hidden_sizes=(4, 3), dropout_input=0.25)
# Large enough that every parameter has hundreds of values, the biases too.
LARGER = LanguageModelConfig(vocab_size=601, embedding_size=5, hidden_sizes=(150, 130))

seeds = st.integers(0, 2**64 - 1)
sizes = st.integers(1, 40)
configs = st.builds(
    LanguageModelConfig,
    vocab_size=sizes,
    embedding_size=st.integers(0, 40),
    hidden_sizes=st.lists(sizes, min_size=1, max_size=4).map(tuple),
)


def range_of(config: LanguageModelConfig, name: str) -> float:
    """r of the uniform initial values in [-r, r), as documented."""
    if config.embedding_size and not name.startswith("lstm"):
        return 0.0 if name == "decoder.bias" else 0.1
    layer = len(config.hidden_sizes) - 1 if name.startswith("decoder") else int(name[-1])
    return 1 / math.sqrt(config.hidden_sizes[layer])


@pytest.mark.row("C62")
def test_names_and_shapes_are_pytorchs():
    assert parameter_shapes(CONFIG) == {
        "embedding.weight": (7, 5),
        "lstm.weight_ih_l0": (16, 5),
        "lstm.weight_hh_l0": (16, 4),
        "lstm.bias_ih_l0": (16,),
        "lstm.bias_hh_l0": (16,),
        "lstm.weight_ih_l1": (12, 4),
        "lstm.weight_hh_l1": (12, 3),
        "lstm.bias_ih_l1": (12,),
        "lstm.bias_hh_l1": (12,),
        "decoder.weight": (7, 3),
        "decoder.bias": (7,),
    }


@pytest.mark.row("C62", "C38")
def test_names_and_shapes_of_char_anna_are_the_original_notebooks():
    assert parameter_shapes(preset("char-anna").language_model(83)) == {
        "lstm.weight_ih_l0": (2048, 83),
        "lstm.weight_hh_l0": (2048, 512),
        "lstm.bias_ih_l0": (2048,),
        "lstm.bias_hh_l0": (2048,),
        "lstm.weight_ih_l1": (2048, 512),
        "lstm.weight_hh_l1": (2048, 512),
        "lstm.bias_ih_l1": (2048,),
        "lstm.bias_hh_l1": (2048,),
        "decoder.weight": (83, 512),
        "decoder.bias": (83,),
    }


WORDS = 33_278  # of WikiText-2


@pytest.mark.row("W23", "W26", "W45", "W60")
@pytest.mark.parametrize(
    ("config", "count"),
    [
        (LanguageModelConfig(vocab_size=1000, embedding_size=400, hidden_sizes=(1150, 1150, 1150)), 29_868_600),
        (preset("word-seed").language_model(WORDS), 21_124_878),
        (preset("word-seed").with_overrides({"embedding_size": 200}).language_model(WORDS), 14_309_278),
        (preset("awd-wikitext2").language_model(WORDS), 33_556_078),
        (preset("awd-wikitext2").language_model(10_000), 24_221_600),  # on the Penn Treebank
    ],
)
def test_models_of_words_have_as_many_parameters_as_published(config, count):
    assert parameter_count(config) == count


@pytest.mark.row("C18", "C38")
@pytest.mark.parametrize(
    ("config", "count"),
    [
        (preset("char-anna").language_model(83), 3_366_483),
        (RunConfig().language_model(83), 896_851),
        (LanguageModelConfig(vocab_size=83), 896_851),
        (CONFIG, 35 + (80 + 64 + 32) + (48 + 36 + 24) + 28),
    ],
)
def test_parameters_are_as_many_as_counted_by_hand(config, count):
    assert parameter_count(config) == count


@given(config=configs)
def test_the_count_follows_from_the_sizes(config):
    V, E, hidden = config.vocab_size, config.embedding_size, config.hidden_sizes
    inputs = (E or V, *hidden)
    lstm = sum(4 * H * (I + H + 2) for I, H in zip(inputs, hidden))
    assert parameter_count(config) == V * E + lstm + V * (hidden[-1] + 1)


@pytest.mark.row("C23", "BC11")
@given(config=configs, seed=seeds)
def test_initial_values_have_the_names_and_shapes_and_fit(config, seed):
    params = initial_parameters(config, seed)
    assert {name: value.shape for name, value in params.items()} == parameter_shapes(config)
    assert all(value.dtype == np.float64 for value in params.values())
    check_parameters(config, params)


@pytest.mark.row("C23", "BC11")
@given(config=configs, seed=seeds)
def test_initial_values_are_the_documented_function_of_the_named_streams(config, seed):
    for name, value in initial_parameters(config, seed).items():
        r, u = range_of(config, name), Draws(seed, 0).uniform(f"init/{name}", value.shape)
        assert -r <= value.min() <= value.max() <= r
        # 1/sqrt(H) and H**-0.5 may differ by one rounding, and so may the product.
        np.testing.assert_allclose(value, r * (2 * u - 1), rtol=4 * np.finfo(np.float64).eps, atol=0)


@pytest.mark.row("BC11")
@given(seed=seeds)
def test_initial_values_follow_from_the_seed_alone(seed):
    first, second, other = (initial_parameters(CONFIG, s) for s in (seed, seed, seed ^ 1))
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name], strict=True)
        assert np.array_equal(value, other[name]) == (range_of(CONFIG, name) == 0), name


@pytest.mark.row("BC11")
@given(seed=seeds)
def test_no_two_parameters_begin_alike(seed):
    """As they would if they shared a stream: the two biases of a layer have the same shape and range."""
    ranges = {name: range_of(CONFIG, name) for name in parameter_shapes(CONFIG)}
    params = initial_parameters(CONFIG, seed)
    values = np.concatenate([params[name].reshape(-1) / r for name, r in ranges.items() if r > 0])
    assert len(np.unique(values.round(12))) == len(values)


@pytest.mark.row("BC11")
def test_initial_values_are_the_frozen_ones():
    """Of sizes whose ranges are exact in binary, or one correctly rounded product away from it."""
    params = initial_parameters(CONFIG, seed=11)
    frozen = {
        "embedding.weight": "0x1.56beedfed866dp-4",
        "lstm.weight_ih_l0": "0x1.b8c2b8d2bb1d8p-4",
        "lstm.weight_hh_l0": "-0x1.7154577fc9ad0p-2",
        "lstm.bias_ih_l0": "0x1.3cc37c76f5274p-3",
        "lstm.bias_hh_l0": "0x1.fbfab8434eeb0p-4",
    }
    assert {name: params[name].flat[1] for name in frozen} == {name: float.fromhex(x) for name, x in frozen.items()}


@pytest.mark.row("C23", "BC11")
@pytest.mark.parametrize("seed", [0, 2**63])
@pytest.mark.parametrize("name", [name for name in parameter_shapes(LARGER) if range_of(LARGER, name) > 0])
def test_initial_values_are_uniform_over_their_range(name, seed):
    values = np.sort(initial_parameters(LARGER, seed)[name].reshape(-1)) / range_of(LARGER, name)
    n = values.size
    distribution = (values + 1) / 2  # what it should be at each of the sorted values
    steps = np.arange(n + 1) / n
    largest_gap = max(np.abs(distribution - steps[:-1]).max(), np.abs(distribution - steps[1:]).max())
    # Kolmogorov and Smirnov: a right sample stays below 2.23/sqrt(n) but for one in ten thousand; the seeds are fixed.
    assert largest_gap <= 2.23 / math.sqrt(n)


@pytest.mark.row("W27")
def test_a_model_of_words_begins_as_the_word_seeds():
    """U(-0.1, 0.1) for embedding and decoder, a decoder's bias of 0, and PyTorch's own U(+-1/sqrt(H)) for the LSTM."""
    params = initial_parameters(LARGER, seed=5)
    assert not params["decoder.bias"].any()
    for name, r in (("embedding.weight", 0.1), ("decoder.weight", 0.1), ("lstm.weight_hh_l1", 130**-0.5)):
        # of thousands of values, the largest is within a hundredth of its bound
        assert 0.99 * r < np.abs(params[name]).max() <= r


@pytest.mark.row("BC11")
@given(seed=seeds)
def test_a_float32_model_begins_within_one_rounding_of_the_float64_one(seed):
    for name, value in initial_parameters(CONFIG, seed).items():
        half_ulp = np.finfo(np.float32).eps / 2
        np.testing.assert_allclose(value.astype(np.float32), value, rtol=half_ulp, atol=0, err_msg=name)


@given(config=configs, data=st.data())
def test_a_missing_parameter_is_named(config, data):
    params = initial_parameters(config, 1)
    name = data.draw(st.sampled_from(sorted(params)))
    del params[name]
    with pytest.raises(ShapeError, match=f"^parameters missing: {name}$"):
        check_parameters(config, params)


def test_an_unknown_parameter_is_named_beside_the_expected_ones():
    params = initial_parameters(CONFIG, 1) | {"fc.weight": np.ones((7, 3))}
    with pytest.raises(
        ShapeError, match=r"^unknown parameters: fc\.weight; expected embedding\.weight, lstm\."
    ) as caught:
        check_parameters(CONFIG, params)
    assert all(name in str(caught.value) for name in parameter_shapes(CONFIG))


@pytest.mark.row("C62")
def test_a_transposed_parameter_is_recognised():
    params = initial_parameters(CONFIG, 1)
    params["lstm.weight_hh_l1"] = params["lstm.weight_hh_l1"].T
    with pytest.raises(ShapeError) as caught:
        check_parameters(CONFIG, params)
    assert str(caught.value) == (
        "lstm.weight_hh_l1 has shape (3, 12), expected (12, 3); it looks transposed: pass lstm.weight_hh_l1.T"
    )


@pytest.mark.parametrize(
    ("name", "shape"),
    [("lstm.weight_ih_l0", (16, 6)), ("lstm.bias_hh_l1", (12, 1)), ("decoder.bias", (8,)), ("decoder.weight", (21,))],
)
def test_a_wrong_shape_is_named_with_the_expected_one(name, shape):
    params = initial_parameters(CONFIG, 1) | {name: np.ones(shape)}
    with pytest.raises(ShapeError) as caught:
        check_parameters(CONFIG, params)
    assert str(caught.value) == f"{name} has shape {shape}, expected {parameter_shapes(CONFIG)[name]}"


def test_describe_has_the_layers_the_dropout_and_the_count():
    assert describe(CONFIG).splitlines() == [
        "Embedding(7, 5), dropout 0.25",
        "LSTM(5, 4), dropout 0.5",
        "LSTM(4, 3), dropout 0.5",
        "Linear(3, 7), bias",
        "347 parameters",
    ]


@pytest.mark.row("W31")
def test_describe_has_the_word_seeds_layers():
    config = LanguageModelConfig(vocab_size=1000, embedding_size=400, hidden_sizes=(1150, 1150, 1150))
    text = describe(config)
    for layer in ("Embedding(1000, 400)", "LSTM(400, 1150)", "LSTM(1150, 1150)", "Linear(1150, 1000), bias"):
        assert layer in text


@pytest.mark.row("C18")
def test_describe_tells_the_dropout_between_layers_from_that_on_the_last():
    config = LanguageModelConfig(vocab_size=83, dropout_between=0.3, dropout_output=0.1)
    assert describe(config).splitlines() == [
        "LSTM(83, 256), dropout 0.3",
        "LSTM(256, 256), dropout 0.1",
        "Linear(256, 83), bias",
        "896,851 parameters",
    ]
