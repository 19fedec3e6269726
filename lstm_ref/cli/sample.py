"""`lstm sample`: text from a checkpoint."""

import sys
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter
from cyclopts.validators import Number

from lstm_ref.cli.console import note_if_nothing_is_known, printable
from lstm_ref.core.checkpoint import Checkpoint
from lstm_ref.core.errors import DataError
from lstm_ref.core.generation import generate
from lstm_ref.core.language_model import SamplingPolicy
from lstm_ref.core.runlog import find_checkpoint
from lstm_ref.core.trainer import model_of
from lstm_ref.core.vocab import Unknown
from lstm_ref.core.words import UNK


def sample(
    checkpoint: Path,
    /,
    *,
    prime: str = "The",
    size: Annotated[int, Parameter(validator=Number(gte=0))] = 1000,
    top_k: int | None = None,
    top_p: float | None = None,
    temperature: float = 1.0,
    seed: Annotated[int, Parameter(validator=Number(gte=0, lt=1 << 64))] = 0,
    on_unknown: Unknown = "error",
    backend: str | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    precision: Literal["float32", "float64", "bf16"] | None = None,
    draw_while_priming: Annotated[bool, Parameter(negative="")] = False,
) -> None:
    """Let a checkpoint write. The text goes to stdout as it comes.

    lstm sample runs/char-anna --prime "And Levin said" --size 2000 --top-k 5

    Parameters
    ----------
    checkpoint
        A .safetensors file, or a run folder: its best checkpoint.
    prime
        What the text starts with; "" starts from a random character, and a model of words at a new line.
    size
        Characters, or words, after the first predicted one: prime + 1 + size come out.
    top_k
        Only the k likeliest are drawn; 1 is greedy.
    top_p
        Only the likeliest that together reach this probability are drawn.
    temperature
        Below 1 plays safe, above 1 dares.
    seed
        The same seed gives the same text, with either backend.
    on_unknown
        What to do with what the model does not know in the prime; unk: take it for `<unk>`, if the model has words.
    backend
        numpy or torch [default: the one that trained it].
    device
        cpu or cuda [default: as trained].
    precision
        float32, float64 or bf16 [default: as trained].
    draw_while_priming
        Spend a draw on every character of the prime, as the original notebook does.
    """
    loaded = Checkpoint.load(find_checkpoint(checkpoint))
    model = model_of(loaded, backend=backend, device=device, precision=precision)
    policy = SamplingPolicy(temperature=temperature, top_k=top_k, top_p=top_p)
    try:
        ids = loaded.vocabulary.encode(prime, unknown=on_unknown)
    except DataError as error:
        instead = "take them for <unk> (--on-unknown unk)" if UNK in loaded.vocabulary.tokens else None
        raise DataError(f"prime {prime!r}: {error} or {instead or 'skip them (--on-unknown skip)'}") from None
    if prime.strip():
        note_if_nothing_is_known(loaded.vocabulary, ids, "the prime")
    for piece in generate(model, loaded.vocabulary, size, prime, policy, seed, draw_while_priming, on_unknown):
        sys.stdout.write(printable(piece))
        sys.stdout.flush()
    sys.stdout.write("\n")
