"""What starting costs, and what the help says: torch and Numba are imported by those who need them, `lstm --help` comes
at once, and every option of every verb is explained in 80 columns."""

import dataclasses
import importlib
import inspect
import itertools
import resource
import subprocess
import sys
import textwrap
import typing
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclopts import Parameter

from lstm_ref import __version__
from lstm_ref.cli.main import run

VERBS = {
    "demo": "lstm_ref.cli.demo:demo",
    "train": "lstm_ref.cli.train:train",
    "tune": "lstm_ref.cli.tune:tune",
    "sample": "lstm_ref.cli.sample:sample",
    "score": "lstm_ref.cli.score:score",
    "doctor": "lstm_ref.cli.doctor:doctor",
    "data list": "lstm_ref.cli.data:list_texts",
    "data get": "lstm_ref.cli.data:get",
    "data info": "lstm_ref.cli.data:info",
    "data encode": "lstm_ref.cli.data:encode",
    "layout list": "lstm_ref.cli.layout:list_layouts",
    "layout convert": "lstm_ref.cli.layout:convert",
    "layout identify": "lstm_ref.cli.layout:identify_layout",
    "verify": "parity_tests.suite.command:verify",
    "bench": "benchmarks.verb:bench",
    "bench sweep": "benchmarks.verb:sweep",
    "bench plot": "benchmarks.verb:plot",
}
HEAVY = {"torch", "numba", "llvmlite", "matplotlib", "requests", "pooch", "optuna"}


def imported_by(code: str, folder: Path) -> set[str]:
    """The heavy packages that a new process has imported after `code`."""
    report = f"import sys; print('imported', *({HEAVY!r} & sys.modules.keys()))"
    done = subprocess.run(
        [sys.executable, "-c", f"{textwrap.dedent(code)}\n{report}"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *names = done.stdout.splitlines()[-1].split()
    assert first == "imported"
    return set(names)


@pytest.mark.row("C3")
@pytest.mark.parametrize(
    "code",
    [
        "import lstm_ref",
        "import lstm_ref.cli.main",
        "from lstm_ref.cli.main import run; assert run(['--help']) == 0",
        "from lstm_ref.cli.main import run; assert run(['--version']) == 0",
    ],
)
def test_importing_the_package_and_asking_for_help_imports_neither_torch_nor_numba(tmp_path, code):
    assert imported_by(code, tmp_path) == set()


@pytest.mark.row("C3")
def test_the_help_of_a_verb_and_what_it_computes_with_numpy_leave_torch_and_the_network_out(tmp_path):
    """Training, searching, sampling and scoring too: one process asks for all of it."""
    code = """
    from pathlib import Path
    from lstm_ref.cli import main
    from lstm_ref.core import presets

    for verb in ("demo", "train", "tune", "sample", "score", "doctor", "data", "layout", "verify", "bench"):
        assert main.run([verb, "--help"]) == 0
    Path("text.txt").write_text("The quick brown fox jumps over the lazy dog, and value for value. " * 40)
    presets.PRESETS["tiny"] = presets.PRESETS["tiny"].with_overrides(
        {"corpus": "text.txt", "hidden_sizes": 8, "batch_size": 4, "seq_length": 12, "lr": 0.02}
    )
    assert main.run(["demo", "--run", "run"]) == 0
    assert main.run(["sample", "run", "--size", "5"]) == 0
    assert main.run(["score", "run"]) == 0
    assert main.run(["data", "list"]) == 0
    assert main.run(["tune", "tiny", "--try", "lr=0.01..0.02", "--trials", "1", "--epochs", "1"]) == 0
    """
    assert imported_by(code, tmp_path) == {"numba", "llvmlite"}


@pytest.mark.row("C3")
def test_help_comes_within_half_a_second(tmp_path):
    """Of processor time, the best of five: what the clock on the wall says depends on who else is at work."""

    def seconds() -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "lstm_ref", "--help"], cwd=tmp_path, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

    assert min(seconds() for _ in range(5)) < 0.5


def test_the_version_is_the_packages(capsys):
    assert run(["--version"]) == 0
    assert capsys.readouterr() == (f"{__version__}\n", "")


@pytest.fixture
def help_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], str]:
    """help_of("data list") is what `lstm data list --help` prints on a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def call(verb: str) -> str:
        assert run([*verb.split(), "--help"]) == 0
        out, err = capsys.readouterr()
        assert err == ""
        return out

    return call


def words(text: str) -> str:
    """In one line, without boxes, bullets and quotes."""
    return " ".join(text.translate(str.maketrans("│╭╮╰╯─•", "       ", "`")).replace("\n- ", "\n").split())


def with_options_of(source: object) -> Iterator[object]:
    """A verb's function and the classes of its arguments whose fields are options of the verb."""
    yield source
    for hint in typing.get_type_hints(source).values():
        if dataclasses.is_dataclass(hint):
            yield from with_options_of(hint)


def sources_of(verb: str) -> list[object]:
    module, _, name = VERBS[verb].partition(":")
    return list(with_options_of(getattr(importlib.import_module(module), name)))


def docstring_of(verb: str) -> tuple[str, dict[str, str]]:
    """Of the verb's function: the description, and each parameter's text."""
    texts: dict[str, str] = {}
    for source in sources_of(verb):
        for line in inspect.getdoc(source).partition("Parameters\n")[2].splitlines()[1:]:
            if line.startswith(" "):
                texts[list(texts)[-1]] += line
            else:
                texts[line] = ""
    return inspect.getdoc(sources_of(verb)[0]).partition("Parameters\n")[0], texts


def names_of(verb: str) -> dict[str, str]:
    """Each parameter of the verb's function, as a user writes it."""
    return {name: written for source in sources_of(verb) for name, written in written_names(source)}


def written_names(source: object) -> Iterator[tuple[str, str]]:
    hints = typing.get_type_hints(source, include_extras=True)
    for parameter in inspect.signature(source).parameters.values():
        given = [extra for extra in getattr(hints[parameter.name], "__metadata__", ()) if isinstance(extra, Parameter)]
        own = [extra.name[0] for extra in given if extra.name]
        dashed = f"--{parameter.name.replace('_', '-')}"
        positional = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.VAR_POSITIONAL)
        if not dataclasses.is_dataclass(typing.get_type_hints(source)[parameter.name]):
            yield parameter.name, own[0] if own else parameter.name.upper() if positional else dashed


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_explains_every_argument_and_option(help_of, verb):
    out, (_, texts), names = words(help_of(verb)), docstring_of(verb), names_of(verb)
    assert texts.keys() == names.keys()
    for parameter, text in texts.items():
        assert text.strip(), parameter
        assert names[parameter] in out
        assert words(text) in out, parameter


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_a_verb_opens_with_all_that_its_docstring_says(help_of, verb):
    description, _ = docstring_of(verb)
    assert words(description) in words(help_of(verb))


@pytest.mark.parametrize("verb", ["", "data", "layout", *VERBS])
def test_help_fits_80_columns_and_breaks_a_line_only_where_the_next_word_does_not_fit(help_of, verb):
    lines = help_of(verb).splitlines()
    assert max(map(len, lines)) <= 80
    for line, following in itertools.pairwise(lines):
        in_a_box = following.startswith("│" + " " * 8)
        begins = not following.strip() or following[0] in "│╭╰" or following.startswith(" •")
        if in_a_box or (line.strip() and line[0] not in "│╭╰" and not begins):
            room = (78 if in_a_box else 80) - len(line.rstrip(" │"))
            assert room < 1 + len(following.strip(" │").split()[0]), line


def test_the_list_of_verbs_says_what_each_does_and_what_the_exit_codes_mean(help_of):
    out = words(help_of(""))
    for verb in {verb.split()[0] for verb in VERBS}:
        assert f" {verb} " in out
    for piece in (
        "0 ok",
        "2 usage or config",
        "3 data",
        "4 checkpoint",
        "6 diverged",
        "7 another process",
        "130 and 143",
        "--debug",
    ):
        assert piece in out


def test_the_command_is_installed_under_its_name(tmp_path):
    command = Path(sys.executable).with_name("lstm")
    done = subprocess.run([command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == f"{__version__}\n"


def test_no_arguments_at_all_is_asking_for_help(help_of, capsys):
    expected = help_of("")
    assert run([]) == 0
    assert capsys.readouterr().out == expected
