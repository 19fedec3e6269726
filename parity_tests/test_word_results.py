"""The committed runs and measurements of the word presets say what the README claims."""

import json
import math
from pathlib import Path

import pytest

from lstm_ref.core.config import RunConfig
from lstm_ref.core.presets import preset

RESULTS = Path(__file__).parent.parent / "benchmarks" / "results"
pytestmark = pytest.mark.skipif(not RESULTS.exists(), reason="installed without the checkout")


def newest(name: str) -> dict:
    """The latest result of that name."""
    return json.loads(max(RESULTS.glob(f"????-??-??-{name}.json")).read_text(encoding="utf-8"))


def read(name: str) -> dict:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


@pytest.mark.parametrize("preset", ["word-seed", "awd-wikitext2"])
@pytest.mark.parametrize("twin", ["NumpyLM", "TorchLM"])
def test_a_training_step_takes_at_most_four_fifths_of_the_memory_of_plain_cross_entropy(preset, twin):
    peaks = newest("memory")["presets"][preset]
    assert peaks[twin]["losses"] == pytest.approx(peaks["torch, plain cross-entropy"]["losses"], abs=1e-4)
    assert peaks[twin]["peak"] <= 0.8 * peaks["torch, plain cross-entropy"]["peak"]


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize(("name", "steps", "after"), [("word-seed", 300, 0), ("awd-wikitext2", 50, 2001)])
def test_the_twins_agree_at_every_step_on_wikitext_2_with_every_regularizer_on(name, steps, after, precision):
    found = newest(f"twins-{name}-{precision}")
    assert found.get("after", 0) == after
    config = RunConfig.from_dict(found["config"])
    assert (config.precision, config.hidden_sizes) == (precision, preset(name).hidden_sizes)
    numpy, torch = found["losses"]["numpy"], found["losses"]["torch"]
    assert len(numpy) == len(torch) == steps
    assert max(abs(a - b) for a, b in zip(numpy, torch)) <= {"float32": 1e-3, "float64": 1e-8}[config.precision]
    for rate in ("embedding", "input", "between", "output"):
        assert getattr(config, f"dropout_{rate}") > 0
    assert min(config.weight_drop, config.ar_alpha, config.tar_beta, config.weight_decay) > 0
    assert min(numpy) < (6 if after else 0.9 * numpy[0])  # it learned, or had: equal for nothing would prove nothing


def test_where_awd_lstm_amplifies_rounding_the_twins_are_as_near_as_a_twin_is_to_itself():
    """Its first 50 steps with eight rows: lr 30 makes 1e-5 nats and more of one unit in the last place. The twins may
    be ten times as far apart as that puts a twin from itself; begun with equal parameters, a step and the one after
    it are equal to the rounding of a loss of 10."""
    found = read("2026-11-28-twins-awd-wikitext2-float64-amplified.json")
    assert RunConfig.from_dict(found["config"]) == preset("awd-wikitext2").with_overrides(
        {"precision": "float64", "batch_size": 8}
    )
    numpy, torch, moved = found["losses"]["numpy"], found["losses"]["torch"], found["moved"]
    assert (found["after"], len(numpy), len(torch)) == (0, 50, 50)
    own = [max(abs(n - m), abs(t - k)) for n, m, t, k in zip(numpy, moved["numpy"], torch, moved["torch"], strict=True)]
    assert max(own) == pytest.approx(7.2e-5, rel=0.01)  # as the README has it
    for n in range(50):
        assert abs(numpy[n] - torch[n]) <= max(10 * max(own[: n + 1]), 1e-14)
        realigned = found["realigned"][n]
        assert len(realigned) == min(2, 50 - n)
        for there, here in zip(realigned, numpy[n:]):
            assert abs(there - here) <= 2e-14


def test_in_float32_awd_lstm_amplifies_rounding_beyond_the_bound_in_one_twin_alone():
    found = read("2026-11-28-twins-awd-wikitext2-float32-amplified.json")
    small = {"precision": "float32", "batch_size": 8}
    assert RunConfig.from_dict(found["config"]) == preset("awd-wikitext2").with_overrides(small)
    losses, moved = found["losses"], found["moved"]
    for twin in ("numpy", "torch"):
        assert max(abs(a - b) for a, b in zip(losses[twin], moved[twin], strict=True)) > 1e-3
    assert [len(realigned) for realigned in found["realigned"]] == [2] * 49 + [1]
    for n, realigned in enumerate(found["realigned"]):
        for there, here in zip(realigned, losses["numpy"][n:]):
            assert abs(there - here) <= 1e-3


def test_with_all_its_rows_awd_lstm_amplifies_rounding_less():
    found = read("2026-11-28-twins-awd-wikitext2-float64-first-steps.json")
    assert RunConfig.from_dict(found["config"]) == preset("awd-wikitext2").with_overrides({"precision": "float64"})
    numpy, torch = found["losses"]["numpy"], found["losses"]["torch"]
    assert (found["after"], len(numpy), len(torch)) == (0, 50, 50)
    assert max(abs(a - b) for a, b in zip(numpy, torch)) == pytest.approx(7.9e-8, rel=0.01)  # as the README has it


SEEDS_SCORE = 4.747096061706543  # mean NLL of the next word, nats, of the word notebook's own fixture


@pytest.mark.row("W1", "W56")
def test_a_preset_and_one_command_reach_the_word_seeds_score():
    """On rows from all over the test text, with no state carried into them."""
    scores = read("word-fast/scores.json")
    fixture = scores["fixture"]["found"]
    assert fixture["rows"] == 245_569 // 31
    assert fixture["standard_error"] < (SEEDS_SCORE - fixture["nats_per_next_word"]) / 2
    assert fixture["nats_per_next_word"] <= SEEDS_SCORE
    trained = RunConfig.from_dict(read("word-fast/config.json"))
    assert trained == preset("word-fast").with_overrides({"backend": "torch", "precision": "bf16"})


def test_the_perplexities_of_word_fast_are_of_every_token_but_the_first():
    for part, tokens in (("validation", 217_646), ("test", 245_569)):
        found = read("word-fast/scores.json")[part]["found"]
        assert (found["part"], found["tokens_scored"]) == (part, tokens - 1)
        assert found["perplexity"] == pytest.approx(math.exp(found["nats_per_token"]), rel=1e-12)


def test_the_log_of_word_fast_is_of_the_whole_run():
    lines = (RESULTS / "word-fast" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    validations = [record for record in records if record["val_loss"] is not None]
    assert [record["epoch"] for record in validations] == list(range(1, 9))
    printed = (RESULTS / "word-fast" / "log.txt").read_text(encoding="utf-8")
    for record in validations:
        assert f"| valid loss {record['val_loss']:5.2f} | valid ppl {math.exp(record['val_loss']):8.2f}" in printed
    assert records[-1]["step"] == 8 * math.ceil(((2_088_628 - 1) // 20) / 35)


def test_the_log_of_awd_lstm_is_of_two_thousand_steps_on_which_every_validation_was_better():
    folder = RESULTS / "awd-wikitext2-2000-steps"
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [record["step"] for record in records if record["val_loss"] is None] == list(range(50, 2001, 50))
    validations = [record for record in records if record["val_loss"] is not None]
    assert [record["epoch"] for record in validations] == [1, 2, 3, 4, 5]
    assert all(record["best"] for record in validations)
    assert math.exp(validations[-1]["val_loss"]) == pytest.approx(219.53, abs=0.01)  # as the README has it
    printed = (folder / "log.txt").read_text(encoding="utf-8")
    for record in validations:
        assert f"| valid loss {record['val_loss']:5.2f} | valid ppl {math.exp(record['val_loss']):8.2f}" in printed
    trained = RunConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
    how = {"backend": "torch", "precision": "bf16", "print_every": 50, "checkpoint_every": 250}
    assert trained == preset("awd-wikitext2").with_overrides(how)
