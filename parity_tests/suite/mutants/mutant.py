"""What a mutant is, and how a file of them is written: a subclass of Subject for each, its story as docstring.

TYING = Group("tying")

@TYING.mutant("tied-gradient-of-the-decoder-only", "dW_e = dW_d", LEARNING, case="owner/repository#7")
class DecoderOnly(Subject):
    \"""How one comes to write it, and why it is not seen.\"""

    def tied_gradient(self, by_input, by_decoder):
        return by_decoder
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass

from parity_tests.suite.subject import Subject

# Where a fault of each kind can be seen.
EVERYWHERE = ("forward", "backward", "model", "train", "generate")  # the forward pass of a layer
LAYERS = ("forward", "backward")  # what only several directions, lengths, layouts or peepholes show
GRADIENTS = ("backward", "model", "train")
LEARNING = ("model", "train")  # a window of a language model
WRITING = ("sample", "generate")
SCORES = ("loss", "model", "train")


@dataclass(frozen=True)
class Mutant:
    """One wrong LSTM."""

    name: str  # kebab-case
    group: str
    line: str  # the wrong line, as it would be written
    story: str  # how one comes to write it, and why it is not seen: one paragraph
    case: str  # a thread where it happened or was asked about, owner/repository#number, or ''
    likely: bool
    operations: tuple[str, ...]  # those of question.py in which it can be seen; on all others it is right, bit by bit
    build: type[Subject]
    family: str = ""  # of mutants that are one mistake with different numbers
    rounds_as: str = ""  # right but for a coarser format: to be named, not to be failed

    def make(self) -> Subject:
        """The wrong LSTM, an adapter as Subject is."""
        wrong = self.build()
        wrong.name = self.name
        return wrong


class Group:
    """The mutants of one file, in its order."""

    def __init__(self, name: str):
        self.name = name
        self.mutants: list[Mutant] = []

    def mutant(
        self,
        name: str,
        line: str,
        operations: tuple[str, ...],
        *,
        case: str = "",
        likely: bool = False,
        family: str = "",
        rounds_as: str = "",
    ) -> Callable[[type[Subject]], type[Subject]]:
        """Registers the class below it; its docstring is the story."""

        def register(build: type[Subject]) -> type[Subject]:
            story = " ".join(inspect.cleandoc(build.__doc__ or "").split())
            self.mutants.append(
                Mutant(name, self.name, line, story, case, likely, operations, build, family, rounds_as)
            )
            return build

        return register
