"""A program in any language, asked through its standard input and output in the wire format.

Whatever the program does, the suite goes on: one that hangs is killed after `timeout_s`, one that crashes or writes
garbage is reported with the last line of its stderr, and the next question starts it anew, five times at most. Bytes
go out and come in at once, so a program that writes before it has read cannot block the two for ever. POSIX only: it
polls pipes, and kills the program with its children as a process group.
"""

import contextlib
import io
import os
import select
import signal
import subprocess
import threading
import time
import weakref
from collections.abc import Callable
from typing import IO, TypeVar

from lstm_ref.core.errors import UsageError
from parity_tests.suite.question import Answer, Question
from parity_tests.suite.wire import (
    ASK_CAPABILITIES,
    AdapterError,
    CutShort,
    Source,
    one_line,
    read_answer,
    read_capabilities,
    write_question,
)

MAX_RESTARTS = 5
PATIENCE_S = 2.0  # for a program to end once its input is closed, and for its last words
T = TypeVar("T")


class PipeAdapter:
    """An `Adapter`. command: the program and its arguments, no shell. Use it as a context, or `close` it.

    Starts the program at once, to ask for its capabilities. Raises UsageError where it cannot be started, AdapterError
    where it gives no sound answer.
    """

    def __init__(self, command: list[str], name: str = "", timeout_s: float = 30.0):
        if not command:
            raise UsageError("no program to start: expected a command")
        self.command, self.timeout_s = list(command), timeout_s
        self.name = name or os.path.basename(command[0])
        self._program: _Program | None = None
        self._starts, self._closed, self._trouble = 0, False, ""
        try:
            self.capabilities = self._ask(self._start(), ASK_CAPABILITIES, read_capabilities)
        except AdapterError:
            self.close()
            raise

    def answer(self, question: Question) -> Answer:
        """Raises AdapterError: the program said so, hung, crashed, or wrote what is no answer."""
        program = self._program
        if program is None:
            program = self._start()
            self._ask(program, ASK_CAPABILITIES, read_capabilities)  # as every program is asked first
        return self._ask(program, question, read_answer)

    def close(self) -> None:
        """Ends the program; it cannot be asked any more."""
        self._closed = True
        self._end(PATIENCE_S)

    def __enter__(self) -> "PipeAdapter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> "_Program":
        if self._closed:
            raise AdapterError(f"{self.name} is closed")
        if self._starts > MAX_RESTARTS:
            raise AdapterError(f"not started again after {MAX_RESTARTS} restarts; the last time: {self._trouble}")
        self._starts += 1
        self._program = _Program(self.command)
        self._at_exit = weakref.finalize(self, self._program.end, 0)  # nothing is left over if nobody calls close
        return self._program

    def _end(self, patience_s: float) -> None:
        if self._program is not None:
            self._at_exit.detach()
            self._program.end(patience_s)
            self._program = None

    def _ask(self, program: "_Program", question: Question, read: Callable[[Source], T]) -> T:
        message = io.BytesIO()
        write_question(message, question)
        try:
            return program.ask(message.getvalue(), read, self.timeout_s)
        except AdapterError:  # an error that the program reports: it can go on
            raise
        except TimeoutError as error:
            self._trouble = f"no answer in {self.timeout_s:g} s{error}"
        except CutShort:
            self._trouble = program.how_it_ended()
        except ValueError as error:
            self._trouble = f"garbage instead of an answer: {error}"
        except (
            BaseException
        ):  # Ctrl-C in the middle of an answer: what is still to come would answer the wrong question
            self._end(0)
            raise
        self._end(0)
        raise AdapterError(self._trouble)


class _Program:
    """A running program. To the readers of wire.py it is a binary stream: `readline` and `read`."""

    def __init__(self, command: list[str]):
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
            )
        except OSError as error:
            raise UsageError(f"cannot start {command[0]}: {error.strerror}") from None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self._stdin, self._stdout = self.process.stdin, self.process.stdout
        self._last_words = _LastWords(self.process.stderr)
        os.set_blocking(self._stdin.fileno(), False)
        self._to_send, self._received, self._taken = memoryview(b""), bytearray(), 0
        self._deadline = 0.0

    def ask(self, message: bytes, read: Callable[[Source], T], timeout_s: float) -> T:
        """Sends the message and reads one. Raises what `read` does, and TimeoutError."""
        self._deadline, self._taken = time.monotonic() + timeout_s, 0
        if self._stdout.fileno() in self._poll(0) and self._receive():
            raise ValueError(f"it wrote before it was asked: {bytes(self._received[:60])!r}")
        self._to_send = memoryview(bytes(self._to_send) + message)
        answer = read(self)
        if self._received:
            raise ValueError(f"{len(self._received)} bytes after its answer: {bytes(self._received[:60])!r}")
        return answer

    # ---- a buffered stream ------------------------------------------------------------------------------------------

    def readline(self, limit: int) -> bytes:
        searched = 0
        while (end := self._received.find(b"\n", searched, limit)) < 0:
            searched = len(self._received)
            if searched >= limit or not self._exchange():
                return self._take(limit)
        return self._take(end + 1)

    def read(self, size: int) -> bytes:
        while len(self._received) < size and self._exchange():
            pass
        return self._take(size)

    def _take(self, size: int) -> bytes:
        taken = bytes(self._received[:size])
        del self._received[:size]
        self._taken += len(taken)
        return taken

    def _exchange(self) -> bool:
        """Waits until bytes went out or came in. False: no more will come in."""
        ready = self._poll(self._deadline - time.monotonic())
        if not ready:
            arrived = self._taken + len(self._received)
            raise TimeoutError(f", {arrived} bytes of one arrived" if arrived else "")
        if self._stdin.fileno() in ready:
            try:
                self._to_send = self._to_send[os.write(self._stdin.fileno(), self._to_send[: 1 << 16]) :]
            except BrokenPipeError:  # it reads no more; what it writes, or how it ended, will tell
                self._to_send = memoryview(b"")
        return self._stdout.fileno() not in ready or self._receive()

    def _poll(self, seconds: float) -> set[int]:
        """The descriptors that will not block."""
        poll = select.poll()
        poll.register(self._stdout.fileno(), select.POLLIN)
        if self._to_send:
            poll.register(self._stdin.fileno(), select.POLLOUT)
        return {descriptor for descriptor, _ in poll.poll(max(0.0, seconds) * 1000)}

    def _receive(self) -> bool:
        chunk = os.read(self._stdout.fileno(), 1 << 20)
        self._received += chunk
        return bool(chunk)

    # ---- its end ----------------------------------------------------------------------------------------------------

    def how_it_ended(self) -> str:
        if not self._is_gone(PATIENCE_S):
            return "it closed its output without an answer"
        status = self.process.returncode
        if status >= 0:
            how = f"exit status {status}"
        else:
            names = {number.value: number.name for number in signal.Signals}
            how = f"killed by {names.get(-status, f'signal {-status}')}"
        last = self._last_words.line()
        return f"{how}: {last}" if last else how

    def end(self, patience_s: float) -> None:
        """Closes its input, and kills what of its process group is not gone by then."""
        self._stdin.close()
        self._is_gone(patience_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):  # nobody is left in the group
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        self._stdout.close()
        self._last_words.close()

    def _is_gone(self, seconds: float) -> bool:
        """Waits for its end."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            if time.monotonic() >= until:
                return False
            time.sleep(0.002)
        return True


class _LastWords(threading.Thread):
    """Reads a program's stderr, so that it cannot block on it, and keeps the end."""

    def __init__(self, stderr: IO[bytes]):
        super().__init__(name="stderr of a program under test", daemon=True)
        self._stderr, self._tail = stderr, b""
        self.start()

    def run(self) -> None:
        while chunk := os.read(self._stderr.fileno(), 1 << 16):
            self._tail = (self._tail + chunk)[-4096:]

    def line(self) -> str:
        """The last line that is not empty, of a program that has ended."""
        self.join(PATIENCE_S)
        lines = [one_line(line) for line in self._tail.decode(errors="replace").splitlines()]
        return next((line for line in reversed(lines) if line), "")

    def close(self) -> None:
        self.join(PATIENCE_S)
        if (
            not self.is_alive()
        ):  # a child in a group of its own may hold it open; closed now, its number could be reused
            self._stderr.close()
