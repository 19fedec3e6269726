"""The next word after a few others: fixtures, and what a model says of them."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.errors import DataError
from lstm_ref.core.params import initial_parameters
from lstm_ref.core.prediction import Fixture, log_softmax, nll_of_fixture, prediction
from lstm_ref.core.vocab import WordVocabulary
from lstm_ref.model import NumpyLM

WORDS = WordVocabulary(("<eos>", "a", "b", "c", "d", "e", "f"))


@pytest.fixture
def model() -> NumpyLM:
    config = LanguageModelConfig(vocab_size=len(WORDS), embedding_size=4, hidden_sizes=(5, 3))
    made = NumpyLM(config, dtype=np.float64)
    made.load_parameters({name: 5 * value for name, value in initial_parameters(config, 3).items()})
    return made


def inputs(rows: int, length: int) -> np.ndarray:
    return np.arange(rows * length).reshape(rows, length) * 5 % len(WORDS)


@pytest.mark.row("W53")
@given(rows=st.integers(1, 9), length=st.integers(1, 7), rest=st.integers(0, 20))
def test_a_row_is_a_stretch_of_the_text_and_its_answer_the_next_word(rows, length, rest):
    ids = np.arange(rows * (length + 1) + rest)
    fixture = Fixture.of_text(ids, rows, length, WORDS)
    assert fixture.inp.shape == (rows, length)
    assert np.array_equal(np.diff(fixture.inp, axis=1), np.ones((rows, length - 1)))
    assert np.array_equal(fixture.out, fixture.inp[:, -1] + 1)
    assert np.all(fixture.inp[1:, 0] > fixture.out[:-1])  # none overlap
    most = len(ids) // (length + 1)
    assert Fixture.of_text(ids, None, length, WORDS).inp.shape == (most, length)
    for too_many, text in ((most + 1, ids), (None, ids[:length])):
        with pytest.raises(DataError, match="take fewer rows"):
            Fixture.of_text(text, too_many, length, WORDS)


@pytest.mark.row("W52")
@pytest.mark.parametrize("length", [1, 2, 6])
def test_a_prediction_is_the_last_row_of_the_whole_forward_pass(model, length):
    inp = inputs(4, length)
    logits, _ = model.logits(inp.T, model.zero_state(4))
    assert prediction(model, inp).shape == (4, len(WORDS))
    np.testing.assert_allclose(prediction(model, inp), logits[-1], rtol=0, atol=1e-14)  # BLAS takes other shapes


@pytest.mark.row("W54")
def test_log_softmax_is_stable_and_torchs():
    torch = pytest.importorskip("torch")
    x = np.array([[0.0, 1.0, -2.0, 3.5], [1e4, -1e4, 0.0, 9999.0], [-700.0, -701.0, -1e4, -705.5]])
    ours = log_softmax(x, axis=1)
    np.testing.assert_allclose(ours, torch.log_softmax(torch.from_numpy(x), 1).numpy(), rtol=4 * np.finfo(float).eps)
    np.testing.assert_allclose(log_softmax(x.T, axis=0), ours.T, rtol=0)


@pytest.mark.row("W55", "BW29")
def test_the_nll_is_of_the_word_that_follows_each_row_and_of_no_other(model):
    inp, out = inputs(300, 3), np.arange(300) % len(WORDS)
    seen = []
    nll = nll_of_fixture(model, Fixture(inp, out), seen.append)
    assert sum(seen) == 300
    for row in (0, 127, 128, 299):
        state = model.evaluate(Window(inp[row, :2, None], inp[row, 1:, None]), model.zero_state(1)).state
        single = model.evaluate(Window(inp[row, 2:, None], out[row, None, None]), state)
        assert nll[row] == pytest.approx(single.total, rel=1e-12)


def test_what_is_saved_is_what_is_read_and_needs_no_pickle(tmp_path):
    made = Fixture.of_text(inputs(1, 40)[0], 3, 4, WORDS)
    made.save(tmp_path / "f.npz")
    read = Fixture.load(tmp_path / "f.npz", WORDS)
    assert np.array_equal(read.inp, made.inp)
    assert np.array_equal(read.out, made.out)
    with np.load(tmp_path / "f.npz", allow_pickle=False) as arrays:
        assert {"inp", "out"} <= set(arrays)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"inp": inputs(2, 3)}, "no fixture: 'out is not a file"),
        ({"inp": inputs(2, 3), "out": inputs(1, 3)[0]}, r"out int64 \[3\]; expected ids \[rows,T\] and \[rows\]"),
        ({"inp": inputs(2, 3) * 1.0, "out": inputs(1, 2)[0]}, "inp float64"),
        ({"inp": inputs(2, 0), "out": inputs(1, 2)[0]}, r"inp int64 \[2, 0\]"),
        ({"inp": inputs(2, 3) + 5, "out": inputs(1, 2)[0]}, "another vocabulary"),
        ({"inp": inputs(2, 3) - 1, "out": inputs(1, 2)[0]}, "another vocabulary"),
        ({"inp": np.array([[1, None]], object), "out": inputs(1, 1)[0]}, "no fixture: .*[Oo]bject"),
    ],
)
def test_another_file_is_refused_in_one_line(tmp_path: Path, arrays, said):
    np.savez(tmp_path / "f.npz", **arrays)
    with pytest.raises(DataError, match=said) as refused:
        Fixture.load(tmp_path / "f.npz", WORDS)
    assert "\n" not in str(refused.value)


def test_ids_of_another_vocabulary_of_the_same_size_are_refused(tmp_path):
    Fixture.of_text(inputs(1, 40)[0], 3, 4, WORDS).save(tmp_path / "f.npz")
    with pytest.raises(DataError, match="another vocabulary"):
        Fixture.load(tmp_path / "f.npz", WordVocabulary(("<eos>", "a", "b", "c", "d", "e", "g")))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not a zip", b"\x80\x04K\x01."])
def test_what_is_no_archive_is_refused(tmp_path, content):
    (tmp_path / "f.npz").write_bytes(content)
    with pytest.raises(DataError, match="no fixture"):
        Fixture.load(tmp_path / "f.npz", WORDS)
    with pytest.raises(DataError, match="cannot read"):
        Fixture.load(tmp_path / "gone.npz", WORDS)


def test_an_untrained_model_costs_about_ln_v(model):
    model.load_parameters({name: 0 * value for name, value in model.parameters().items()})
    fixture = Fixture(inputs(5, 3), np.arange(5))
    assert nll_of_fixture(model, fixture) == pytest.approx(math.log(len(WORDS)))
