"""What generation asks of a model, and what it makes of the answer: a model that says what it is told to, and remembers
what it was asked."""

from dataclasses import dataclass, field
from itertools import cycle, islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError, DataError
from lstm_ref.core.generation import generate, predict
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.core.vocab import CharVocabulary, Vocabulary

LETTERS = Vocabulary.build("abcdefg")
BYTES = Vocabulary.build("", "byte")
SNOWMAN = [*"☃".encode()]  # three bytes


@dataclass
class Script:
    """A model whose sampled ids are `says`, over and over. Its state counts the tokens that it has read."""

    says: list[int] = field(default_factory=lambda: [0])
    asked: list[tuple] = field(default_factory=list)
    V: int = 7

    def sample(self, prime, length, policy, draws, first_draw=0):
        self.asked.append((prime, length, policy, draws, first_draw))
        return islice(cycle(self.says), length)

    def zero_state(self, batch_size):
        return np.zeros(batch_size, np.int64)

    def logits(self, inputs, state):
        """[T,B,V]: the largest belongs to the id after the input's; the next state."""
        T, B = inputs.shape
        assert state.shape == (B,)
        return np.eye(self.V)[(inputs + 1) % self.V], state + T

    def choose(self, logits, policy, u):
        self.asked.append((policy, u))
        return int(logits.argmax())


@given(prime=st.text("abcdefg", min_size=1, max_size=9), size=st.integers(0, 5), seed=st.integers(0, 99))
def test_a_text_is_the_prime_one_character_predicted_from_it_and_size_more(prime, size, seed):
    model, policy = Script([3, 1, 4, 1, 5, 2]), SamplingPolicy(top_k=2)
    characters = list(generate(model, LETTERS, size, prime, policy, seed))
    assert "".join(characters) == prime + "dbebfc"[: size + 1]
    assert all(len(character) == 1 for character in characters)
    assert model.asked == [(LETTERS.encode(prime).tolist(), size + 1, policy, Draws(seed), 0)]


def test_a_prime_is_the_unless_told_otherwise_and_the_seed_0():
    model, vocabulary = Script(), Vocabulary.build("The")
    assert "".join(generate(model, vocabulary, 0)) == "TheT"
    assert model.asked == [([0, 2, 1], 1, SamplingPolicy(), Draws(0), 0)]


@pytest.mark.parametrize(("prime", "first_draw"), [("a", 0), ("ab", 1), ("abc", 2), ("", 0)])
def test_priming_spends_a_draw_on_all_but_its_last_character_only_where_that_is_asked_for(prime, first_draw):
    plain, spending = Script(), Script()
    list(generate(plain, LETTERS, 3, prime))
    list(generate(spending, LETTERS, 3, prime, draw_while_priming=True))
    (*same, zero), (*same_too, spent) = plain.asked[0], spending.asked[0]
    assert same == same_too
    assert (zero, spent) == (0, first_draw)


def test_an_empty_prime_is_one_character_drawn_uniformly_and_counts_among_the_size_and_one():
    starts = []
    for seed in range(700):
        model = Script([2])
        first, *rest = generate(model, LETTERS, 2, "", seed=seed)
        ((prime, length, *_),) = model.asked
        assert (first, rest) == (LETTERS.decode(prime), ["c", "c"])
        assert length == 2
        assert prime == [int(Draws(seed).uniform("sample_start", (1,))[0] * 7)]
        starts += prime
    counts = np.bincount(starts, minlength=7)
    assert ((counts - 100) ** 2 / 100).sum() < 22.5  # chi-square: p = 0.001 at 6 degrees of freedom


def test_a_start_is_decided_by_all_53_bits_of_its_number():
    """Of the first four thousand seeds this is the one whose low word shows, even with so many symbols."""
    vocabulary = CharVocabulary(tuple(map(chr, range(100_000))))
    first = next(generate(Script(), vocabulary, 0, "", seed=3674))
    assert ord(first) == int(Draws(3674).uniform("sample_start", (1,))[0] * 100_000)


def test_bytes_come_out_as_characters_as_soon_as_they_are_whole():
    pieces = list(generate(Script([*SNOWMAN, ord("b")]), BYTES, 3, "é"))
    assert pieces == ["", "é", "", "", "☃", "b", ""]


def test_a_character_that_the_text_ends_in_is_shown_as_replaced():
    assert list(generate(Script(SNOWMAN), BYTES, 1, "a")) == ["a", "", "", "\ufffd"]
    assert list(generate(Script([SNOWMAN[0], ord("b")]), BYTES, 1, "a")) == ["a", "", "\ufffdb", ""]


def test_what_cannot_be_generated_is_refused_before_the_model_is_asked():
    model = Script()
    with pytest.raises(DataError, match="size=-1: expected 0 or more tokens"):
        next(generate(model, LETTERS, -1, "a"))
    with pytest.raises(DataError, match="prime 'abx': 1 characters are not among the model's 7 symbols: 'x'"):
        next(generate(model, LETTERS, 3, "abx"))
    with pytest.raises(ConfigError, match="top_k=8: the vocabulary has only 7"):
        next(generate(model, LETTERS, 3, "a", SamplingPolicy(top_k=8)))
    assert model.asked == []


def test_predict_reads_one_character_and_gives_the_next_with_the_state_after_it():
    model, policy, draws = Script(), SamplingPolicy(top_k=3), Draws(5, 8)
    character, state = predict(model, LETTERS, "c", policy=policy, draws=draws)
    assert (character, state.tolist()) == ("d", [1])
    character, state = predict(model, LETTERS, "g", state, policy=policy, draws=draws)
    assert (character, state.tolist()) == ("a", [2])
    u = draws.uniform("sample", (1,))[0]
    assert model.asked == [(policy, u), (policy, u)]


@pytest.mark.parametrize(("text", "count"), [("", 0), ("ab", 2), ("abc", 3)])
def test_predict_refuses_anything_but_one_character(text, count):
    with pytest.raises(DataError, match=f"predict takes one token, '{text}' has {count}; for a longer text use gener"):
        predict(Script(), LETTERS, text, policy=SamplingPolicy(), draws=Draws(0))
