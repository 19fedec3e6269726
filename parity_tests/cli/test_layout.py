"""`lstm layout`: what it prints and writes for weights of other systems, and one line for whatever it cannot read."""

import io
import json
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from lstm_ref.core.layouts import SYSTEMS
from parity_tests.cli.conftest import Lstm
from parity_tests.conftest import RunLstm
from parity_tests.core.system_equations import Weights
from parity_tests.core.test_layouts import Size, bits, inputs_of, pytorch, weights_of

SIZE = Size(T=4, B=2, I=3, H=5)
WEIGHTS = weights_of(SIZE.I, SIZE.H, seed=1)
KERAS, ONNX = SYSTEMS["keras"].from_ours(WEIGHTS), SYSTEMS["onnx"].from_ours(WEIGHTS)


@pytest.fixture
def lstm(lstm: Lstm) -> Lstm:
    """`lstm layout`."""
    return lambda *arguments: lstm("layout", *arguments)


def case() -> Weights:
    """x, h0, c0 [B,H], and y as PyTorch computes it."""
    x, h0, c0 = inputs_of(*SIZE, seed=1)
    return {"x": x, "h0": h0[0], "c0": c0[0], "y": pytorch(WEIGHTS, x, h0, c0)[0]}


def load(path: str) -> Weights:
    if path.endswith(".safetensors"):
        return load_file(path)
    with np.load(path) as file:
        return {name: file[name] for name in file.files}


def save(path: str, arrays: Weights) -> None:
    if path.endswith(".safetensors"):
        save_file(arrays, path)
    else:
        np.savez(path, **arrays)


def words(text: str) -> str:
    return " ".join(text.split())


# --- list ---


def test_the_list_has_every_system_with_its_order_of_gates_and_its_arrays(lstm):
    outcome = lstm("list")
    assert (outcome.code, outcome.err) == (0, "")
    assert max(map(len, outcome.out.splitlines())) <= 80
    rows = [line.split()[:4] for line in outcome.out.splitlines()[1:] if line[1] != " "]
    assert [row[:2] for row in rows] == [[name, ",".join(layout.gates)] for name, layout in SYSTEMS.items()]
    assert [" ".join(row[2:4]) for row in rows] == [layout.states for layout in SYSTEMS.values()]
    for piece in ("W [D,4H,I], R [D,4H,H], B [D,8H]", "kernel [I+H,4H], bias [4H]", "W{g} [H+I,H]", "[L,D,H,4,H]"):
        assert piece in words(outcome.out)


def test_one_system_is_shown_with_all_that_is_known_of_it(lstm):
    outcome = lstm("list", "webnn")
    assert (outcome.code, outcome.err) == (0, "")
    for piece in ("peepholeWeight [D,3H] = peephole", "peepholes i,o,f", "sees the old cell", "W3C Web Neural Network"):
        assert piece in words(outcome.out)


def test_the_list_as_json_has_the_same_facts(lstm):
    facts = json.loads(lstm("list", "--json").out)
    assert list(facts) == list(SYSTEMS)
    assert facts["tf1"]["gates"] == "i,g,f,o"
    assert facts["tf1"]["forget_bias"] == 1.0
    assert facts["onnx"]["arrays"][2] == "B [D,8H] = bias_ih + bias_hh"
    assert json.loads(lstm("list", "tf1", "--json").out) == {"tf1": facts["tf1"]}


# --- convert ---


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
@pytest.mark.parametrize("other", [".npz", ".safetensors"])
def test_weights_go_there_and_back_bit_by_bit_through_files(lstm, suffix, other):
    save(f"keras{suffix}", KERAS)
    there = lstm("convert", f"keras{suffix}", f"onnx{other}", "--from", "keras", "--to", "onnx")
    assert (there.code, there.err) == (0, "")
    assert words(there.out) == "W [1, 20, 3] float64 R [1, 20, 5] float64 B [1, 40] float64"
    expected = SYSTEMS["onnx"].from_ours(SYSTEMS["keras"].to_ours(KERAS))
    assert bits(load(f"onnx{other}")) == bits(expected)
    assert lstm("convert", f"onnx{other}", f"back{suffix}", "--from=onnx", "--to=keras").code == 0
    assert bits(load(f"back{suffix}")) == bits(KERAS)


def test_equal_weights_make_equal_files(lstm):
    save("keras.npz", KERAS)
    for name in ("a", "b"):
        for suffix in (".npz", ".safetensors"):
            assert lstm("convert", "keras.npz", f"{name}{suffix}", "--from=keras", "--to=flax").code == 0
    assert Path("a.npz").read_bytes() == Path("b.npz").read_bytes()
    assert Path("a.safetensors").read_bytes() == Path("b.safetensors").read_bytes()
    assert sorted(load("a.npz")) == sorted(SYSTEMS["flax"].from_ours(WEIGHTS))  # names with a slash in them


def test_a_prefix_takes_the_lstm_out_of_a_larger_model(lstm):
    model = {f"rnn.lstm.{name}": value for name, value in WEIGHTS.items()} | {"rnn.decoder.weight": np.ones((3, 4))}
    save("model.safetensors", model)
    outcome = lstm("convert", "model.safetensors", "onnx.npz", "--from=pytorch", "--to=onnx", "--prefix=rnn.lstm.")
    assert (outcome.code, outcome.err) == (0, "")
    assert bits(load("onnx.npz")) == bits(ONNX)


def test_a_conversion_as_json_says_what_was_written(lstm):
    save("keras.npz", KERAS)
    facts = json.loads(lstm("convert", "keras.npz", "tf1.npz", "--from=keras", "--to=tf1", "--json").out)
    assert (facts["from"], facts["to"], facts["source"], facts["target"]) == ("keras", "tf1", "keras.npz", "tf1.npz")
    assert facts["arrays"] == {
        "kernel": {"shape": [8, 20], "dtype": "float64"},
        "bias": {"shape": [20], "dtype": "float64"},
    }


def test_the_forget_bias_of_either_side_can_be_told(lstm):
    save("keras.npz", KERAS)
    H = slice(2 * SIZE.H, 3 * SIZE.H)  # the forget gate is tf1's third
    for number, expected in (((), 1.0), (("--to-forget-bias=0",), 0.0), (("--to-forget-bias=2",), 2.0)):
        assert lstm("convert", "keras.npz", "tf1.npz", "--from=keras", "--to=tf1", "--overwrite", *number).code == 0
        np.testing.assert_array_equal(load("tf1.npz")["bias"][H], KERAS["bias"][SIZE.H : 2 * SIZE.H] - expected)
    assert lstm("convert", "tf1.npz", "ours.npz", "--from=tf1", "--to=pytorch", "--from-forget-bias=2").code == 0
    np.testing.assert_array_equal(load("ours.npz")["bias_hh_l0"][SIZE.H : 2 * SIZE.H], 2.0)


def test_what_is_lost_or_differs_is_said_on_stderr(lstm):
    save("ours.npz", WEIGHTS | case())
    outcome = lstm("convert", "ours.npz", "keras.npz", "--from=pytorch", "--to=keras")
    assert outcome.code == 0
    first, second = outcome.err.splitlines()
    assert first == "left out x, y, h0, c0: not weights"
    assert second.startswith("keras has one bias: it got the sum of the two")
    save("onnx.npz", SYSTEMS["onnx"].from_ours(weights_of(3, 5, seed=1, peepholes=True)))
    outcome = lstm("convert", "onnx.npz", "webnn.npz", "--from=onnx", "--to=webnn")
    assert outcome.code == 0
    assert outcome.err.startswith("the output gate's peephole sees the old cell in webnn and the new one in onnx")
    outcome = lstm("convert", "onnx.npz", "onednn.npz", "--from=onnx", "--to=onednn", "--json")
    assert "peephole" not in outcome.err


def test_a_file_that_exists_is_left_as_it_is_unless_told_otherwise(lstm):
    save("keras.npz", KERAS)
    Path("onnx.npz").write_text("precious")
    outcome = lstm("convert", "keras.npz", "onnx.npz", "--from=keras", "--to=onnx")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == "error: onnx.npz exists: take another name, or --overwrite\n"
    assert Path("onnx.npz").read_text() == "precious"
    assert lstm("convert", "keras.npz", "onnx.npz", "--from=keras", "--to=onnx", "--overwrite").code == 0
    assert set(load("onnx.npz")) == {"W", "R", "B"}


# --- identify ---


@pytest.mark.parametrize("suffix", [".npz", ".safetensors"])
def test_the_layout_of_a_file_is_found(lstm, suffix):
    save(f"some{suffix}", {f"arr_{k}": value for k, value in enumerate(ONNX.values())} | case())
    outcome = lstm("identify", f"some{suffix}")
    assert (outcome.code, outcome.err) == (0, "")
    heading, first, *rest = outcome.out.splitlines()
    assert heading.split() == ["error", "system", "reading"]
    assert first.split()[1:3] == ["fits", "onnx"]
    assert "gates i,o,f,g; weight_ih [4H,I], weight_hh [4H,H]; biases: two, added" in words(" ".join([first, *rest]))
    assert max(map(len, outcome.out.splitlines())) <= 80
    assert sum("no" in line.split()[:2] for line in rest) == 2


def test_a_file_with_the_batch_first_a_prefix_and_another_model_around_it_is_found_out(lstm):
    arrays = {f"cell.{name}": value for name, value in KERAS.items()} | {"head": np.ones((5, 2))}
    given = case()
    save("some.npz", arrays | given | {name: given[name].swapaxes(0, 1) for name in ("x", "y")})
    outcome = lstm("identify", "some.npz", "--prefix=cell.", "--batch-first", "--top=1")
    assert (outcome.code, outcome.err) == (0, "")
    assert "fits keras gates i,f,g,o; arrays as in keras; biases: one" in words(outcome.out)


def test_the_readings_as_json_come_best_first(lstm):
    save("some.npz", ONNX | case())
    found = json.loads(lstm("identify", "some.npz", "--json", "--top=4").out)
    assert len(found) == 4
    assert found[0]["systems"] == ["onnx"]
    assert found[0]["by_name"]
    assert [reading["fits"] for reading in found] == [True, False, False, False]
    assert found[0]["error"] < 1e-12 < found[1]["error"] <= found[2]["error"] <= found[3]["error"]
    assert {"gates", "kernels", "biases", "forget_bias", "states", "peepholes", "old_cell"} <= found[0].keys()


def test_where_nothing_fits_the_nearest_is_shown_and_the_exit_code_is_5(lstm):
    save("wrong.npz", ONNX | case() | {"y": case()["y"] + 0.5})
    for as_json in ((), ("--json",)):
        outcome = lstm("identify", "wrong.npz", *as_json)
        assert outcome.code == 5
        assert outcome.out
        assert len(outcome.err.splitlines()) == 1
        assert outcome.err.startswith("error: wrong.npz: no reading of the weights gives the output; the nearest is ")
    assert lstm("identify", "wrong.npz", "--tolerance=1").code == 0


def test_where_several_fit_that_is_said(lstm):
    x = case()["x"][:1]
    y = pytorch(WEIGHTS, x, np.zeros((1, SIZE.B, SIZE.H)), np.zeros((1, SIZE.B, SIZE.H)))[0]
    save("one_step.npz", ONNX | {"x": x, "y": y})
    outcome = lstm("identify", "one_step.npz")
    assert outcome.code == 0
    assert outcome.out.splitlines()[1].split()[1:3] == ["fits", "onnx"]
    assert outcome.err.startswith("more than one reading fits")


# --- what cannot be read ends with one line and no file ---


def refused(lstm: Lstm, code: int, *arguments: str) -> str:
    before = {path: path.read_bytes() for path in Path().iterdir() if path.is_file()}
    outcome = lstm(*arguments)
    (line,) = [line for line in outcome.err.splitlines() if not line.startswith("left out")]
    assert (outcome.code, outcome.out) == (code, ""), line
    assert line.startswith("error: ")
    assert "bug of ours" not in line
    assert line.isprintable()
    assert {path: path.read_bytes() for path in Path().iterdir() if path.is_file()} == before
    return line


def zip_of(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    return buffer.getvalue()


def npz_of(arrays: dict[str, np.ndarray]) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


class Trap:
    """Unpickling this writes a file."""

    def __reduce__(self) -> tuple:
        return Path.write_text, (Path("trap"), "sprung")


WHOLE = npz_of(KERAS)
FILES: dict[str, tuple[str, bytes, str]] = {
    "missing": ("none.npz", b"", "No such file"),
    "empty": ("f.npz", b"", "it is no zip file"),
    "text": ("f.npz", b"weights\n" * 9, "it is no zip file"),
    "pickle": ("f.npz", pickle.dumps(Trap()), "it is no zip file"),
    "objects": ("f.npz", npz_of({"kernel": np.array([Trap(), None])}), "is no whole .npz file of plain arrays"),
    "cut": ("f.npz", WHOLE[: len(WHOLE) // 2], "it is no zip file"),
    "flipped": ("f.npz", WHOLE[:200] + bytes([WHOLE[200] ^ 1]) + WHOLE[201:], "Bad CRC-32"),
    "no arrays": ("f.npz", zip_of({"kernel": b"12"}), "kernel is no array"),
    "npy cut": ("f.npz", zip_of({"kernel.npy": b"\x93NUMPY\x01"}), "is no whole .npz file"),
    "safetensors empty": ("f.safetensors", b"", "is no whole safetensors file"),
    "safetensors cut": ("f.safetensors", b"\x20\0\0\0\0\0\0\0{", "is no whole safetensors file"),
    "another suffix": ("f.onnx", b"x", "f.onnx has to end in .npz or .safetensors"),
}


@pytest.mark.parametrize("verb", ["convert", "identify"])
@pytest.mark.parametrize("case_", FILES)
def test_a_file_that_is_not_one_of_arrays_is_refused_and_nothing_is_unpickled(lstm, case_, verb):
    name, content, problem = FILES[case_]
    if case_ != "missing":
        Path(name).write_bytes(content)
    arguments = (name,) if verb == "identify" else (name, "out.npz", "--from=keras", "--to=onnx")
    assert problem in refused(lstm, 2 if case_ == "another suffix" else 4, verb, *arguments)
    assert not Path("trap").exists()


def test_a_folder_is_no_file(lstm):
    Path("folder.npz").mkdir()
    assert "Is a directory" in refused(lstm, 4, "identify", "folder.npz")
    save("keras.npz", KERAS)
    line = refused(lstm, 4, "convert", "keras.npz", "nowhere/out.npz", "--from=keras", "--to=onnx")
    assert "cannot write nowhere/out.npz: No such file" in line


def test_names_in_a_file_cannot_harm_the_terminal(lstm):
    for name in ("\x1b[2Jkernel", "two\nlines", "tab\t"):
        save_file({name: np.ones(3)}, "f.safetensors")
        refused(lstm, 2, "convert", "f.safetensors", "out.npz", "--from=keras", "--to=onnx")
        refused(lstm, 2, "identify", "f.safetensors")
        save_file({name: np.ones(3)} | case(), "f.safetensors")
        refused(lstm, 2, "identify", "f.safetensors")


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["list", "torch"], "no layout is called 'torch': there are pytorch, cudnn"),
        (["convert", "keras.npz", "out.npz", "--from=kears", "--to=onnx"], "no layout is called 'kears'"),
        (["convert", "keras.npz", "out.npz", "--from=keras", "--to=ONNX"], "no layout is called 'ONNX'"),
        (["convert", "keras.npz", "out.npz", "--from=keras"], "--to"),
        (["convert", "keras.npz", "out.txt", "--from=keras", "--to=onnx"], "out.txt has to end in"),
        (["convert", "keras.npz", "out.npz", "--from=onnx", "--to=keras"], "keras.npz: onnx needs W [D,4H,I] and R"),
        (["convert", "keras.npz", "out.npz", "--from=tf1", "--to=onnx"], "tf1 has no array recurrent_kernel"),
        (["convert", "peepholes.npz", "out.npz", "--from=onnx", "--to=keras"], "keras has no place for peephole_l0"),
        (["identify", "keras.npz"], "keras.npz has no x, the input: it has kernel, recurrent_kernel, bias"),
        (["identify", "no_y.npz"], "nothing to compare with: give y, h_n or c_n"),
        (["identify", "other_x.npz"], "no layout that we know has such arrays for x [4, 2, 7]"),
        (["identify", "no_y.npz", "--top=0"], "--top"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_one_line(lstm, arguments, problem):
    given = case()
    save("keras.npz", KERAS)
    save("peepholes.npz", SYSTEMS["onnx"].from_ours(weights_of(3, 5, seed=1, peepholes=True)))
    save("no_y.npz", KERAS | {"x": given["x"]})
    save("other_x.npz", KERAS | given | {"x": np.ones((4, 2, 7))})
    assert problem in refused(lstm, 2, *arguments)


def test_layouts_need_neither_torch_nor_numba_and_the_command_no_torch(tmp_path):
    np.savez(tmp_path / "some.npz", **ONNX, **case())
    code = (
        "import sys, lstm_ref.core.layouts, lstm_ref.core.layouts.files; "
        "assert not {'torch', 'numba'} & sys.modules.keys(); from lstm_ref.cli.main import run; "
        "assert run(['layout', 'identify', 'some.npz']) == run(['layout', 'list']) == 0; "
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_works_in_a_pipe(run_lstm: RunLstm, tmp_path: Path):
    np.savez(tmp_path / "some.npz", **ONNX, **case())
    found = run_lstm("layout", "identify", "some.npz", "--json", "--top=1")
    assert (found.returncode, found.stderr) == (0, "")
    assert json.loads(found.stdout)[0]["systems"] == ["onnx"]
    done = run_lstm("layout", "convert", "some.npz", "keras.safetensors", "--from=onnx", "--to=keras")
    assert (done.returncode, done.stdout.split()[:5]) == (0, ["kernel", "[3,", "20]", "float64", "recurrent_kernel"])
    assert load_file(tmp_path / "keras.safetensors").keys() == KERAS.keys()
