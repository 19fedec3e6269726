"""Words from both twins, untrained: what a prime becomes, how the text reads, and many prompts at once."""

from itertools import islice

import numpy as np
import pytest

from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConfigError, DataError, ShapeError
from lstm_ref.core.generation import generate, generate_ids, predict
from lstm_ref.core.language_model import LanguageModel, SamplingPolicy, load_backend
from lstm_ref.core.params import initial_parameters
from lstm_ref.core.vocab import Vocabulary, WordVocabulary
from lstm_ref.core.words import EOS

TEXT = "= The cat =\n\nThe cat sat on the mat , and <unk> ran .\n"
VOCABULARY = Vocabulary.build(TEXT, "word")
PROMPTS = VOCABULARY.encode("the cat sat on a mat", unknown="unk").reshape(3, 2)
WARM = SamplingPolicy(temperature=3.0)


def build(backend: str, vocabulary: Vocabulary = VOCABULARY) -> LanguageModel:
    config = LanguageModelConfig(vocab_size=len(vocabulary), embedding_size=5, hidden_sizes=(7, 4))
    model = load_backend(backend)(config, optimizer=OptimizerConfig(), device="cpu", precision="float64")
    parameters = initial_parameters(config, seed=3)
    model.load_parameters({name: 9 * value.astype(np.float64) for name, value in parameters.items()})
    return model


@pytest.fixture(params=["numpy", "torch"])
def model(request) -> LanguageModel:
    return build(request.param)


@pytest.mark.row("W58")
@pytest.mark.parametrize("prime", ["The", "The cat sat", "The cat =\n", "= The\ncat", "  The \t cat "])
@pytest.mark.parametrize("size", [0, 1, 30])
def test_a_text_of_words_has_the_prime_one_word_predicted_from_it_and_size_more(model, prime, size):
    text = "".join(generate(model, VOCABULARY, size, prime, WARM, seed=5))
    ids, primed = VOCABULARY.encode(text), VOCABULARY.encode(prime)
    assert text.startswith(VOCABULARY.decode(primed))
    assert ids[: primed.size].tolist() == primed.tolist()
    assert ids.size == primed.size + 1 + size
    assert text == VOCABULARY.decode(ids)  # single spaces, and none at the ends of lines


@pytest.mark.row("W3", "W58")
def test_each_word_is_drawn_from_what_the_model_says_after_the_words_before_it(model):
    text = "".join(generate(model, VOCABULARY, 11, "The cat", WARM, seed=2))
    ids = VOCABULARY.encode(text)
    logits, _ = model.logits(ids[:, None], model.zero_state(1))
    for n, token in enumerate(ids[2:]):
        u = Draws(2, n).uniform("sample", (1,))[0]
        assert token == model.choose(logits[1 + n, 0], WARM, u)


def test_an_empty_prime_starts_a_line_that_shows_no_line_end_before_it(model):
    ids = VOCABULARY.encode("".join(generate(model, VOCABULARY, 8, "", WARM, seed=1)))
    after_a_line_end = model.sample([VOCABULARY.tokens.index(EOS)], 9, WARM, Draws(1))
    assert ids.tolist() == list(after_a_line_end)


def test_an_empty_prime_of_a_vocabulary_without_line_ends_is_a_word_drawn():
    vocabulary = WordVocabulary(("a", "b", "c"))
    texts = ["".join(generate(build("numpy", vocabulary), vocabulary, 3, "", WARM, seed)) for seed in range(20)]
    assert {len(text.split()) for text in texts} == {4}
    assert {text[0] for text in texts} == {"a", "b", "c"}


@pytest.mark.row("W58")
def test_unknown_words_of_a_prime_are_an_error_that_names_them_unless_asked_for(model):
    with pytest.raises(DataError, match=r"prime 'The dog': 1 words are not among the model's 13: 'dog'"):
        next(generate(model, VOCABULARY, 1, "The dog"))
    text = "".join(generate(model, VOCABULARY, 1, "The dog", unknown="unk"))
    assert text.startswith("The <unk> ")
    assert len("".join(generate(model, VOCABULARY, 1, "The dog", unknown="skip")).replace("\n", " x ").split()) == 3


def test_predict_goes_from_one_word_to_the_next(model):
    policy, words, state = SamplingPolicy(top_k=1), ["The"], None
    while len(words) < 9:
        word, state = predict(model, VOCABULARY, words[-1], state, policy=policy, draws=Draws(0))
        words.append(word)
    written = VOCABULARY.encode(" ".join(words))
    assert written.tolist() == VOCABULARY.encode("".join(generate(model, VOCABULARY, 7, "The", policy))).tolist()
    with pytest.raises(DataError, match="predict takes one token, 'The cat' has 2"):
        predict(model, VOCABULARY, "The cat", policy=policy, draws=Draws(0))


@pytest.mark.row("W58")
@pytest.mark.parametrize("length", [0, 1, 20])
def test_every_prompt_is_gone_on_with_for_as_many_words_as_asked(model, length):
    out = generate_ids(model, PROMPTS, length, WARM, seed=4)
    assert (out.shape, out.dtype) == ((3, length), np.int64)
    assert all(isinstance(VOCABULARY.decode(row), str) for row in out)


def test_the_first_prompt_becomes_what_it_becomes_alone(model):
    alone = list(model.sample(PROMPTS[0].tolist(), 20, WARM, Draws(4)))
    assert generate_ids(model, PROMPTS, 20, WARM, seed=4)[0].tolist() == alone


def test_what_a_prompt_becomes_does_not_depend_on_the_others(model):
    whole = generate_ids(model, PROMPTS, 15, WARM, seed=4)
    other = PROMPTS.copy()
    other[1] = other[1][::-1]
    changed = generate_ids(model, other, 15, WARM, seed=4)
    assert changed[[0, 2]].tolist() == whole[[0, 2]].tolist()
    assert generate_ids(model, PROMPTS[:2], 15, WARM, seed=4).tolist() == whole[:2].tolist()


def test_equal_prompts_become_different_texts_unless_the_choice_is_greedy(model):
    twice = np.repeat(PROMPTS[:1], 2, axis=0)
    first, second = generate_ids(model, twice, 25, WARM, seed=4)
    assert first.tolist() != second.tolist()
    first, second = generate_ids(model, twice, 25, SamplingPolicy(top_k=1))
    assert first.tolist() == second.tolist()


def test_the_seed_is_0_unless_given(model):
    without, with_0, with_1 = (
        generate_ids(model, PROMPTS, 25, WARM, **seed) for seed in ({}, {"seed": 0}, {"seed": 1})
    )
    assert without.tolist() == with_0.tolist() != with_1.tolist()


def test_both_twins_go_on_with_the_same_words():
    outs = [generate_ids(build(backend), PROMPTS.astype(np.int32), 40, WARM, seed=8) for backend in ("numpy", "torch")]
    assert outs[0].tolist() == outs[1].tolist()
    assert len(set(outs[0].ravel().tolist())) > 5


@pytest.mark.parametrize(
    ("prompts", "length"),
    [
        (PROMPTS[0], 1),
        (PROMPTS[:, :0], 1),
        (PROMPTS[:0], 1),
        (PROMPTS[None], 1),
        (PROMPTS / 2, 1),
        (PROMPTS, -1),
    ],
)
def test_prompts_that_are_no_rows_of_ids_are_refused(prompts, length):
    with pytest.raises(ShapeError, match=r"expected int64 \[B,T\]"):
        generate_ids(build("numpy"), prompts, length)
    with pytest.raises(ConfigError, match="top_k=99"):
        generate_ids(build("numpy"), PROMPTS, 1, SamplingPolicy(top_k=99))


@pytest.mark.parametrize("kind", ["char", "byte"])
def test_characters_and_bytes_come_one_by_one_after_the_prime(kind):
    vocabulary = Vocabulary.build("Thecatŏ", kind)
    model = build("numpy", vocabulary)
    pieces = generate(model, vocabulary, 10**6, "The ŏ".replace(" ", ""), WARM)
    assert "".join(islice(pieces, 4 if kind == "char" else 5)) == "Theŏ"
