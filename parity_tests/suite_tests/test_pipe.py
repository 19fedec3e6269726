"""Programs behind a pipe, well behaved and not: the suite gets its answers, says what went wrong, and leaves no
process.

The programs are Python, written into a file: `WIRE` gives them messages without anything of the suite.
"""

import gc
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from lstm_ref.core.errors import UsageError
from parity_tests.suite.pipe import MAX_RESTARTS, PipeAdapter
from parity_tests.suite.question import Question
from parity_tests.suite.wire import AdapterError

WIRE = """
import json, math, os, signal, struct, subprocess, sys, time
out = sys.stdout.buffer
def send(header, data=b""):
    out.write(json.dumps(header).encode() + b"\\n" + data)
    out.flush()
def asked():
    for line in sys.stdin.buffer:
        header = json.loads(line)
        sizes = {"float64": 8, "float32": 4, "int64": 8, "bool": 1}
        data = [sys.stdin.buffer.read(sizes[a["dtype"]] * math.prod(a["shape"])) for a in header["arrays"]]
        if header["op"] == "capabilities":
            send({"capabilities": {"operations": ["clip"]}})
        else:
            yield header, data
"""
ECHO = """
for header, data in asked():
    send({"arrays": header["arrays"]}, b"".join(data))
"""
QUESTION = Question("clip", {"g": np.array([[1.0, -2.5], [np.nan, 0.0]])}, {"max_norm": 0.25})
SOON = 0.5  # seconds: a timeout for programs that will not answer, and none that will has to meet it

Start = Callable[..., PipeAdapter]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """start(program, timeout_s=...): an adapter of a Python program, closed in the end."""
    adapters = []

    def of(program: str, timeout_s: float = 60.0) -> PipeAdapter:
        path = tmp_path / f"program_{len(adapters)}.py"
        path.write_text(WIRE + program)
        adapters.append(PipeAdapter([sys.executable, "-S", str(path)], timeout_s=timeout_s))
        return adapters[-1]

    yield of
    for adapter in adapters:
        adapter.close()


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return (
        Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z" if os.path.exists("/proc") else True
    )


def pid_of(adapter: PipeAdapter) -> int:
    assert adapter._program is not None
    return adapter._program.process.pid


def test_a_program_answers_question_after_question(start):
    adapter = start(ECHO)
    assert adapter.capabilities.operations == ("clip",)
    pid = pid_of(adapter)
    for size in (1, 0, 3):
        question = QUESTION.with_arrays(g=np.arange(size, dtype=np.float64))
        assert adapter.answer(question)["g"].tobytes() == question.arrays["g"].tobytes()
    assert pid_of(adapter) == pid


def test_an_array_larger_than_any_pipe_goes_through(start):
    adapter = start(ECHO)
    g = np.arange(1 << 20, dtype=np.float64)
    assert np.array_equal(adapter.answer(QUESTION.with_arrays(g=g))["g"], g)


def test_a_program_that_writes_before_it_has_read_blocks_nobody(start):
    """Megabytes each way at once: a suite that wrote all before it read would wait for ever."""
    adapter = start(
        """
print(end="", flush=True)
line = sys.stdin.buffer.readline()
send({"capabilities": {"operations": ["clip"]}})
header = json.loads(sys.stdin.buffer.readline())
size = 8 * math.prod(header["arrays"][0]["shape"])
send({"arrays": header["arrays"]}, b"\\1" * size)
assert len(sys.stdin.buffer.read(size)) == size
sys.stdin.buffer.read()
"""
    )
    g = np.zeros(1 << 19)
    assert adapter.answer(QUESTION.with_arrays(g=g))["g"].tobytes() == b"\1" * g.nbytes


@pytest.mark.parametrize("value", [np.full((2, 2), np.nan), np.zeros((3, 1)), np.zeros(0), np.float32([[np.inf]])])
def test_a_wrong_answer_passes_through_unchanged(start, value):
    """NaN, a wrong shape, a wrong dtype: that is for the checks to say."""
    entry = {"name": "g", "dtype": value.dtype.name, "shape": list(value.shape)}
    adapter = start(f"for _ in asked(): send({{'arrays': [{entry}]}}, {value.tobytes()!r})")
    given = adapter.answer(QUESTION)["g"]
    assert given.dtype == value.dtype
    assert given.shape == value.shape
    assert given.tobytes() == value.tobytes()


def test_an_error_that_the_program_reports_is_raised_and_the_program_goes_on(start):
    adapter = start("for header, _ in asked(): send({'error': 'no such thing as ' + header['op']})")
    pid = pid_of(adapter)
    for _ in range(MAX_RESTARTS + 2):
        with pytest.raises(AdapterError, match=r"^no such thing as clip$"):
            adapter.answer(QUESTION)
    assert pid_of(adapter) == pid


def test_a_program_that_hangs_is_killed_after_the_timeout(start):
    adapter = start("for _ in asked(): time.sleep(600)")
    adapter.timeout_s, pid, begin = SOON, pid_of(adapter), time.monotonic()
    with pytest.raises(AdapterError, match=r"^no answer in 0\.5 s$"):
        adapter.answer(QUESTION)
    assert time.monotonic() - begin < 30
    assert not is_running(pid)


def test_a_program_that_stops_inside_its_answer_is_told_how_far_it_came(start):
    adapter = start("for header, data in asked(): send({'arrays': header['arrays']}, data[0][:-1])")
    adapter.timeout_s = SOON
    with pytest.raises(AdapterError, match=r"^no answer in 0\.5 s, \d+ bytes of one arrived$"):
        adapter.answer(QUESTION)


def test_a_program_that_neither_reads_nor_writes_is_killed_too(start):
    adapter = start("send({'capabilities': {}}); time.sleep(600)")
    adapter.timeout_s = SOON
    with pytest.raises(AdapterError, match="no answer in"):
        adapter.answer(QUESTION.with_arrays(g=np.zeros(1 << 18)))


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("for _ in asked(): sys.exit(3)", "^exit status 3$"),
        ("for _ in asked(): sys.exit('\\n  first\\n  out of\\tgas \\n\\n')", "^exit status 1: out of gas$"),
        ("for _ in asked(): 1 / 0", "^exit status 1: ZeroDivisionError: division by zero$"),
        ("for _ in asked(): os.kill(os.getpid(), signal.SIGSEGV)", "^killed by SIGSEGV$"),
        ("for _ in asked(): os.kill(os.getpid(), 40)", "^killed by signal 40$"),
        ("for header, _ in asked(): send({'arrays': header['arrays']}, b'1'); sys.exit(0)", "^exit status 0$"),
        ("for _ in asked(): os.close(1); time.sleep(600)", "^it closed its output without an answer$"),
        ("for _ in asked(): print('loss 0.25', flush=True)", "^garbage instead of an answer: expected a line of JSON"),
        ("for _ in asked(): out.write(bytes(range(256)) * 9000); out.flush()", "^garbage instead of an answer: "),
        ("for _ in asked(): send({'arrays': []}, b'and more')", "8 bytes after its answer: b'and more'"),
        ("for _ in asked(): send({'arrays': [{'name': 'y', 'dtype': 'int8', 'shape': []}]})", "y has dtype 'int8'"),
    ],
)
def test_a_crash_or_garbage_is_reported_and_the_program_is_started_anew(start, program, says):
    adapter = start(program)
    pid = pid_of(adapter)
    for _ in range(2):
        with pytest.raises(AdapterError, match=says):
            adapter.answer(QUESTION)
        assert not is_running(pid)


def test_what_is_written_between_two_questions_is_garbage(start):
    adapter = start(
        """
for header, data in asked():
    send({"arrays": header["arrays"]}, b"".join(data))
    time.sleep(0.2)
    print("done", flush=True)
"""
    )
    adapter.answer(QUESTION)
    assert adapter._program._poll(60)  # until it is written
    with pytest.raises(AdapterError, match="it wrote before it was asked: b'done"):
        adapter.answer(QUESTION)


def test_a_program_that_answers_once_and_ends_is_started_anew(start):
    adapter = start("for header, data in asked(): send({'arrays': header['arrays']}, data[0]); break")
    adapter.answer(QUESTION)
    with pytest.raises(AdapterError, match=r"^exit status 0$"):
        adapter.answer(QUESTION)
    assert adapter.answer(QUESTION)["g"].tobytes() == QUESTION.arrays["g"].tobytes()


def test_after_five_restarts_every_question_raises_at_once(start, tmp_path):
    log = tmp_path / "starts"
    adapter = start(f"open({str(log)!r}, 'a').write('.')\nfor _ in asked(): sys.exit(7)")
    for _ in range(1 + MAX_RESTARTS):
        with pytest.raises(AdapterError, match=r"^exit status 7$"):
            adapter.answer(QUESTION)
    for _ in range(3):
        with pytest.raises(AdapterError, match="not started again after 5 restarts; the last time: exit status 7"):
            adapter.answer(QUESTION)
    assert log.read_text() == "." * (1 + MAX_RESTARTS)


def test_megabytes_on_stderr_do_not_block_the_program(start):
    adapter = start("sys.stderr.write('x' * (1 << 22)); sys.stderr.flush()\n" + ECHO)
    for _ in range(2):
        assert adapter.answer(QUESTION)["g"].tobytes() == QUESTION.arrays["g"].tobytes()


def test_the_last_line_of_megabytes_on_stderr_is_kept(start):
    adapter = start("for _ in asked(): sys.stderr.write('noise\\n' * (1 << 19) + 'the end'); os._exit(9)")
    with pytest.raises(AdapterError, match=r"^exit status 9: the end$"):
        adapter.answer(QUESTION)


def test_children_of_a_program_that_hangs_are_killed_with_it(start, tmp_path):
    """As of a shell script that runs the real program: the child holds the pipes, and would keep the suite waiting."""
    log = tmp_path / "child"
    adapter = start(
        f"""
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
open({str(log)!r}, "w").write(str(child.pid))
for _ in asked():
    time.sleep(600)
"""
    )
    adapter.timeout_s = SOON
    with pytest.raises(AdapterError, match="no answer in"):
        adapter.answer(QUESTION)
    child, until = int(log.read_text()), time.monotonic() + 10
    while is_running(child) and time.monotonic() < until:
        time.sleep(0.01)
    assert not is_running(child)


def test_close_ends_the_program_in_its_own_time(start, tmp_path):
    """It sees the end of its input, and may still put things in order; then nobody can ask it."""
    log = tmp_path / "last"
    adapter = start(ECHO + f"\nopen({str(log)!r}, 'w').write('in order')")
    pid = pid_of(adapter)
    adapter.answer(QUESTION)
    adapter.close()
    adapter.close()
    assert log.read_text() == "in order"
    assert not is_running(pid)
    with pytest.raises(AdapterError, match="is closed"):
        adapter.answer(QUESTION)


def test_a_program_that_ignores_the_end_of_its_input_is_killed(start):
    adapter = start("signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ECHO + "\ntime.sleep(600)")
    pid = pid_of(adapter)
    adapter.close()
    assert not is_running(pid)


def test_an_adapter_that_nobody_closes_leaves_no_process(start, tmp_path):
    path = tmp_path / "program.py"
    path.write_text(WIRE + ECHO)
    adapter = PipeAdapter([sys.executable, "-S", str(path)])
    pid = pid_of(adapter)
    del adapter
    gc.collect()
    assert not is_running(pid)


def test_ctrl_c_in_the_middle_of_an_answer_ends_the_program(start):
    """Or its late answer would be taken for that to the next question."""
    adapter = start("for header, data in asked():\n    time.sleep(600)")
    pid, interrupted = pid_of(adapter), signal.getsignal(signal.SIGALRM)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.3)
    try:
        with pytest.raises(KeyboardInterrupt):
            adapter.answer(QUESTION)
    finally:
        signal.signal(signal.SIGALRM, interrupted)
    assert not is_running(pid)


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ([], "no program to start"),
        (["/no/such/program"], "cannot start /no/such/program: No such file or directory"),
        (["/"], "cannot start /: Permission denied"),
    ],
)
def test_a_program_that_cannot_be_started_is_a_mistake_of_the_caller(command, says):
    with pytest.raises(UsageError, match=says):
        PipeAdapter(command)


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("sys.exit('no licence')", "^exit status 1: no licence$"),
        ("send({'capabilities': {'layers': 'many'}})", "capability layers is 'many'"),
        ("send({'arrays': []})", "garbage instead of an answer"),
        ("send({'error': 'not today'})", "^not today$"),
        ("time.sleep(600)", r"^no answer in 0\.5 s$"),
    ],
)
def test_a_program_without_sound_capabilities_is_refused_and_ended(start, program, says):
    with pytest.raises(AdapterError, match=says):
        start(program, timeout_s=SOON if "600" in program else 60.0)
    gc.collect()
    assert children() == []


def children() -> list[int]:
    """Processes that this one has started and that still run."""
    tasks = Path(f"/proc/{os.getpid()}/task")
    if not tasks.exists():
        pytest.skip("no /proc here to count processes in")
    return [int(pid) for task in tasks.iterdir() for pid in (task / "children").read_text().split()]


# ---- serve: somebody's Python code as such a program -------------------------------------------------------------

OBJECT = """
import os, sys
import numpy as np
from parity_tests.suite.adapter import Capabilities

print("printed while it is imported")
os.write(1, b"written to descriptor 1")

class Subject:
    capabilities = Capabilities(operations=("clip", "sgd", "adam", "loss", "sample", "evaluate", "batches"))
    name = "subject"

    def answer(self, question):
        print("asked for", question.op)
        os.system("echo from a child")
        arrays = question.arrays
        if question.op == "clip":
            return {"g": 2 * arrays["g"], "line": np.array(len(sys.stdin.read()))}
        if question.op == "sgd":
            arrays["g"] *= 2
            return dict(arrays)
        if question.op == "adam":
            arrays["g"] = arrays["g"] * 2
            return dict(arrays)
        if question.op == "loss":
            return 1 / 0
        if question.op == "sample":
            return {"id": np.int32(3)}
        if question.op == "evaluate":
            return [1, 2]
        os._exit(5)
"""


@pytest.fixture
def subject(tmp_path: Path) -> Iterator[PipeAdapter]:
    (tmp_path / "subject.py").write_text(OBJECT)
    target = f"{tmp_path / 'subject.py'}:Subject"
    with PipeAdapter([sys.executable, "-m", "parity_tests.suite.serve", target], timeout_s=60) as adapter:
        yield adapter


def test_prints_of_a_served_object_do_no_harm(subject):
    assert subject.capabilities.operations[0] == "clip"
    for _ in range(3):
        answer = subject.answer(QUESTION)
        assert np.array_equal(answer["g"], 2 * QUESTION.arrays["g"], equal_nan=True)
        assert answer["line"] == 0  # standard input is empty to it: the questions are not its to read


@pytest.mark.parametrize(
    ("op", "says"),
    [
        ("sgd", "^changed its input g$"),
        ("adam", "^changed its input: other arrays or settings are in the question now$"),
        ("loss", "^ZeroDivisionError: division by zero$"),
        ("sample", "^ValueError: id is int32: the wire has"),
        ("evaluate", "^TypeError: answered with a list, expected a dict of arrays$"),
    ],
)
def test_what_a_served_object_does_wrong_is_an_error_message(subject, op, says):
    pid = pid_of(subject)
    with pytest.raises(AdapterError, match=says):
        subject.answer(Question(op, QUESTION.arrays))
    assert subject.answer(QUESTION)["g"].shape == (2, 2)
    assert pid_of(subject) == pid


def test_a_served_object_that_ends_the_process_takes_nothing_with_it(subject):
    with pytest.raises(AdapterError, match=r"^exit status 5: from a child$"):
        subject.answer(Question("batches", QUESTION.arrays))
    assert subject.answer(QUESTION)["g"].shape == (2, 2)


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("no_such_module:thing", "^exit status 2: cannot import 'no_such_module'"),
        ("no/such/file.py:thing", "^exit status 2: no file no/such/file.py"),
        ("math", "^exit status 2: 'math': expected MODULE:OBJECT"),
        ("math:tau", "^exit status 2: .*has no method"),
    ],
)
def test_a_target_that_is_not_there_is_named(target, says):
    with pytest.raises(AdapterError, match=says):
        PipeAdapter([sys.executable, "-m", "parity_tests.suite.serve", target], timeout_s=60)


def test_a_plain_function_is_served(tmp_path):
    (tmp_path / "mine.py").write_text("def forward(params, x, h0, c0): return x + params['weight_ih_l0'].sum(), h0, c0")
    command = [sys.executable, "-m", "parity_tests.suite.serve", f"{tmp_path / 'mine.py'}:forward"]
    arrays = {
        "weight_ih_l0": np.ones((4, 1)),
        "x": np.zeros((1, 1, 1)),
        "h0": np.ones((1, 1, 1)),
        "c0": np.ones((1, 1, 1)),
    }
    with PipeAdapter(command, timeout_s=60) as adapter:
        assert adapter.answer(Question("forward", arrays))["y"] == [[[4.0]]]
