"""Where each row of the specification is proved: `python -m parity_tests.rows` writes ROWS.md beside this file.

The specification is the original notebook, row by row: C1 to C63 are what it does or promises, BC1 to BC23 its bugs and
traps. A test claims rows by `@pytest.mark.row("C16", "BC5")`; a few rows are prose, and the README answers them.
"""

import ast
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE / "ROWS.md"

ROWS = {
    "C1": "train on a text, then write text like it",
    "C2": "figures: the unrolled network, batching, the layers",
    "C3": "the reference needs NumPy, not torch",
    "C4": "anna.txt: bytes, hash, CRLF, 1,985,223 characters",
    "C5": "its first 100 characters",
    "C6": "characters to ids and back",
    "C7": "83 symbols",
    "C8": "the two dictionaries are inverse",
    "C9": "the encoded text, equal to the printed ids up to their names",
    "C10": "one-hot encoding, float32, any shape",
    "C11": "the printed one-hot example",
    "C12": "full mini-batches only",
    "C13": "rows are stretches of the text",
    "C14": "targets are inputs one further",
    "C15": "get_batches is a generator",
    "C16": "the wrap-around of the last target",
    "C17": "the printed batch",
    "C18": "the network's defaults, 896,851 parameters",
    "C19": "what the network remembers",
    "C20": "the stacked LSTM",
    "C21": "dropout between layers and on the top output",
    "C22": "the output layer has a bias",
    "C23": "weights are initialised on purpose",
    "C24": "forward gives logits of every position and the next state",
    "C25": "the first state is zero",
    "C26": "the summary of the layers",
    "C27": "the defaults of training",
    "C28": "dropout off while evaluating, on again after",
    "C29": "Adam",
    "C30": "cross-entropy, ln 83 at the start",
    "C31": "the last tenth is validation",
    "C32": "state is carried inside an epoch, zero at its start",
    "C33": "truncated backpropagation",
    "C34": "gradients do not pile up between steps",
    "C35": "clipping by the global norm",
    "C36": "validation: mean of the full windows' losses",
    "C37": "the log line",
    "C38": "2x512 units, 3,366,483 parameters",
    "C39": "the run's numbers: 128 x 100, lr 0.001, a line every 10 steps",
    "C40": "one epoch: 139 steps, 13 lines, validation loss between 2.5 and 3.0",
    "C41": "the plateau is the unigram entropy",
    "C42": "what each number does, in --help",
    "C43": "a large gap is overfitting: said with advice",
    "C44": "no gap is underfitting: said with advice",
    "C45": "how to choose sizes",
    "C46": "the model of the lowest validation loss is kept",
    "C47": "the four keys of the notebook's checkpoint",
    "C48": "files have names of their own, nothing is overwritten in silence",
    "C49": "predict: a character and a state to the next of both",
    "C50": "softmax sums to one, also at large logits",
    "C51": "top-k draws from the k likeliest only",
    "C52": "without top-k every character can come",
    "C53": "draws are random, and reproducible",
    "C54": "sample starts from the zero state, prime 'The'",
    "C55": "the prime runs through the network",
    "C56": "prime + 1 + size characters",
    "C57": "the text after one epoch: word-like",
    "C58": "a checkpoint of one device is read on another, and runs no code",
    "C59": "rebuild and load: the same logits",
    "C60": "the text after 20 epochs: real words, not copied",
    "C61": "20 epochs reach 1.32 nats",
    "C62": "names and shapes of the parameters, both ways",
    "C63": "the same code on CPU and GPU",
    "BC1": "ids depended on the process",
    "BC2": "symbols that only validation has",
    "BC3": "a name that was never defined at the first validation",
    "BC4": "half of the tensors on another device",
    "BC5": "wrong targets in the last window",
    "BC6": "one-hot for 2-D ids only, negative ids accepted",
    "BC7": "ids of 32 bits",
    "BC8": "top_k=1 crashed",
    "BC9": "defaults and values of sampling that crashed",
    "BC10": "draws moved with the length of the prime",
    "BC11": "promised initialisation was missing",
    "BC12": "two learning rates, one unused",
    "BC13": "training and validation losses that cannot be compared",
    "BC14": "validation computed gradients",
    "BC15": "validation dropped the tail, or everything",
    "BC16": "validation had the wrong targets too",
    "BC17": "a checkpoint that could not be resumed",
    "BC18": "pickled checkpoints",
    "BC19": "the last model was saved, not the best",
    "BC20": "line ends changed the alphabet",
    "BC21": "the checkpoint that was sampled was never trained there",
    "BC22": "the split in floating point",
    "BC23": "a second call forgot the optimizer's state",
}

IN_THE_README = {
    "C2": "How it works",
    "C45": "Choosing sizes",
}


def proofs() -> dict[str, list[str]]:
    """Row -> the tests that claim it, as file::test, found in the sources."""
    found: dict[str, list[str]] = {}
    for file in sorted(HERE.rglob("test_*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                for row in _claimed(node):
                    found.setdefault(row, []).append(f"{file.relative_to(HERE).as_posix()}::{node.name}")
    return found


def _claimed(test: ast.FunctionDef) -> list[str]:
    calls = [d for d in test.decorator_list if isinstance(d, ast.Call) and ast.unparse(d.func) == "pytest.mark.row"]
    return [argument.value for call in calls for argument in call.args if isinstance(argument, ast.Constant)]


def page() -> str:
    lines = [
        "# Where each row of the specification is proved",
        "",
        "Written by `python -m parity_tests.rows`. C rows are what the original notebook does or promises, BC rows its",
        "bugs and traps, each with the decision that the tests hold.",
        "",
        "| row | what | proved by |",
        "|---|---|---|",
    ]
    found = proofs()
    for row, what in ROWS.items():
        places = [f"`{name}`" for name in found.get(row, [])]
        if row in IN_THE_README:
            places.append(f"README, {IN_THE_README[row]!r}")
        lines.append(f"| {row} | {what} | {'<br>'.join(places)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
