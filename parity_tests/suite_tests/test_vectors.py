"""The golden vectors: what lies in the files is what build.py computes, and it is right in multi-precision.

That others agree with them is shown in test_vectors_elsewhere.py.
"""

import hashlib
import itertools
import json
import math
import re
import subprocess
import sys

import numpy as np
import pytest

from parity_tests import vectors
from parity_tests.suite.mutants.bank import BANK
from parity_tests.suite.question import Question
from parity_tests.vectors import HERE, GoldenCase, kills

CASES = vectors.load()
NAMES = [case.name for case in CASES]
FORWARD = [case for case in CASES if case.question.op == "forward"]


def test_the_manifest_lists_every_file_with_its_digest_and_size():
    listed = vectors.manifest()["files"]
    there = {p.relative_to(HERE).as_posix() for p in HERE.rglob("*") if p.is_file() and "__pycache__" not in p.parts}
    assert there - {"manifest.json", ".gitattributes"} - {p for p in there if p.endswith((".py", ".md"))} == set(listed)
    for path, entry in listed.items():
        data = (HERE / path).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (entry["sha256"], entry["bytes"]), path
    assert sum(entry["bytes"] for entry in listed.values()) < 1_000_000


def test_the_manifest_has_every_case_of_the_files_and_no_other():
    entries = vectors.manifest()["cases"]
    assert list(entries) == NAMES
    assert len(set(NAMES)) == len(NAMES)
    for case in CASES:
        entry = entries[case.name]
        assert (entry["op"], entry["purpose"]) == (case.question.op, case.purpose.splitlines()[0])
        assert (HERE / "onnx" / case.name).is_dir() == entry["onnx"]


def test_json_and_npz_agree_bit_by_bit_and_the_digits_round_to_the_answer():
    stored = json.loads((HERE / "cases.json").read_text(encoding="utf-8"))["cases"]
    for case, entry in zip(CASES, stored, strict=True):
        for arrays, texts in ((case.question.arrays, entry["arrays"]), (case.answer, entry["answer"])):
            assert list(arrays) == list(texts)
            for name, array in arrays.items():
                text = texts[name]
                values = np.array([float(v) if isinstance(v, str) else v for v in text["values"]], text["dtype"])
                assert values.reshape(text["shape"]).tobytes() == array.tobytes(), (case.name, name)
                assert (text["dtype"], tuple(text["shape"])) == (array.dtype.name, array.shape), (case.name, name)
        real = {name for name, array in case.answer.items() if array.dtype.kind == "f"}
        assert set(case.digits) == real
        for name in real:
            read = np.array([float(digits) for digits in case.digits[name]]).reshape(case.answer[name].shape)
            assert read.tobytes() == case.answer[name].tobytes(), (case.name, name)


def test_reading_the_vectors_needs_numpy_and_json_alone():
    code = "import sys, parity_tests.vectors as v; assert len(v.load()) > 40; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "onnx", "onnxruntime", "mpmath", "numba", "lstm_ref"} & set(loaded)


def test_building_again_gives_the_same_bytes(tmp_path):
    build = _build()
    build.write(tmp_path, [build.solve(case) for case in build.cases()])
    listed = vectors.manifest()["files"]
    built = {p.relative_to(tmp_path).as_posix(): p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    assert {path: hashlib.sha256(data).hexdigest() for path, data in built.items() if path != "manifest.json"} == {
        path: entry["sha256"] for path, entry in listed.items()
    }
    assert built["manifest.json"] == (HERE / "manifest.json").read_bytes()


def test_every_case_kills_the_wrong_lstms_that_the_manifest_names_and_none_is_for_nothing():
    recorded = kills.known_kills()
    assert kills.measure(CASES) == recorded
    assert all(recorded.values()), [name for name, killed in recorded.items() if not killed]
    assert len(set().union(*recorded.values())) > 0.9 * len(BANK)


def test_recorded_kills_are_kept_and_change_nothing_else(tmp_path):
    (tmp_path / "manifest.json").write_bytes((HERE / "manifest.json").read_bytes())
    kills.record_kills({"by_hand": ["swapped_gates", "bias_twice"]}, tmp_path)
    after, before = vectors.manifest(tmp_path), vectors.manifest()
    assert kills.known_kills(tmp_path)["by_hand"] == ["bias_twice", "swapped_gates"]
    after["cases"]["by_hand"]["kills"] = before["cases"]["by_hand"]["kills"]
    assert after == before
    with pytest.raises(KeyError):
        kills.record_kills({"no_such_case": []}, tmp_path)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.question.op in ("backward", "loss", "model")], ids=lambda c: c.name
)
def test_gradients_are_the_slopes_of_their_function_to_45_digits(case: GoldenCase):
    pytest.importorskip("mpmath", reason="multi-precision needs mpmath")
    from parity_tests.vectors import truth

    exact = truth.exact_answer(case.question)
    gradients = [name for name in exact if name.startswith("d")]
    assert gradients
    assert truth.worst_gradient(case.question, exact) <= truth.mp.mpf(truth.CHECKED_TO)
    exact[gradients[0]] = exact[gradients[0]] + truth.mp.mpf("1e-30")
    assert not truth.worst_gradient(case.question, {gradients[0]: exact[gradients[0]]}) <= truth.mp.mpf(
        truth.CHECKED_TO
    )


def test_the_calculation_by_hand_is_right_line_by_line():
    case = CASES[NAMES.index("by_hand")]
    known = {"sigmoid": lambda a: 1 / (1 + math.exp(-a)), "tanh": math.tanh}
    lines = [line.split(" = ") for line in case.purpose.splitlines() if re.match(r"[a-z]\d = ", line)]
    assert len(lines) == 16
    for name, *steps in lines:
        values = [eval(step, {"__builtins__": {}}, known) for step in steps]
        assert max(values) - min(values) <= 2e-6, (
            name
        )  # six decimals are printed, and a line takes up to four such numbers
        known[name] = values[-1]
    answer = [*case.answer["y"].reshape(-1), case.answer["h_n"].item(), case.answer["c_n"].item()]
    np.testing.assert_allclose([known[n] for n in ("h1", "h2", "h2", "c2")], answer, rtol=0, atol=5.1e-7)
    arrays = case.question.arrays
    assert [known["x1"], known["x2"]] == arrays["x"].reshape(-1).tolist()
    assert [known["h0"], known["c0"]] == [arrays["h0"].item(), arrays["c0"].item()]


@pytest.mark.parametrize("case", FORWARD, ids=lambda c: c.name)
def test_every_other_order_of_the_gates_changes_every_forward_case(case: GoldenCase):
    """All 23 of them, the exchanges of two among them, by a tenth of the largest number: more than bfloat16 rounds."""
    pytest.importorskip("mpmath", reason="multi-precision needs mpmath")
    from parity_tests.vectors import multiprecision, truth

    for order in itertools.permutations(range(4)):
        arrays = dict(case.question.arrays)
        for name, array in arrays.items():
            if name.startswith(("weight_ih", "weight_hh", "bias_")):
                arrays[name] = np.concatenate([np.split(array, 4)[k] for k in order])
        swapped = truth.exact_answer(Question("forward", arrays))
        change = max(
            np.abs(multiprecision.nearest(swapped[n]) - right).max() / np.abs(right).max()
            for n, right in case.answer.items()
        )
        if order == (0, 1, 2, 3):
            assert change == 0
        else:
            assert change > 0.1, order


@pytest.mark.parametrize("case", [c for c in CASES if c.question.op in ("forward", "backward")], ids=lambda c: c.name)
def test_no_two_numbers_of_a_case_are_equal_but_zeros(case: GoldenCase):
    """So that nothing can stand in another's place. by_hand has few of its own; 0 is where nothing is wanted."""
    reals = np.concatenate([a.reshape(-1) for a in case.question.arrays.values() if a.dtype.kind == "f"])
    if case.name == "by_hand":
        reals = np.concatenate([a.reshape(-1) for n, a in case.question.arrays.items() if n.startswith("bias_")])
    reals = reals[reals != 0]
    assert len(np.unique(reals)) == len(reals)


def test_the_grid_gives_each_number_once_and_then_says_so():
    from parity_tests.vectors.grid import Grid

    grid = Grid(5)
    values = grid(254, 2)
    assert sorted((256 * values).reshape(-1).tolist()) == [k for k in range(-254, 255) if k]
    with pytest.raises(ValueError, match="has 508 numbers, and 3 more"):
        grid(3)


def test_what_is_called_exact_in_a_format_is():
    for name, entry in vectors.manifest()["cases"].items():
        question = CASES[NAMES.index(name)].question
        assert ("float32" in entry["exact_in"]) == all(
            np.array_equal(a, a.astype(np.float32).astype(np.float64))
            for a in question.arrays.values()
            if a.dtype.kind == "f"
        )
    layers = [vectors.manifest()["cases"][case.name] for case in CASES if case.question.op in ("forward", "backward")]
    assert sum("bfloat16" in entry["exact_in"] for entry in layers) >= len(layers) - 2  # but for the subnormal ones


def _build():
    pytest.importorskip("mpmath", reason="building needs mpmath")
    pytest.importorskip("onnx", reason="building needs onnx")
    from parity_tests.vectors import build

    return build
