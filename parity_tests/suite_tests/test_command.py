"""`lstm verify` as a stranger meets it: a file with a wrong LSTM in an empty folder, a report that names the line."""

import json
import subprocess
import sys

import pytest

WRONG = """
import numpy as np


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm(params, x, h0, c0):
    W, R = params["weight_ih_l0"], params["weight_hh_l0"]
    bias = params["bias_ih_l0"] + params["bias_hh_l0"]
    H = R.shape[1]
    h, c, outputs = h0[0], c0[0], []
    print("a line that must not get between the answers")
    for x_t in x:
        a = x_t @ W.T + h @ R.T + bias
        i, o, f, g = (a[:, k * H : (k + 1) * H] for k in range(4))
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        outputs.append(h)
    return np.stack(outputs), h[None], c[None]
"""
RIGHT = WRONG.replace("i, o, f, g = (", "i, f, g, o = (")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mine.py").write_text(WRONG)
    (tmp_path / "right.py").write_text(RIGHT)
    return tmp_path


def test_a_strangers_wrong_gate_order_is_named(run_lstm, folder):
    done = run_lstm("verify", "mine.py:lstm", "--checks", "L0", "--report", "report.html", "report.json")
    assert done.returncode == 5
    assert "the gates are read i,o,f,g" in done.stdout
    assert done.stderr.strip().splitlines()[-1].startswith("error: mine.py:lstm is not conformant: cell")
    report = json.loads((folder / "report.json").read_text())
    assert any("i,o,f,g" in line for line in report["diagnosis"])
    assert "i,o,f,g" in (folder / "report.html").read_text()


def test_a_right_one_gets_its_level_and_exit_code_0(run_lstm, folder):
    done = run_lstm("verify", "right.py:lstm", "--checks", "L0", "L1", "--examples", "6")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "L1" in done.stdout.splitlines()[0]


def test_cases_written_answered_and_judged_as_files(run_lstm, folder):
    claims = ["--claim", "operations=forward", "--checks", "cell", "sequence", "--examples", "5"]
    assert run_lstm("verify", "--write-cases", "cases", *claims).returncode == 0
    for question in sorted((folder / "cases").glob("*.question")):
        serve = [sys.executable, "-m", "parity_tests.suite.serve", "right.py:lstm"]

        with question.open("rb") as given, question.with_suffix(".answer").open("wb") as answer:
            subprocess.run(serve, cwd=folder, stdin=given, stdout=answer, check=True)
    done = run_lstm("verify", "--answers", "cases", *claims)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "0 ways in: expected one of TARGET"),
        (("mine.py:lstm", "--pipe", "cat"), "2 ways in"),
        (("mine.py",), "expected MODULE:OBJECT or FILE.py:OBJECT"),
        (("gone.py:lstm",), "error: no file gone.py"),
        (("mine.py:lsmt",), "mine.py has no 'lsmt'"),
        (("mine.py:lstm", "--checks", "L9"), "no check or level of that name"),
        (("mine.py:lstm", "--claim", "layers"), "expected NAME=VALUE"),
        (("--answers", "nowhere"), "cannot read nowhere"),
    ],
)
def test_what_cannot_be_gets_one_line_and_exit_code_2(run_lstm, folder, arguments, said):
    done = run_lstm("verify", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr.strip().splitlines()[-1]
    assert "Traceback" not in done.stderr


PROJECT_TEST = """
from parity_tests.suite.pytest_checks import parametrize_with_checks
from mine import lstm as wrong
from right import lstm as right

FAULT = {"cell": "gate order", "sequence": "gate order"}

@parametrize_with_checks([right], examples=4)
def test_right(adapter, check):
    check(adapter)

@parametrize_with_checks([wrong], expected_failures=FAULT, examples=4)
def test_wrong(adapter, check):
    if check.check.name in FAULT or check.check.operation != "forward":
        check(adapter)
"""


def test_the_checks_run_as_a_projects_own_tests(folder):
    (folder / "test_mine.py").write_text(PROJECT_TEST)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert " 2 xfailed" in done.stdout
    assert "skipped" in done.stdout


@pytest.mark.parametrize(("target", "exit_code"), [("right.py:lstm", 0), ("mine.py:lstm", 1)])
def test_pytest_pyargs_runs_the_conformance_tests_on_an_implementation(folder, target, exit_code):
    done = subprocess.run(
        [
            *f"{sys.executable} -m pytest -q --pyargs parity_tests -p no:cacheprovider".split(),
            *f"--lstm-impl {target} --lstm-examples 3".split(),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == exit_code, done.stdout[-2000:]
    assert ("L0-cell" in done.stdout) == bool(exit_code)
