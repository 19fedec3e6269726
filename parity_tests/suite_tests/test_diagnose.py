"""The diagnosis names the fault: of the whole bank, of layouts, and none where there is none."""

import numpy as np
import pytest

from parity_tests.suite.adapter import Capabilities, as_adapter
from parity_tests.suite.diagnose import Diagnostician
from parity_tests.suite.mutants.bank import BANK
from parity_tests.suite.subject import Subject
from parity_tests.suite_tests.test_verify import forward

SHARE = 0.95
DOCTOR = Diagnostician(BANK)


def test_a_right_lstm_has_no_diagnosis():
    assert DOCTOR.diagnose(Subject()) == []
    assert DOCTOR.diagnose(as_adapter(forward)) == []


def test_the_first_guess_is_right_for_95_percent_of_the_bank():
    missed = {}
    for mutant in BANK:
        found = DOCTOR.diagnose(mutant.make(), most=1)
        # two mutants that answer everything alike are one fault with two stories: either name is right
        if not found or (found[0].name != mutant.name and not found[0].complete):
            missed[mutant.name] = found[0].name if found else None
    assert len(missed) <= (1 - SHARE) * len(BANK), missed


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda p: {n: np.concatenate([np.split(a, 4)[k] for k in (0, 3, 1, 2)]) for n, a in p.items()},
            "the gates are read",
        ),
        (lambda p: p | {"bias_hh_l0": 0 * p["bias_hh_l0"]}, "bias_hh is dropped"),
        (lambda p: p | {n: 2 * p[n] for n in ("bias_ih_l0", "bias_hh_l0")}, "both biases count twice"),
    ],
)
def test_a_misread_layout_is_named(change, text):
    def misread(params, x, h0, c0):
        return forward(change(params), x, h0, c0)

    adapter = as_adapter(misread)
    adapter.capabilities = Capabilities()
    found = DOCTOR.diagnose(adapter, most=3)
    assert any(text in str(candidate) and candidate.complete for candidate in found), [str(c) for c in found]
