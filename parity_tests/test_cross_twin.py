"""One checkpoint, two twins: a run goes on in either, bit by bit in its own, and both write the same text from it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import Corpus, load_corpus
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import InterruptedRunError
from lstm_ref.core.generation import generate, predict
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.trainer import Observer, model_of, resume, start

TWINS = ["numpy", "torch"]
CONFIG = RunConfig(
    hidden_sizes=(24, 16),
    batch_size=5,
    seq_length=11,
    epochs=2,
    lr=0.01,
    clip=0.5,
    print_every=7,
    checkpoint_every=10,
    precision="float64",
    seed=4,
)
POLICIES = {
    "greedy": SamplingPolicy(top_k=1),
    "top-k 1, hot": SamplingPolicy(top_k=1, temperature=2.0),
    "top-k 5": SamplingPolicy(top_k=5),
    "top-p 0.9": SamplingPolicy(top_p=0.9),
    "temperature 0.7": SamplingPolicy(temperature=0.7),
}


@pytest.fixture(scope="module")
def text() -> Corpus:
    """Enough for some twenty steps an epoch."""
    whole = load_corpus("pydoc")
    return dataclasses.replace(whole, text=whole.text[:1500])


def train(folder: Path, corpus: Corpus, config: RunConfig, stop_at: int | None = None) -> Checkpoint:
    """The checkpoint at the end, or where the run was stopped."""
    with RunFolder(folder) as run:
        trainer = start(config, corpus, run)
        stopper = Observer(stop=lambda: 2 if trainer.progress.step == stop_at else 0)
        trainer.observer = stopper
        if stop_at is None:
            trainer.fit()
        else:
            with pytest.raises(InterruptedRunError):
                trainer.fit()
        return run.latest()


def go_on(folder: Path, corpus: Corpus, changes: dict[str, object] | None = None) -> Checkpoint:
    with RunFolder(folder, resume=True) as run:
        resume(run.latest(), corpus, run, changes).fit()
        return run.latest()


def arrays(checkpoint: Checkpoint) -> dict[str, np.ndarray]:
    parts = {"model": checkpoint.model, "optimizer": checkpoint.optimizer, "carry": checkpoint.carry}
    return {f"{part}.{name}": value for part, values in parts.items() for name, value in values.items()}


@pytest.mark.row("BC17", "BC23")
@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("backend", TWINS)
@settings(max_examples=4)  # two trainings each
@given(stop_at=st.integers(1, 47))
def test_a_run_that_was_stopped_anywhere_ends_bit_equal(backend, precision, text, stop_at, tmp_path_factory):
    config = CONFIG.with_overrides({"backend": backend, "precision": precision})
    whole = train(tmp_path_factory.mktemp("whole") / "run", text, config)
    folder = tmp_path_factory.mktemp("stopped") / "run"
    train(folder, text, config, stop_at)
    continued = go_on(folder, text)
    assert continued.progress.step == whole.progress.step == 48
    assert continued.progress.best_loss == whole.progress.best_loss
    for name, value in arrays(whole).items():
        np.testing.assert_array_equal(arrays(continued)[name], value, err_msg=name)


@pytest.mark.row("C58", "C62", "C63")
@pytest.mark.parametrize(("first", "second"), [TWINS, TWINS[::-1]])
def test_a_checkpoint_of_one_twin_continues_in_the_other(first, second, text, tmp_path):
    whole = train(tmp_path / "whole", text, CONFIG.with_overrides({"backend": first}))
    train(tmp_path / "stopped", text, CONFIG.with_overrides({"backend": first}), stop_at=17)
    continued = go_on(tmp_path / "stopped", text, {"backend": second})
    assert continued.config.backend == second
    assert continued.progress.best_loss == pytest.approx(whole.progress.best_loss, abs=1e-9)
    for name, value in arrays(whole).items():
        # 31 steps of Adam apart in rounding only, as in test_parity
        np.testing.assert_allclose(arrays(continued)[name], value, rtol=0, atol=1e-8, err_msg=name)


@pytest.fixture(scope="module")
def checkpoint(text, tmp_path_factory) -> Checkpoint:
    return train(tmp_path_factory.mktemp("sampled") / "run", text, CONFIG)


@pytest.mark.row("C53", "C54", "C55", "C56")
@pytest.mark.parametrize("name", POLICIES)
def test_both_twins_write_the_same_two_thousand_characters(name, checkpoint):
    numpy_text, torch_text = (
        "".join(
            generate(model_of(checkpoint, backend=backend), checkpoint.vocabulary, 2000, "The", POLICIES[name], seed=9)
        )
        for backend in TWINS
    )
    assert len(numpy_text) == len("The") + 1 + 2000
    assert numpy_text.startswith("The")
    assert torch_text == numpy_text


@pytest.mark.row("C55")
@pytest.mark.parametrize("backend", TWINS)
def test_priming_runs_every_character_of_the_prime_through_the_network(backend, checkpoint):
    """So the first character is chosen from the logits of a forward pass over the whole prime."""
    model, vocabulary = model_of(checkpoint, backend=backend), checkpoint.vocabulary
    for prime in ("The", "class", "("):
        logits, _ = model.logits(vocabulary.encode(prime)[:, None], model.zero_state(1))
        greedy = "".join(generate(model, vocabulary, 0, prime, SamplingPolicy(top_k=1)))
        assert greedy == prime + vocabulary.tokens[int(logits[-1, 0].argmax())]


@pytest.mark.row("BC10")
@pytest.mark.parametrize("backend", TWINS)
def test_the_draws_do_not_move_with_the_prime_unless_asked_to(backend, checkpoint):
    """Character n after the prime takes draw n; the original notebook spends one on every character of the prime."""
    model, vocabulary, policy = model_of(checkpoint, backend=backend), checkpoint.vocabulary, SamplingPolicy()
    prime = vocabulary.encode("class").tolist()
    plain = list(model.sample(prime, 20, policy, Draws(3)))
    moved = list(model.sample(prime, 20, policy, Draws(3), first_draw=4))
    assert plain != moved
    assert "".join(generate(model, vocabulary, 19, "class", policy, 3)) == "class" + vocabulary.decode(plain)
    spent = "".join(generate(model, vocabulary, 19, "class", policy, 3, draw_while_priming=True))
    assert spent == "class" + vocabulary.decode(moved)


@pytest.mark.row("C49", "BC9")
@pytest.mark.parametrize("backend", TWINS)
def test_predict_takes_a_character_and_a_state_and_gives_the_next_of_both(backend, checkpoint):
    model, vocabulary = model_of(checkpoint, backend=backend), checkpoint.vocabulary
    greedy, draws, state, written = SamplingPolicy(top_k=1), Draws(0), None, "T"
    for _ in range(30):
        character, state = predict(model, vocabulary, written[-1], state, policy=greedy, draws=draws)
        written += character
    assert written == "".join(generate(model, vocabulary, 29, "T", greedy))


@pytest.mark.row("C19", "C59")
def test_a_checkpoint_holds_all_that_the_notebooks_network_remembers(checkpoint):
    assert checkpoint.config.hidden_sizes == (24, 16)
    assert checkpoint.config.dropout_between == checkpoint.config.dropout_output == 0.5
    assert checkpoint.config.lr == 0.01
    vocabulary = checkpoint.vocabulary
    assert [vocabulary.decode([i]) for i in range(len(vocabulary))] == list(vocabulary.tokens)
    assert vocabulary.encode("".join(vocabulary.tokens)).tolist() == list(range(len(vocabulary)))


@pytest.mark.row("C59", "BW22")
@pytest.mark.parametrize("backend", TWINS)
def test_a_loaded_model_gives_the_same_logits_as_the_one_that_was_saved(backend, text, tmp_path):
    with RunFolder(tmp_path / "run") as run:
        trainer = start(CONFIG.with_overrides({"backend": backend, "epochs": 1}), text, run)
        trainer.fit()
        loaded = model_of(run.latest())
        inputs = trainer.stream.epoch(0)[3].inputs
        expected, _ = trainer.model.logits(inputs, trainer.model.zero_state(5))
        np.testing.assert_array_equal(loaded.logits(inputs, loaded.zero_state(5))[0], expected)
