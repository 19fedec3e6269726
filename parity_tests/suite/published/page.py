"""The text of scores.md: every figure in it is computed, but those of the first count, which are history."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from parity_tests.suite.published import SUITES, PublishedSuite, flashrnn, keras, onnx_node, webnn
from parity_tests.suite.published.tables import figure, markdown, matrix
from parity_tests.suite.published.wrong_lstms import ORDER, OTHER, REST

if TYPE_CHECKING:
    from parity_tests.suite.score import ScoreTable

INTRODUCTION = """\
# What published tests of an LSTM catch

Written by `python -m parity_tests.suite.score`; a test says when it is out of date. The tests were re-created as data
(sizes, constants, tolerances, outputs compared) in this folder, and every wrong LSTM of the bank was put in the place
of the implementation under test. A right LSTM passes all of them. Forward pass only.
"""

GROUPS = """\
Wrong gate orders: the 23 wrong ones of the 24. Other wrong LSTMs: seventeen whose mistake shows with one layer and one
direction. Rest of the bank: the others that a forward pass can show. For most of these it takes more (two layers or
directions, rows of different lengths, peepholes, I = H, large numbers), so the random vector is no answer to them
either. Suites that draw are counted by the draw.
"""

VARIANTS: dict[str, Callable[[], PublishedSuite]] = {
    "ONNX, the four cases of one step (older releases have no other)": lambda: onnx_node.suite(onnx_node.ONE_STEP),
    "WebNN before the case with both directions": lambda: webnn.suite(both_directions=False),
    "Keras, `test_correctness` alone": lambda: keras.suite("correctness"),
    "flashrnn's tolerance on B=2, H=5, a size that it does not test": lambda: flashrnn.suite(B=2, H=5),
}

FIRST_COUNT = """\
## Against the first count

The first count had ONNX at 0 of 23 and 10 of 17, WebNN at 0 and 8, Keras at 18 and 11, flashrnn at 456 of 460, with an
ignored recurrent matrix passing in 16 of 20 draws, and the random vector at 23 and 17. The gate orders agree. Of its
seventeen others no list was kept. The figures fit if sixteen are those above without `candidate-by-sigmoid`, and the
one in its place passes ONNX, WebNN and Keras. What differs besides:

- WebNN: the case with both directions is new. It alone has sigmoid and tanh, so it sees the wrong activations that relu
  hides. Without it they pass, as in the first count.
- Keras: the tests with an initial state, and the stateful one, see the three mistakes with h0 and c0. The first count
  fits `test_correctness` alone.
- flashrnn: it compares every h and c, so the figure depends on how many there are. The first count fits an H of about
  5. The least that flashrnn tests is 32, where its tolerance does better. The draws are others, too.
"""


def page(score: Callable[[PublishedSuite], "ScoreTable"]) -> str:
    tables = {name: score(suite()) for name, suite in SUITES.items()}
    variants = {name: score(suite()) for name, suite in VARIANTS.items()}
    scores, heads = list(tables.values()), list(tables)
    missed = [s.name.removeprefix("gate-order-") for s in tables["keras"].missed(ORDER)]
    parts = [
        INTRODUCTION,
        markdown(*scores),
        GROUPS,
        f"## Wrong gate orders\n\nKeras lets {', '.join(missed)} through: the forget gate is in its place.\n",
        "## Other wrong LSTMs\n",
        matrix(scores, heads, OTHER),
        "## Rest of the bank\n",
        matrix(scores, heads, REST),
        "## What moves the figures\n",
        _variants(variants),
        FIRST_COUNT,
        "## Sources\n",
        "\n".join(f"- {s.title}: {s.source}" for s in scores) + "\n",
    ]
    return "\n".join(parts)


def _variants(variants: dict[str, "ScoreTable"]) -> str:
    lines = ["| | wrong gate orders | other wrong LSTMs | recurrent matrix ignored |", f"|{'---|' * 4}"]
    for name, score in variants.items():
        ignored = next(s for s in score.scores if s.name == "recurrent-matrix-ignored")
        cells = name, figure(score, ORDER), figure(score, OTHER), f"caught {ignored.caught} of {ignored.runs}"
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"
