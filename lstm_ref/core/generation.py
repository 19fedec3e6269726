"""Text from a model: prime it, then let it go on. A token is a character, a byte or a word.

The character seed's lengths hold: a text of len(prime) + 1 + size tokens comes out, one predicted from the prime and
`size` more. Draw n decides token n after the prime. The seed also drew, and threw away, at every character of the
prime but the last, so that its draws moved with the prime's length; `draw_while_priming` keeps that.
"""

from collections.abc import Iterator
from itertools import chain

import numpy as np

from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import DataError, ShapeError
from lstm_ref.core.language_model import LanguageModel, SamplingPolicy, State
from lstm_ref.core.vocab import Unknown, Vocabulary
from lstm_ref.core.words import EOS


def generate(
    model: LanguageModel,
    vocabulary: Vocabulary,
    size: int,
    prime: str = "The",
    policy: SamplingPolicy | None = None,
    seed: int = 0,
    draw_while_priming: bool = False,
    unknown: Unknown = "error",
) -> Iterator[str]:
    """Yields the prime, as the model sees it, then the text as it comes. An empty prime starts from a character drawn
    uniformly; of a word model, from the end of a line, which is not shown.

    Raises DataError for what the model does not know in the prime (see `unknown`), ConfigError for top_k > V.
    """
    policy, draws = policy or SamplingPolicy(), Draws(seed)
    policy.check_vocabulary(len(vocabulary))
    if size < 0:
        raise DataError(f"size={size}: expected 0 or more tokens")
    try:
        shown = vocabulary.encode(prime, unknown=unknown).tolist()
    except DataError as error:
        raise DataError(f"prime {prime!r}: {error}") from None
    ids, count = shown, size + 1
    if not ids and EOS in vocabulary.tokens:
        ids = [vocabulary.tokens.index(EOS)]
    elif not ids:
        ids = shown = [int(draws.uniform("sample_start", (1,))[0] * len(vocabulary))]
        count = size
    first_draw = len(ids) - 1 if draw_while_priming else 0
    yield from vocabulary.stream(chain(shown, model.sample(ids, count, policy, draws, first_draw)))


def generate_ids(
    model: LanguageModel, prompts: np.ndarray, length: int, policy: SamplingPolicy | None = None, seed: int = 0
) -> np.ndarray:
    """Goes on with every row by itself: prompts int64 [B,T] -> int64 [B,length].

    Row 0 takes the draws of `LanguageModel.sample`, and each row has a stream of its own: what a row becomes depends on
    its place and not on the others. For readable text, decode a row.
    """
    policy = policy or SamplingPolicy()
    policy.check_vocabulary(model.config.vocab_size)
    if prompts.ndim != 2 or prompts.size == 0 or prompts.dtype.kind not in "iu" or length < 0:
        raise ShapeError(
            f"prompts are {prompts.dtype} {list(prompts.shape)} and length={length}; "
            f"expected int64 [B,T] with at least one id, and 0 or more"
        )
    B = len(prompts)
    uniforms = [Draws(seed).one_each_step(f"sample/{row}" if row else "sample") for row in range(B)]
    state, out = model.zero_state(B), np.empty((B, length), np.int64)
    for tokens in prompts.T.astype(np.int64):  # a step at a time: logits [T,B,V] of words would be large
        logits, state = model.logits(tokens[None], state)
    for n in range(length):
        if n > 0:
            logits, state = model.logits(out[None, :, n - 1], state)
        out[:, n] = [model.choose(row, policy, next(u)) for row, u in zip(logits[-1], uniforms)]
    return out


def predict(
    model: LanguageModel,
    vocabulary: Vocabulary,
    char: str,
    state: State = None,
    *,
    policy: SamplingPolicy,
    draws: Draws,
) -> tuple[str, State]:
    """One token to the next: the one after `char` given `state` (None: the zero state), and the new state."""
    ids = vocabulary.encode(char)
    if len(ids) != 1:
        raise DataError(f"predict takes one token, {char!r} has {len(ids)}; for a longer text use generate")
    logits, state = model.logits(ids[:, None], model.zero_state(1) if state is None else state)
    token = model.choose(logits[-1, 0], policy, float(draws.uniform("sample", (1,))[0]))
    return vocabulary.decode([token]), state
