"""`lstm tune` on a small text: what it prints, what it leaves in its folder, and how it goes on."""

import json
import re
import shlex
import shutil
import signal
import sys
from pathlib import Path

import pytest

from lstm_ref.core.runlog import RunFolder
from lstm_ref.core.search_folder import SearchFolder
from lstm_ref.model import NumpyLM
from parity_tests.cli.conftest import Lstm, content

TEXT = "The cat sat on the mat. Then it ran to the dog, and both of them went home again?\n" * 20
FIELDS = {"corpus": "text.txt", "hidden_sizes": 8, "batch_size": 4, "seq_length": 12, "epochs": 1, "print_every": 10}
STEPS = 30  # 1,476 training characters are 30 windows of 4x12


@pytest.fixture
def lstm(lstm: Lstm) -> Lstm:
    """With text.txt in its folder."""
    Path("text.txt").write_text(TEXT)
    return lstm


def tune(*options: str, folder: str = "s", **changes: object) -> list[str]:
    """FIELDS are the same for all trials but where they are tried."""
    tried = {option.split("=")[1] for option in options if option.startswith("--try=")}
    fixed = {field: value for field, value in FIELDS.items() if field not in tried} | changes
    return ["tune", "tiny", *(f"--set={field}={value}" for field, value in fixed.items()), f"--run={folder}", *options]


LR, DROPOUT = "--try=lr=0.0001/0.03", "--try=dropout_output=0/0.2"
SEARCHES = {
    "manual": [LR, DROPOUT, "--strategy=manual"],
    "grid": [LR, DROPOUT, "--strategy=grid"],
    "random": ["--try=lr=log:0.001..0.1", "--try=hidden_sizes=8/6,7", "--trials=3"],
    "bayesian": [
        "--try=lr=log:0.001..0.1",
        "--try=batch_size=3..4",
        "--try=hidden_sizes=8/6,7",
        "--trials=3",
        "--strategy=bayesian",
    ],
}
every_strategy = pytest.mark.parametrize("strategy", SEARCHES)


def trials(folder: str = "s") -> list[dict]:
    return [json.loads(line) for line in Path(folder, "trials.jsonl").read_text().splitlines()]


def metrics(path: Path) -> list[dict]:
    return [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]


def config_of(path: Path) -> dict:
    return json.loads((path / "config.json").read_text())


def lowest(path: Path) -> float:
    return min(record["val_loss"] for record in metrics(path))


def written(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


@every_strategy
@pytest.mark.row("W43")
def test_every_trial_is_a_run_with_its_values_and_its_lowest_validation_loss(lstm, strategy):
    assert lstm(*tune(*SEARCHES[strategy])).code == 0
    found = trials()
    assert [trial["number"] for trial in found] == list(range({"manual": 2, "grid": 4}.get(strategy, 3)))
    for trial in found:
        path = Path("s", f"trial-{trial['number']:03d}")
        assert config_of(path).items() >= trial["values"].items()
        assert (trial["loss"], trial["failure"]) == (lowest(path), None)
        assert (path / "checkpoints" / "best.safetensors").exists()


@pytest.mark.row("W43")
def test_lists_are_tried_by_row_or_in_all_combinations(lstm):
    for strategy in ("manual", "grid"):
        assert lstm(*tune(*SEARCHES[strategy], folder=strategy)).code == 0
    manual, grid = ([tuple(trial["values"].values()) for trial in trials(name)] for name in ("manual", "grid"))
    assert manual == [(0.0001, 0), (0.03, 0.2)]
    assert grid == [(0.0001, 0), (0.0001, 0.2), (0.03, 0), (0.03, 0.2)]


@every_strategy
def test_the_table_has_the_trials_best_first_and_then_the_command_of_the_best(lstm, strategy):
    outcome = lstm(*tune(*SEARCHES[strategy]))
    heading, *rows, command = outcome.out.splitlines()
    ranked = sorted(trials(), key=lambda trial: trial["loss"])
    assert heading.split() == ["trial", *ranked[0]["values"], "validation", "loss"]
    assert [row.split() for row in rows] == [
        [str(trial["number"]), *map(written, trial["values"].values()), f"{trial['loss']:.4f}"] for trial in ranked
    ]
    path = Path("s", f"trial-{ranked[0]['number']:03d}")
    assert lstm(*shlex.split(command)[1:], "--run=again", "--quiet").code == 0
    assert config_of(Path("again")) == config_of(path)
    assert lowest(Path("again")) == ranked[0]["loss"]


def test_what_happens_meanwhile_goes_to_stderr_a_line_a_trial(lstm):
    err = lstm(*tune(*SEARCHES["manual"])).err.splitlines()
    assert err[0] == "manual, 2 trials; s"
    assert err[1:3] == [
        f"trial {number}, {number + 1} of 2: lr={lr} dropout_output={dropout}: {trials()[number]['loss']:.4f}"
        for number, (lr, dropout) in enumerate([(0.0001, 0.0), (0.03, 0.2)])
    ]
    best = min(trials(), key=lambda trial: trial["loss"])["number"]
    assert err[3:] == [f"lstm sample s/trial-00{best}"]
    assert lstm("sample", f"s/trial-00{best}", "--size=5").code == 0


def test_json_is_one_object_of_the_same_trials_best_first(lstm):
    outcome = lstm(*tune(*SEARCHES["grid"], "--json"))
    facts = json.loads(outcome.out)
    assert facts["trials"] == sorted(trials(), key=lambda trial: trial["loss"])
    assert (facts["folder"], facts["strategy"], facts["seed"]) == ("s", "grid", 0)
    assert shlex.split(facts["train"])[:3] == ["lstm", "train", "tiny"]


@pytest.mark.parametrize("strategy", ["random", "bayesian"])
def test_the_seed_of_the_runs_is_the_searchs_too(lstm, strategy):
    for folder, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert lstm(*tune(*SEARCHES[strategy], f"--seed={seed}", folder=folder)).code == 0
        assert config_of(Path(folder, "trial-002"))["seed"] == seed
    assert trials("a") == trials("b")
    assert not {trial["values"]["lr"] for trial in trials("a")} & {trial["values"]["lr"] for trial in trials("c")}


@pytest.mark.parametrize(
    ("options", "changes", "reason"),
    [
        (["--try=lr=1e38/0.01"], {}, "that step updated nothing"),
        (["--try=tied=true/false"], {"embedding_size": 6}, "tied=true with embedding_size=6 and hidden_sizes=[8]"),
        (["--try=seq_length=1000/12"], {}, "text too short: 1476 tokens"),
    ],
)
@pytest.mark.row("W43")
def test_a_trial_that_cannot_be_has_failed_and_the_search_goes_on(lstm, options, changes, reason):
    outcome = lstm(*tune(*options, "--strategy=manual", **changes))
    assert outcome.code == 0
    first, second = trials()
    assert first["loss"] is None
    assert reason in first["failure"]
    assert f": failed: {first['failure']}" in outcome.err
    assert second["loss"] == lowest(Path("s", "trial-001"))
    rows = [line.split() for line in outcome.out.splitlines()[1:3]]
    assert [row[0] for row in rows] == ["1", "0"]
    assert rows[1][-1] == "failed"


def test_a_search_of_failures_only_ends_with_6_and_names_no_best(lstm):
    outcome = lstm(*tune("--try=lr=1e38/2e38", "--strategy=manual"))
    assert outcome.code == 6
    assert "lstm train" not in outcome.out
    assert outcome.err.splitlines()[-1] == "error: all 2 trials failed: try other values, such as a lower lr"


def test_trials_with_other_batch_sizes_are_validated_on_the_same_rows(lstm):
    """Those of the preset's batch_size."""
    outcome = lstm(*tune("--try=batch_size=2/6", "--strategy=grid"))
    assert [config_of(Path("s", f"trial-00{n}"))["validation_batch_size"] for n in (0, 1)] == [32, 32]
    assert lstm(*tune("--try=lr=0.01", "--strategy=grid", folder="other")).code == 0
    assert config_of(Path("other", "trial-000"))["validation_batch_size"] == 0
    assert "--set validation_batch_size=32" in outcome.out.splitlines()[-1]


def test_a_run_that_ends_before_its_first_line_is_judged_at_its_end(lstm):
    assert lstm(*tune("--try=lr=0.01", "--strategy=grid", print_every=1000)).code == 0
    (trial,) = trials()
    assert metrics(Path("s", "trial-000")) == []
    score = json.loads(lstm("score", "s/trial-000", "--batch-size=4", "--seq-length=12", "--json").out)
    assert trial["loss"] == score["nats_per_token"]


def count_steps(monkeypatch: pytest.MonkeyPatch, stop_at: int = 0, number: int = 0) -> list[int]:
    """Gets an item for every train step of all trials; in step `stop_at`, from 1, a signal arrives."""
    original, steps = NumpyLM.train_step, []

    def train_step(*arguments: object) -> object:
        steps.append(len(steps) + 1)
        if len(steps) == stop_at:
            signal.raise_signal(number)
        return original(*arguments)

    monkeypatch.setattr(NumpyLM, "train_step", train_step)
    return steps


@pytest.mark.parametrize(("step", "done"), [(1, 0), (STEPS + 17, 1), (3 * STEPS, 2)])
@pytest.mark.parametrize(("strategy", "number"), [("random", signal.SIGINT), ("grid", signal.SIGTERM)])
@pytest.mark.row("W43")
def test_a_search_that_a_signal_stopped_reports_and_goes_on_to_the_same_bits(
    lstm, monkeypatch, strategy, number, step, done
):
    assert lstm(*tune(*SEARCHES[strategy], folder="whole")).code == 0
    with monkeypatch.context() as patch:
        count_steps(patch, step, number)
        outcome = lstm(*tune(*SEARCHES[strategy]))
    assert outcome.code == 128 + number
    assert outcome.err.splitlines()[-1] == (f"error: stopped in trial {done}, saved; go on with lstm tune --resume s")
    before = trials() if done else []
    assert before == trials("whole")[:done]
    assert len([line for line in outcome.out.splitlines() if re.match(r" +\d ", line)]) == done
    steps = count_steps(monkeypatch)
    resumed = lstm("tune", "--resume=s")
    assert (resumed.code, len(steps)) == (0, len(trials("whole")) * STEPS - step)
    assert sum(line.startswith("trial ") for line in resumed.err.splitlines()) == len(trials()) - done
    assert trials() == trials("whole")
    for path in Path("whole").glob("trial-*"):
        with RunFolder(path, resume=True) as one, RunFolder(Path("s", path.name), resume=True) as other:
            assert one.latest().model.keys() == other.latest().model.keys()
            for name, value in one.latest().model.items():
                assert value.tobytes() == other.latest().model[name].tobytes()


def test_a_finished_search_goes_on_to_more_trials_and_trains_no_other_again(lstm):
    assert lstm(*tune(*SEARCHES["bayesian"])).code == 0
    before = trials()
    files = {path: path.stat().st_mtime_ns for path in Path("s").glob("trial-*/checkpoints/*")}
    outcome = lstm("tune", "--resume=s", "--trials=4")
    assert outcome.code == 0
    assert (len(trials()), trials()[:3]) == (4, before)
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_a_trial_whose_line_a_killed_writer_left_unfinished_is_recorded_again(lstm):
    assert lstm(*tune(*SEARCHES["random"])).code == 0
    whole = Path("s", "trials.jsonl").read_text()
    Path("s", "trials.jsonl").write_text(whole[:-20])
    assert lstm("tune", "--resume=s").code == 0
    assert Path("s", "trials.jsonl").read_text() == whole


def refused(lstm: Lstm, code: int, *arguments: str) -> str:
    """Ends with this code, one line, and every file as it was."""
    before = content(Path())
    outcome = lstm(*arguments)
    *notes, line = outcome.err.splitlines()
    assert (outcome.code, outcome.out) == (code, ""), outcome.err
    assert not any(note.startswith("error") for note in notes)
    assert line.startswith("error: ")
    assert "bug of ours" not in line
    assert content(Path()) == before
    return line


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "nothing to search"),
        (["--try=lrr=1/2"], "unknown field 'lrr' (did you mean 'lr'?)"),
        (["--try=lr=0.1.."], "lr='': expected a valid number"),
        (["--try=lr=0.2..0.1"], "turn it round"),
        (["--try=lr=0.1..0.2", "--strategy=grid"], "grid: lr is a range, expected listed values"),
        (["--try=lr=0.1/0.2", "--try=clip=1/2/3", "--strategy=manual"], "lr has 2, clip has 3"),
        (["--try=lr=0.1/0.2", "--strategy=grid", "--trials=3"], "the lists make 2 trials, not 3"),
        (["--try=lr=0.1/0.2", "--strategy=tpe"], "tpe"),
        (["--try=lr=0.1/0.2", "--trials=0"], "--trials"),
        (["--try=lr=4/8", "--set=lr=1"], "lr: both set for all trials and tried"),
        (["--try=epochs=1/2", "--epochs=1"], "epochs: both set for all trials and tried"),
        (["--try=corpus=a.txt/text.txt"], "decides what the loss is measured on"),
        (["--try=lr=0.1/0.2", "--set=lrr=1"], "unknown field 'lrr'"),
        (["--try=lr=0.1/0.2", "--backend=jax"], "unknown backend 'jax'"),
        (["--try=lr=0.1/0.2", "--resume=elsewhere"], "give --resume nothing but --trials and --data-dir"),
    ],
)
def test_what_cannot_be_searched_ends_with_2_and_leaves_no_folder(lstm, options, message):
    assert message in refused(lstm, 2, *tune(*options))


def test_a_search_has_a_preset_that_exists_and_a_text(lstm):
    assert "no preset given" in refused(lstm, 2, "tune", "--try=lr=0.1/0.2")
    assert "unknown preset 'tniy'" in refused(lstm, 2, "tune", "tniy", "--try=lr=0.1/0.2")
    assert "named texts" in refused(lstm, 3, *tune("--try=lr=0.1/0.2", corpus="other.txt"))


def test_a_bayesian_search_without_optuna_ends_with_2(lstm, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert "pip install 'lstm-parity[tune]'" in refused(lstm, 2, *tune(*SEARCHES["bayesian"]))


@pytest.fixture
def searched(lstm: Lstm) -> Path:
    assert lstm(*tune("--try=lr=log:0.01..0.02", "--trials=2")).code == 0
    return Path("s")


def test_a_new_search_does_not_write_over_another_one_nor_over_anything_else(lstm, searched):
    assert "s is not empty: go on with --resume s" in refused(lstm, 2, *tune("--try=lr=0.1/0.2"))
    assert "cannot use folder text.txt: File exists" in refused(lstm, 2, *tune("--try=lr=0.1/0.2", folder="text.txt"))


def test_a_folder_belongs_to_one_search_at_a_time(lstm, searched):
    with SearchFolder(searched):
        assert "s is in use by another process" in refused(lstm, 2, "tune", "--resume=s")


def test_nothing_but_the_folder_of_a_search_can_be_gone_on_with(lstm, searched):
    assert "no search to go on with at s/trial-000" in refused(lstm, 4, "tune", "--resume=s/trial-000")
    assert "s has 2 trials already, more than --trials 1" in refused(lstm, 2, "tune", "--resume=s", "--trials=1")
    Path("text.txt").write_text(TEXT + "And more.")
    assert "the text text.txt is not the one" in refused(lstm, 4, "tune", "--resume=s", "--trials=3")


def test_a_trial_that_was_begun_with_other_values_is_not_gone_on_with(lstm, searched):
    first, _ = (searched / "trials.jsonl").read_text().splitlines(keepends=True)
    (searched / "trials.jsonl").write_text(first)
    plan = (searched / "search.json").read_text()
    (searched / "search.json").write_text(plan.replace("lr=log:0.01..0.02", "lr=log:0.01..0.03"))
    assert "s/trial-001 has other values than this trial: remove that" in refused(lstm, 4, "tune", "--resume=s")


def test_a_search_that_cannot_go_on_before_its_first_trial_stays_as_it_was(lstm, searched):
    shutil.rmtree(searched / "trial-000")
    shutil.rmtree(searched / "trial-001")
    (searched / "trials.jsonl").unlink()
    Path("text.txt").write_text(TEXT + "And more.")
    refused(lstm, 4, "tune", "--resume=s")


def test_a_folder_that_was_there_stays_and_is_empty_where_nothing_was_begun(lstm):
    Path("s").mkdir()
    refused(lstm, 2, *tune("--try=lr=0.1/0.2", "--backend=jax"))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("search.json", lambda text: text[:-9], "cannot read s/search.json"),
        ("search.json", lambda text: text.replace('"trials": 2', '"trials": "x"'), "trials"),
        ("trials.jsonl", lambda text: text.replace('"number": 1', '"number": 7'), "line 2: not trial 1"),
        ("trials.jsonl", lambda text: text.replace('"loss": ', '"loss": NaN, "was": '), "line 1"),
        ("trials.jsonl", lambda text: text.replace('"lr"', '"clip"'), "line 1: not trial 0"),
    ],
)
def test_a_damaged_search_ends_with_4_and_says_where(lstm, searched, file, change, message):
    text = (searched / file).read_text()
    (searched / file).write_text(change(text))
    assert (searched / file).read_text() != text
    assert message in refused(lstm, 4, "tune", "--resume=s")
