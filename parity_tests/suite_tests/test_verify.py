"""What `verify` says of right ones, wrong ones, and ones that do not play by the rules."""

import subprocess
import sys

import numpy as np
import pytest

from parity_tests.suite.adapter import Capabilities, as_adapter
from parity_tests.suite.checks import CHECKS
from parity_tests.suite.mutants.bank import BY_NAME as MUTANTS
from parity_tests.suite.record import Recorder
from parity_tests.suite.report import Verdict
from parity_tests.suite.subject import Subject
from parity_tests.suite.verify import run_check, verify
from parity_tests.suite_tests.formats import InFormat

STAND_IN = """
from parity_tests.suite.mutants.bank import BY_NAME
from parity_tests.suite.question import Question

def lstm(params, **given):
    return BY_NAME[{name!r}].make().answer(Question({operation!r}, {{**params, **given}}))
"""

BY_NAME = {check.name: check for check in CHECKS}


def forward(params, x, h0, c0):
    """A right one, as short as it gets."""
    h, c, y = h0[0], c0[0], []
    for x_t in x:
        a = x_t @ params["weight_ih_l0"].T + h @ params["weight_hh_l0"].T
        i, f, g, o = np.split(a + params["bias_ih_l0"] + params["bias_hh_l0"], 4, axis=1)
        i, f, o = (0.5 * np.tanh(0.5 * a) + 0.5 for a in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
        y.append(h)
    return np.stack(y), h[None], c[None]


def test_a_function_of_ten_lines_reaches_level_1_and_is_told_what_was_not_tested():
    report = verify(as_adapter(forward), examples=8)
    assert report.ok
    assert report.level == "L1"
    assert any("backward is not claimed" in line for line in report.not_tested)
    ran = [result for result in report.results if result.verdict is not Verdict.SKIPPED]
    assert {result.level for result in ran} == {"L0", "L1"}
    assert all(result.reason for result in report.results if result.verdict is Verdict.SKIPPED)


def misbehave(how):
    def answer(params, x, h0, c0):
        y, h_n, c_n = forward(params, x, h0, c0)
        return how(y, h_n, c_n, x, h0)

    return as_adapter(answer)


def raises(*_):
    raise ZeroDivisionError("no batch today")


def changes_its_input(y, h_n, c_n, x, h0):
    x += 1
    return y, h_n, c_n


@pytest.mark.parametrize(
    ("how", "said"),
    [
        (raises, "forward raised ZeroDivisionError: no batch today"),
        (lambda y, h, c, x, h0: (y * np.nan, h, c), "y: got nan"),
        (lambda y, h, c, x, h0: (y[:, :, None], h, c), "y has shape"),
        (lambda y, h, c, x, h0: (y.astype(np.float32), h, c), "y has dtype float32, expected float64"),
        (lambda y, h, c, x, h0: (y, h), "forward raised TypeError: returned 2 values, expected y, h_n, c_n"),
        (lambda y, h, c, x, h0: (y, h, "c"), "c_n has shape ()"),
        (lambda y, h, c, x, h0: (y, h0, c), "h_n shares memory with the input h0"),
        (changes_its_input, "forward changed its input x"),
    ],
)
def test_what_is_no_answer_is_a_verdict_in_the_report(how, said):
    result = run_check(BY_NAME["sequence"], misbehave(how))
    assert result.verdict is Verdict.FAIL
    assert result.reason.startswith(said)


def test_answers_that_differ_from_time_to_time_are_a_failure():
    asked = []

    def unsteady(y, h, c, x, h0):
        asked.append(1)
        return y + 1e-15 * len(asked), h, c

    assert run_check(BY_NAME["same-question-same-bits"], misbehave(unsteady)).verdict is Verdict.FAIL


@pytest.mark.parametrize("name", ["gate-order-iofg", "cell-gradient-overwritten", "tanh-of-c-left-out"])
def test_a_planted_fault_shrinks_to_two_numbers_and_a_script_that_shows_it(name, tmp_path):
    mutant = MUTANTS[name]
    operation = "forward" if "forward" in mutant.operations else "backward"
    check = BY_NAME["sequence" if operation == "forward" else "gradients"]
    result = run_check(check, mutant.make())
    assert result.verdict is Verdict.FAIL
    lines = result.script.splitlines()
    assert len(lines) <= 15
    assert sum("] = " in line for line in lines) <= 2, result.script
    (tmp_path / "mine.py").write_text(STAND_IN.format(name=name, operation=operation))
    (tmp_path / "again.py").write_text(result.script)
    shown = subprocess.run([sys.executable, "again.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("{")


def test_a_wrong_lstm_in_bf16_is_wrong_and_not_rounded():
    class WrongInBf16(InFormat):
        def answer(self, question):
            swapped = {
                name: np.concatenate([*np.split(array, 4)][:1] + [np.split(array, 4)[k] for k in (3, 2, 1)])
                for name, array in question.weights().items()
            }
            return super().answer(question.with_arrays(**swapped))

    result = run_check(BY_NAME["sequence"], WrongInBf16("bf16"))
    assert result.verdict is Verdict.FAIL


def test_an_expected_failure_is_strict():
    wrong = MUTANTS["gate-order-iofg"].make()
    chosen = [BY_NAME["cell"], BY_NAME["loss"]]
    report = verify(wrong, checks=chosen, expected_failures={"cell": "known", "loss": "thought so"})
    verdicts = {result.name: result.verdict for result in report.results}
    assert verdicts == {"cell": Verdict.XFAIL, "loss": Verdict.FAIL}
    assert "take it off the list" in report.results[1].reason


def test_one_bias_is_enough_where_one_is_claimed():
    class OneBias(Subject):
        name = "one bias"
        capabilities = Capabilities(operations=("forward", "backward"), biases=1)

        def answer(self, question):
            answer = super().answer(question)
            return {name: array for name, array in answer.items() if not name.startswith("dbias_hh")}

    report = verify(OneBias(), checks=[BY_NAME["cell"], BY_NAME["gradients"], BY_NAME["sum-of-biases"]], examples=6)
    verdicts = {result.name: result.verdict for result in report.results}
    assert verdicts == {"cell": Verdict.PASS, "gradients": Verdict.PASS, "sum-of-biases": Verdict.SKIPPED}


def test_a_seed_asks_other_questions_and_the_same_each_time():
    def asked(seed: int | None) -> list[str]:
        recorder = Recorder(Capabilities(operations=("forward",)))
        run_check(BY_NAME["cell"], recorder, seed=seed)
        return [question.digest for question in recorder.questions]

    assert asked(1) == asked(1)
    assert len({tuple(asked(seed)) for seed in (None, 0, 1)}) == 3


QUESTIONS = """
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.record import Recorder
from parity_tests.suite.verify import run_check, select
recorder = Recorder(Capabilities(operations=("forward", "backward", "clip")))
for check in select(["cell", "gradients", "clip"]):
    run_check(check, recorder)
print(*[question.digest for question in recorder.questions])
"""


def test_the_questions_are_the_same_in_every_process_whatever_else_is_loaded():
    def asked(code: str) -> str:
        return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert asked(QUESTIONS) == asked("import parity_tests.suite.history, lstm_ref.model" + QUESTIONS)
