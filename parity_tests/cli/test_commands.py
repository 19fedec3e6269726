"""The commands, end to end on a small text and with both twins: what they print, what they leave in the run folder, and
which source of a setting wins."""

import dataclasses
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_ref import __version__
from lstm_ref.cli.console import printable
from lstm_ref.cli.main import run
from lstm_ref.core import config, presets
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.draws import Draws
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.core.trainer import model_of
from lstm_ref.kernels.sampling import sample_token_plain
from parity_tests.cli.conftest import Lstm
from parity_tests.conftest import RunLstm

TEXT = "The cat sat on the mat. Then it ran to the dog, and both of them went home again?\n" * 30
FIELDS = {
    "corpus": "text.txt",
    "hidden_sizes": "8,6",
    "dropout_between": 0.2,
    "batch_size": 4,
    "seq_length": 12,
    "epochs": 1,
    "lr": 0.02,
    "print_every": 10,
}
LINE = re.compile(r"Epoch: (\d+)/(\d+)\.\.\. Step: (\d+)\.\.\. Loss: (\d+\.\d{4})\.\.\. Val Loss: (\d+\.\d{4})")
BACKENDS = ["numpy", "torch"]


def train(**changes: object) -> list[str]:
    return ["train", "tiny", *(f"--set={field}={value}" for field, value in (FIELDS | changes).items())]


@pytest.fixture
def lstm(lstm: Lstm) -> Lstm:
    """With text.txt in its folder."""
    Path("text.txt").write_text(TEXT)
    return lstm


@dataclasses.dataclass(frozen=True)
class Trained:
    """A folder with text.txt and `run`, which the command made, and what it printed meanwhile. To look at only."""

    place: Path
    out: str
    err: str


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Trained]:
    return {backend: trained_by(backend, tmp_path_factory.mktemp(backend)) for backend in BACKENDS}


def trained_by(backend: str, place: Path) -> Trained:
    (place / "text.txt").write_text(TEXT)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_")}
    command = [sys.executable, "-m", "lstm_ref", *train(), "--run=run", f"--backend={backend}", "--device=cpu"]
    done = subprocess.run(command, cwd=place, env=environment, check=True, capture_output=True, text=True, timeout=120)
    return Trained(place, done.stdout, done.stderr)


@pytest.fixture
def workplace(trained: dict[str, Trained], tmp_path: Path) -> Path:
    """A copy of what NumPy trained, to work in."""
    shutil.copytree(trained["numpy"].place, tmp_path, dirs_exist_ok=True)
    return tmp_path


def metrics(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def losses(path: Path) -> list[tuple[float, ...]]:
    return [(record["step"], record["loss"], record["mean_loss"], record["val_loss"]) for record in metrics(path)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.row("C1", "C54", "C63", "BC3")
def test_a_model_trains_on_a_text_and_writes_a_new_one_on_the_device_that_was_asked_for(trained, run_lstm, backend):
    done = run_lstm("sample", str(trained[backend].place / "run"), "--size=70", f"--backend={backend}", "--device=cpu")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.fullmatch(rf"The[{re.escape(''.join(set(TEXT)))}]{{71}}\n", done.stdout)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.row("C37", "C36")
def test_training_prints_the_seeds_line_every_so_many_steps_and_nothing_else_on_stdout(trained, backend):
    lines = [LINE.fullmatch(line) for line in trained[backend].out.splitlines()]
    assert all(lines)
    records = metrics(trained[backend].place / "run")
    assert [int(line[3]) for line in lines] == [record["step"] for record in records] == [10, 20, 30, 40]
    for line, record in zip(lines, records, strict=True):
        assert (line[1], line[2]) == ("1", "1")
        assert (line[4], line[5]) == (f"{record['loss']:.4f}", f"{record['val_loss']:.4f}")


@pytest.mark.row("C37")
@pytest.mark.parametrize(
    ("tokens", "epochs", "every", "steps"),
    [
        (6 * 139 + 1, 1, 10, list(range(10, 140, 10))),  # the seed's 139 steps and 13 lines
        (6 * 139 + 6, 1, 10, list(range(10, 140, 10))),  # what does not fill a window is dropped
        (6 * 14, 3, 10, [10, 20, 30]),  # 13 steps an epoch: the last token has no successor
        (6 * 14 + 1, 2, 7, [7, 14, 21, 28]),
        (6 * 14 + 1, 1, 15, []),
    ],
)
def test_there_is_a_line_for_every_print_every_steps_of_all_epochs(lstm, tokens, epochs, every, steps):
    text = "".join("the cat"[int(7 * number)] for number in Draws(2).uniform("text", (tokens * 10 // 9 + 9,)))
    whole = next(length for length in range(tokens, len(text)) if config.RunConfig().split(length) == tokens)
    Path("text.txt").write_text(text[:whole])
    outcome = lstm(*train(batch_size=2, seq_length=3, epochs=epochs, print_every=every), "--run=run")
    assert outcome.code == 0
    windows = (tokens - 1) // 6
    assert [(int(line[1]), int(line[3])) for line in LINE.finditer(outcome.out)] == [
        (math.ceil(step / windows), step) for step in steps
    ]


@pytest.mark.row("C48")
def test_a_run_folder_holds_what_the_run_leaves_under_the_name_it_was_given(trained):
    path = trained["numpy"].place / "run"
    names = {str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()} - {".lock"}
    steps = {name for name in names if re.fullmatch(r"checkpoints/step-\d{9}\.safetensors", name)}
    assert "checkpoints/step-000000046.safetensors" in steps
    assert names - steps == {"config.json", "env.json", "metrics.jsonl", "checkpoints/best.safetensors"}
    facts = json.loads((path / "env.json").read_text())
    assert facts["versions"]["lstm-parity"] == __version__
    assert facts["command"].startswith("lstm train tiny --set=corpus=text.txt")


@pytest.mark.row("C48")
def test_a_run_without_a_name_gets_one_of_preset_and_time(lstm, tmp_path):
    assert lstm(*train(), "--quiet").code == 0
    (path,) = (tmp_path / "runs").iterdir()
    assert re.fullmatch(r"tiny-\d{8}-\d{6}", path.name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_config_of_a_run_is_all_it_takes_to_repeat_it(trained, lstm, tmp_path, backend):
    first = trained[backend].place / "run"
    assert lstm("train", "char-anna", f"--config={first / 'config.json'}", "--run=again", "--quiet").code == 0
    assert (tmp_path / "again" / "config.json").read_bytes() == (first / "config.json").read_bytes()
    assert losses(tmp_path / "again") == losses(first)


def test_quiet_prints_no_lines_and_logs_them_all_the_same(trained, lstm, tmp_path):
    outcome = lstm(*train(), "--run=run", "--device=cpu", "--quiet")
    assert (outcome.code, outcome.out) == (0, "")
    assert losses(tmp_path / "run") == losses(trained["numpy"].place / "run")


@pytest.mark.row("C26", "C43", "C44")
def test_training_describes_the_model_before_and_its_fit_after(trained):
    run_folder = trained["numpy"].place / "run"
    lines = trained["numpy"].err.splitlines()
    # V=22: 4*8*(22+8+2) and 4*6*(8+6+2) for the layers, 22*(6+1) for the output
    assert lines[:4] == [
        "LSTM(22, 8), dropout 0.2",
        "LSTM(8, 6), dropout 0.1",
        "Linear(6, 22), bias",
        "1,562 parameters",
    ]
    assert lines[4] == "numpy, cpu, float32, seed 0; run"
    verdict = r"(over|under)fitting; try .*|balanced"
    assert re.match(rf"train \d\.\d{{4}}, validation \d\.\d{{4}}, gap [+-]\d+\.\d%: ({verdict}) \(nats", lines[5])
    best = min(metrics(run_folder), key=lambda record: record["val_loss"])
    assert lines[6:] == [f"best validation loss {best['val_loss']:.4f} at step {best['step']}", "lstm sample run"]


def test_nothing_is_printed_in_colour_into_a_pipe(trained):
    for each in trained.values():
        assert "\x1b" not in each.out + each.err


@pytest.mark.parametrize("prime", ["The", "T", "", "Then it ran", "again?\nThe"])
@pytest.mark.parametrize("size", [0, 1, 37])
@pytest.mark.row("C56", "BC9")
def test_a_sample_has_the_prime_one_character_predicted_from_it_and_size_more(lstm, workplace, prime, size):
    outcome = lstm("sample", "run", "--prime", prime, f"--size={size}")
    assert outcome.code == 0
    assert outcome.out.startswith(prime)
    assert len(outcome.out) == len(prime) + 1 + size + len("\n")


@pytest.mark.row("C54", "C56")
def test_a_sample_of_default_length_is_primed_with_the(lstm, workplace):
    outcome = lstm("sample", "run")
    assert outcome.out.startswith("The")
    assert len(outcome.out) == len("The") + 1 + 1000 + len("\n")


def test_the_same_seed_gives_the_same_text_and_another_seed_another(lstm, workplace):
    texts = [lstm("sample", "run", "--size=60", *seed).out for seed in ([], ["--seed=0"], ["--seed=7"], ["--seed=8"])]
    assert texts[0] == texts[1]
    assert len(set(texts)) == 3


@pytest.mark.parametrize(
    "options",
    [[], ["--top-k=5"], ["--top-p=0.7", "--temperature=1.7"], ["--prime=", "--seed=3"], ["--draw-while-priming"]],
)
@pytest.mark.row("C63")
def test_both_twins_write_the_same_text(lstm, workplace, options):
    """In float64, where no draw falls between two logits that differ by rounding."""
    texts = [
        lstm("sample", "run", "--size=150", "--precision=float64", f"--backend={backend}", *options)
        for backend in BACKENDS
    ]
    assert [text.code for text in texts] == [0, 0]
    assert texts[0].out == texts[1].out
    assert len(set(texts[0].out)) > 5


def text_by_hand(checkpoint: Checkpoint, prime: str, count: int, seed: int, first_draw: int) -> str:
    """The rule of sampling, a character at a time: zero state, the prime, then draw first_draw + n for character n."""
    model = model_of(checkpoint, precision="float64")
    vocabulary, policy, state = checkpoint.vocabulary, SamplingPolicy(), model.zero_state(1)
    for symbol in prime:
        logits, state = model.logits(vocabulary.encode(symbol)[:, None], state)
    text = prime
    for n in range(count):
        u = Draws(seed, first_draw + n).uniform("sample", (1,))[0]
        text += vocabulary.decode([sample_token_plain(logits[-1, 0], policy, u)])
        logits, state = model.logits(vocabulary.encode(text[-1])[:, None], state)
    return text


@pytest.mark.parametrize("prime", ["T", "The", "Then it ran"])
@pytest.mark.row("BC10", "C54", "C55")
def test_a_draw_is_spent_on_a_character_of_the_prime_only_where_that_is_asked_for(lstm, workplace, prime):
    checkpoint = Checkpoint.load(workplace / "run" / "checkpoints" / "best.safetensors")
    arguments = ["sample", "run", "--size=39", "--seed=5", "--precision=float64", f"--prime={prime}"]
    without, asked = lstm(*arguments), lstm(*arguments, "--draw-while-priming")
    assert without.out == text_by_hand(checkpoint, prime, 40, seed=5, first_draw=0) + "\n"
    assert asked.out == text_by_hand(checkpoint, prime, 40, seed=5, first_draw=len(prime) - 1) + "\n"
    assert (without.out == asked.out) == (len(prime) == 1)


@pytest.mark.row("C54")
def test_sampling_takes_no_dropout(lstm, workplace):
    """Greedily, the same text as by a model without any."""
    path = workplace / "run" / "checkpoints" / "best.safetensors"
    loaded = Checkpoint.load(path)
    changed = loaded.config.with_overrides({"dropout_between": 0, "dropout_output": 0})
    dataclasses.replace(loaded, config=changed).save(workplace / "without.safetensors")
    arguments = ["--size=50", "--top-k=1"]
    assert lstm("sample", str(path), *arguments).out == lstm("sample", "without.safetensors", *arguments).out


def test_a_reader_that_has_seen_enough_of_a_sample_ends_it_quietly(trained):
    command = [sys.executable, "-m", "lstm_ref", "sample", str(trained["numpy"].place / "run"), "--size=1000000"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout.read(10).startswith(b"The")
        child.stdout.close()
        assert child.stderr.read() == b""
        assert child.wait(timeout=60) == 0


def test_a_reader_that_has_seen_enough_of_the_log_loses_no_training(tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    command = [sys.executable, "-m", "lstm_ref", *train(print_every=1), "--run=run"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
        child.stdout.readline()
        child.stdout.close()
        code = child.wait(timeout=60)
    last = Checkpoint.load(max((tmp_path / "run" / "checkpoints").glob("step-*")))
    assert (code, last.progress.step) == (0, 46)


def test_control_characters_of_a_text_do_not_reach_the_terminal(lstm):
    hostile = "The \x1b[2J\x07 \x9b31m\u202e end\u2028\tof it\n"
    Path("text.txt").write_text(hostile * 40, encoding="utf-8")
    lstm(*train(), "--run=run", "--quiet")
    outcome = lstm("sample", "run", f"--prime={hostile}", "--size=300", "--temperature=9")
    assert outcome.code == 0
    assert outcome.out.startswith("The \\x1b[2J\\x07 \\x9b31m\\u202e end\\u2028\tof it\n")
    assert not set("\x1b\x07\x9b\u202e\u2028") & set(outcome.out)


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_printable_text_is_as_it_was_and_the_rest_is_escaped(text):
    shown = printable(text)
    assert all(character.isprintable() or character in "\n\t" or character.isspace() for character in shown)
    assert not any(ord(character) < 32 and character not in "\n\t" for character in shown)
    if all(character.isprintable() or character in "\n\t" for character in text):
        assert shown == text


@pytest.mark.parametrize("space", ["\u00a0", "\u3000", "\u202f"])
def test_the_spaces_of_other_scripts_are_no_control_characters(space):
    assert printable(f"a{space}b") == f"a{space}b"


@pytest.mark.parametrize("part", ["all", "validation"])
def test_a_score_depends_on_neither_the_windows_nor_the_twin(lstm, workplace, part):
    scores = []
    for backend, length in [("numpy", 1), ("numpy", 7), ("numpy", 100), ("numpy", 9999), ("torch", 7), ("torch", 64)]:
        options = [f"--part={part}", "--precision=float64", f"--backend={backend}", f"--seq-length={length}"]
        outcome = lstm("score", "run", "--batch-size=5", "--json", *options)
        assert (outcome.code, outcome.err) == (0, "")
        scores.append(json.loads(outcome.out))
    assert {score["tokens_scored"] for score in scores} == {len(TEXT) - 1 if part == "all" else len(TEXT) // 10 - 1}
    # float64: some 2500 terms, and matrix products of other shapes
    np.testing.assert_allclose([score["nats_per_token"] for score in scores], scores[0]["nats_per_token"], rtol=1e-13)


def test_a_score_of_the_training_text_is_the_validation_loss_of_the_best_checkpoint(lstm, workplace):
    best = min(record["val_loss"] for record in metrics(workplace / "run"))
    outcome = lstm("score", "run", "--batch-size=4", "--seq-length=12", "--json")
    assert json.loads(outcome.out)["nats_per_token"] == best


def test_a_score_as_json_and_as_a_table_says_the_same_in_nats_bits_and_perplexity(lstm, workplace):
    facts = json.loads(lstm("score", "run", "text.txt", "--json").out)
    nats = facts["nats_per_token"]
    assert (facts["text"], facts["part"]) == ("text.txt", "validation")
    # float64: one division or one exponential
    assert facts["bits_per_token"] == pytest.approx(nats / math.log(2), rel=1e-15)
    assert facts["perplexity"] == pytest.approx(math.exp(nats), rel=1e-15)
    table = lstm("score", "run", "text.txt").out
    for name, value in facts.items():
        shown = f"{value:.4f}" if isinstance(value, float) else str(value)
        assert re.search(rf"^ *{name.replace('_', ' ')} +{re.escape(shown)} *$", table, re.MULTILINE), name


def test_a_score_may_skip_what_the_model_does_not_know(lstm, workplace):
    Path("other.txt").write_text(TEXT[:100] + "ÄÖ" + TEXT[100:200], encoding="utf-8")
    Path("clean.txt").write_text(TEXT[:200])
    skipped = json.loads(lstm("score", "run", "other.txt", "--part=all", "--on-unknown=skip", "--json").out)
    clean = json.loads(lstm("score", "run", "clean.txt", "--part=all", "--json").out)
    assert skipped | {"text": "clean.txt"} == clean


def test_a_cautious_resume_begins_a_run_and_then_goes_on_with_it(lstm, tmp_path):
    """--resume auto: the same command, however often a scheduler repeats it."""
    command = [*train(), "--quiet", "--resume=auto"]
    for epochs in (1, 2, 2):
        assert lstm(*command, f"--epochs={epochs}").code == 0
        (path,) = (tmp_path / "runs").iterdir()
        assert max(path.glob("checkpoints/step-*")).name == f"step-{46 * epochs:09d}.safetensors"
    assert lstm(*train(epochs=2), "--run=whole", "--quiet").code == 0
    assert losses(path) == losses(tmp_path / "whole")


def test_a_branch_goes_on_in_a_folder_of_its_own_and_leaves_the_run_as_it_was(lstm, workplace):
    before = {path: path.read_bytes() for path in (workplace / "run").rglob("*") if path.is_file()}
    command = ["train", "--resume=run/checkpoints/best.safetensors", "--run=branch", "--quiet", "--set=lr=0.001"]
    assert lstm(*command, "--epochs=2").code == 0
    assert {path: path.read_bytes() for path in (workplace / "run").rglob("*") if path.is_file()} == before
    branch = Checkpoint.load(max((workplace / "branch" / "checkpoints").glob("step-*")))
    assert (branch.progress.step, branch.config.lr) == (92, 0.001)


def test_a_flag_wins_over_the_environment_that_over_a_file_and_that_over_the_preset(run_lstm: RunLstm, tmp_path):
    (tmp_path / "text.txt").write_text(TEXT)
    (tmp_path / "run.toml").write_text(
        'corpus = "text.txt"\nhidden_sizes = [9, 5]\nbatch_size = 4\nseq_length = 12\nlr = 0.1\nclip = 1\nepochs = 3\n'
    )
    environment = {"LSTM_LR": "0.2", "LSTM_CLIP": "2", "LSTM_SEED": "4", "LSTM_HIDDEN_SIZES": "7,6"}
    done = run_lstm("train", "tiny", "--config=run.toml", "--run=run", "--set=lr=0.3", "--epochs=1", env=environment)
    assert done.returncode == 0, done.stderr
    values = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (values["lr"], values["epochs"]) == (0.3, 1)
    assert (values["clip"], values["seed"], values["hidden_sizes"]) == (2, 4, [7, 6])
    assert (values["batch_size"], values["corpus"]) == (4, "text.txt")
    tiny = presets.PRESETS["tiny"]
    assert (values["dropout_output"], values["print_every"]) == (tiny.dropout_output, tiny.print_every)


@pytest.mark.parametrize("setting", ["lr=0.3", "hidden_sizes=7,6", "hidden-sizes=7,6", " seed = 4 "])
def test_set_takes_a_field_as_it_is_written_in_the_config(lstm, tmp_path, setting):
    assert lstm(*train(), "--set", setting, "--run=run", "--quiet").code == 0
    name, _, value = setting.replace("-", "_").replace(" ", "").partition("=")
    stored = json.loads((tmp_path / "run" / "config.json").read_text())[name]
    assert stored == json.loads(f"[{value}]" if isinstance(stored, list) else value)


def test_data_info_counts_the_text_and_says_what_a_model_has_to_beat(lstm):
    Path("text.txt").write_bytes(b"abababab\r\nabababab\r\nababab*ab\r\n")
    out = " ".join(lstm("data", "info", "text.txt", "--validation-fraction=0.2").out.split())
    assert "tokens 28 symbols 4 translated line ends 3 training / validation 22 / 6 only in validation '*'" in out
    assert f"uniform {math.log(4):.4f} nats, 2.0000 bits a token" in out
    p = np.array([12, 12, 3, 1]) / 28
    assert f"unigram entropy {-(p * np.log(p)).sum():.4f} nats" in out


def test_data_info_names_the_symbols_that_only_validation_has(lstm):
    Path("text.txt").write_text("ab" * 20 + "a*b\x07")
    out = " ".join(lstm("data", "info", "text.txt").out.split())
    assert r"only in validation '\x07' '*'" in out


def test_data_list_says_where_each_text_is_or_how_to_get_it(lstm, tmp_path, monkeypatch):
    away = lstm("data", "list").out
    assert re.search(r"^ *pydoc +with Python ", away, re.MULTILINE)
    assert re.search(r"^ *anna +lstm data get anna ", away, re.MULTILINE)
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "anna.txt").write_text("not looked into")
    monkeypatch.setenv("LSTM_DATA", "t")
    assert re.search(r"^ *anna +t/anna\.txt ", lstm("data", "list").out, re.MULTILINE)
    monkeypatch.delenv("LSTM_DATA")
    assert re.search(r"^ *anna +t/anna\.txt ", lstm("data", "list", "--data-dir=t").out, re.MULTILINE)


def test_doctor_checks_the_kernels_the_backends_and_the_texts(lstm):
    facts = json.loads(lstm("doctor", "--json").out)
    assert facts["versions"]["lstm-parity"] == __version__
    assert facts["kernels"] == "compile, and agree with their plain form"
    assert facts["backends"]["numpy"] == "ready"
    assert facts["backends"]["torch"].startswith("ready on cpu")
    assert facts["texts"]["pydoc"] == "with Python"
    table = " ".join(lstm("doctor").out.split())
    assert "kernels compile, and agree with their plain form" in table
    assert "numpy ready" in table


def small_demo(monkeypatch: pytest.MonkeyPatch, **changes: object) -> None:
    """The demo's own preset takes a minute; it shall train on this, which has every letter of its prime."""
    Path("text.txt").write_text("The quick brown fox jumps over the lazy dog, and value for value at that.\n" * 30)
    monkeypatch.setitem(presets.PRESETS, "tiny", presets.PRESETS["tiny"].with_overrides(FIELDS | changes))


@pytest.mark.row("C1")
def test_the_demo_trains_writes_and_says_that_it_learned(lstm, tmp_path, monkeypatch):
    small_demo(monkeypatch)
    outcome = lstm("demo", "--epochs=5", "--run=kept")
    assert outcome.code == 0
    *log, last = outcome.out.splitlines()
    found = re.fullmatch(
        r"learned: validation (\d\.\d{3}) bits per character; counting characters alone gives (\d\.\d{3})", last
    )
    assert float(found[1]) < float(found[2])
    lines = [line for line in log if LINE.fullmatch(line)]
    assert len(lines) == len(metrics(tmp_path / "kept")) > 9
    assert "\n".join(log[len(lines) :]).startswith("The ")
    assert len(lstm("sample", "kept", "--size=9").out) == len("The") + 1 + 9 + len("\n")


def test_a_demo_that_learns_nothing_ends_with_6_and_its_verdict(lstm, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr("tempfile.tempdir", None)
    small_demo(monkeypatch, lr=1e-9)
    outcome = lstm("demo", "--epochs=1")
    assert outcome.code == 6
    assert "learned:" not in outcome.out
    assert re.match(r"error: the model did not learn: validation \d\.\d{3} bits", outcome.err.splitlines()[-1])
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_demo_that_is_not_kept_sends_nobody_to_its_folder(lstm, monkeypatch):
    small_demo(monkeypatch)
    assert "lstm sample" not in lstm("demo", "--epochs=5").err


@settings(max_examples=5)  # a training and a sample each
@given(text=st.text(st.characters(min_codepoint=1, exclude_categories=["Cs"]), min_size=150, max_size=300))
def test_any_text_long_enough_can_be_trained_on_and_sampled_from(tmp_path_factory, text):
    place = tmp_path_factory.mktemp("any")
    (place / "text.txt").write_bytes(text.encode())
    fields = {"corpus": place / "text.txt", "batch_size": 1, "seq_length": 5}
    assert run([*train(**fields), "--run", str(place / "run"), "--quiet"]) == 0
    assert run(["sample", str(place / "run"), "--prime=", "--size=9"]) == 0
