"""Every command in the README runs. `lstm` commands run as printed, in an empty folder, on a text and with sizes that
the environment makes small; `make` and `pip` lines are checked against the Makefile and pyproject.toml."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lstm_ref.cli.main import app
from lstm_ref.core.corpora import load_corpus

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="installed without the checkout")
MODULES = {"lstm": "lstm_ref", "torchrun": "torch.distributed.run"}
# char-anna as printed, but on a short text and with a small model: a flag in the README is stronger than these.
SMALL = {
    "LSTM_CORPUS": "text.txt",
    "LSTM_HIDDEN_SIZES": "8,8",
    "LSTM_BATCH_SIZE": "4",
    "LSTM_SEQ_LENGTH": "16",
    "LSTM_EPOCHS": "2",
}
# word-fast alike: WikiText-2 is a folder of three short texts here.
SMALL_WORDS = {"LSTM_CORPUS": "words", "LSTM_EMBEDDING_SIZE": "8"}


def commands() -> list[str]:
    """Every line after `$ ` in a console block, without its comment."""
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]
    return [shlex.join(shlex.split(line, comments=True)) for line in lines]


def test_the_readme_shows_commands_of_every_verb():
    verbs = {command.split()[1] for command in commands() if command.startswith("lstm ")}
    assert {"data", "train", "tune", "sample", "score", "verify", "bench", "doctor"} <= verbs
    assert any(command == "make demo" for command in commands())


def test_every_lstm_command_of_the_readme_runs_in_its_order(tmp_path):
    text = load_corpus("pydoc").text[:3000] + "And Levin said"
    (tmp_path / "words").mkdir()
    for name in ("text.txt", "words/train.txt", "words/valid.txt", "words/test.txt"):
        (tmp_path / name).write_text(text, encoding="utf-8")
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    (tmp_path / "mine.py").write_text(
        re.search(r"```python\n# mine.py\n(.*?)```", shown, flags=re.DOTALL)[1], encoding="utf-8"
    )
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LSTM_")}
    environment = clean | SMALL | {"LSTM_HOME": str(tmp_path / "home"), "LSTM_OFFLINE": "1"}
    for command in commands():
        program, *arguments = shlex.split(command.replace("wikitext-2", "words --vocabulary word"))
        if program not in MODULES:
            continue
        if arguments[0] == "bench" and "--quick" not in arguments:  # half an hour
            app.parse_args(arguments, print_error=False, exit_on_error=False)
            continue
        result = subprocess.run(
            [sys.executable, "-m", MODULES[program], *arguments],
            cwd=tmp_path,
            env=environment | (SMALL_WORDS if "word-fast" in arguments else {}),
            capture_output=True,
            text=True,
            check=False,
        )
        if arguments[0] == "verify":  # of the wrong LSTM that the README shows
            assert result.returncode == 5, result.stderr
            assert "the gates are read i,o,f,g" in result.stdout
            assert (tmp_path / "report.html").exists()
            continue
        if arguments[:2] == ["data", "get"]:  # the one command that needs a network
            assert result.returncode == 3, command
            assert "LSTM_OFFLINE" in result.stderr
        else:
            assert result.returncode == 0, f"{command}\n{result.stdout}{result.stderr}"
            assert result.stdout or "train" in arguments, command


@pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")
@pytest.mark.parametrize("target", ["demo", "test", "lint"])
def test_every_make_target_of_the_readme_exists(target):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"make {target}" in readme
    result = subprocess.run(["make", "--dry-run", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert {"demo": "lstm demo", "test": "-m pytest", "lint": "lint-imports"}[target] in result.stdout


def test_the_pip_lines_name_files_and_extras_that_exist():
    lines = [shlex.split(command) for command in commands() if "pip install" in command]
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    assert len(lines) == 2
    for line in lines:
        assert (ROOT / line[line.index("--constraint") + 1]).is_file()
        named = re.fullmatch(r"\.(?:\[(\w+)\])?", line[line.index("--editable") + 1])
        assert named is not None
        assert named[1] is None or named[1] in extras


def test_the_readme_has_no_line_that_breaks_a_terminal_of_120_columns_and_no_placeholder():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert max(len(line) for line in text.splitlines() if not line.startswith("|")) <= 120
    assert "@@" not in text
