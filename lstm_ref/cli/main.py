"""`lstm VERB`: parse, run, and turn what goes wrong into one line and an exit code.

Verbs are registered by name and imported when one is called: `lstm --help` imports neither numba nor torch.
"""

import os
import sys
import traceback
from importlib.metadata import entry_points

from cyclopts import App, CycloptsError

from lstm_ref import __version__
from lstm_ref.core.errors import LstmError

app = App(
    name="lstm",
    suppress_keyboard_interrupt=False,
    version=__version__,
    help="Train, sample and score LSTM language models, with two implementations that prove each other.",
    help_epilogue="Exit codes: 0 ok, 1 a bug of ours, 2 usage or config, 3 data, 4 checkpoint, 5 not conformant, "
    "6 diverged, 7 another process of the same run was lost, 130 and 143 stopped by a signal. --debug before the verb "
    "prints tracebacks.",
    help_format="markdown",
)
app.command("lstm_ref.cli.demo:demo", name="demo", help="Train a small model in under a minute and let it write.")
app.command("lstm_ref.cli.data:app", name="data", help="List, download and describe texts.")
app.command("lstm_ref.cli.train:train", name="train", help="Train a preset, or go on with a run.")
app.command("lstm_ref.cli.tune:tune", name="tune", help="Search for hyperparameters, each trial a run.")
app.command("lstm_ref.cli.sample:sample", name="sample", help="Let a checkpoint write.")
app.command("lstm_ref.cli.score:score", name="score", help="How well a checkpoint predicts a text.")
app.command("lstm_ref.cli.layout:app", name="layout", help="Weights of other systems, to and from ours.")
app.command("lstm_ref.cli.doctor:doctor", name="doctor", help="What is installed, and whether it works.")
# Verbs of the rooms above this one, found as backends are: by entry point.
ABOVE = {
    "verify": "Is this LSTM right, and if not, which line is wrong?",
    "bench": "How fast is it, beside others and beside the limit?",
}
for _point in entry_points(group="lstm.verbs"):
    app.command(_point.value, name=_point.name, help=ABOVE.get(_point.name))
OWN_HELP = ("demo", "train", "tune", "sample", "score", "doctor", *ABOVE)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of one command."""
    debug = bool(arguments) and arguments[0] == "--debug"
    try:
        if (verb := next(iter(arguments[debug:]), "")) in OWN_HELP:
            app[verb].help = None  # or the line above would stand for all that the verb's docstring says
        app(
            arguments[1:] if debug else arguments,
            exit_on_error=False,
            print_error=False,
            result_action="return_value",
        )
        sys.stdout.flush()
        return 0
    except LstmError as error:
        return _fail(str(error), error.exit_code, debug)
    except CycloptsError as error:
        verb = " ".join(["lstm", *(error.command_chain or ())])
        return _fail(f"{error}".strip().replace("\n", " ") + f" See {verb} --help.", 2, debug)
    except KeyboardInterrupt:
        return _fail("stopped", 130, debug)
    except MemoryError as error:
        return _fail(f"out of memory ({error}): lower batch_size, seq_length or hidden_sizes", 2, debug)
    except BrokenPipeError:  # `lstm sample ... | head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            traceback.print_exc()
        return _fail(f"{type(error).__name__}: {error}. This is a bug of ours; --debug shows where", 1, False)


def _fail(message: str, exit_code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {message}", file=sys.stderr)
    return exit_code
