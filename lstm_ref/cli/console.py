"""What a person sees: text that cannot harm a terminal, and a sign of life."""

import sys
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import numpy as np
from rich.console import Console
from rich.progress import Progress

from lstm_ref.core.vocab import Vocabulary
from lstm_ref.core.words import EOS, UNK


def printable(text: str) -> str:
    """Control characters, which could move the cursor or worse, as \\x escapes; line ends and tabs stay."""
    return "".join(
        c if c.isprintable() or c in "\n\t" or unicodedata.category(c) == "Zs" else c.encode("unicode_escape").decode()
        for c in text
    )


def note(message: str) -> None:
    """A line for people, on stderr."""
    print(message, file=sys.stderr, flush=True)


def note_if_nothing_is_known(vocabulary: Vocabulary, ids: np.ndarray, what: str) -> None:
    """Of a text of nothing but unknown words a model has an opinion too. It is worth little."""
    found = {vocabulary.tokens[i] for i in np.unique(ids)}
    if not found - {UNK, EOS}:
        note(f"the model knows nothing of {what}: {'every word is <unk> to it' if UNK in found else 'all is left out'}")


def verbatim(*, stderr: bool = False) -> Console:
    """A console that takes what a text or a path holds as it is: `[b]` is no markup, `:cat:` no picture of one."""
    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def working(what: str) -> AbstractContextManager[object]:
    """For what may take seconds: a line on stderr while it lasts, if that is a terminal."""
    console = verbatim(stderr=True)
    return console.status(printable(what)) if console.is_terminal else nullcontext()


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """For what may take minutes: a bar on stderr, if that is a terminal. Gives the function that counts on."""
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)
