"""Text from a model: prime it, then let it go on.

The character seed's lengths hold: a text of len(prime) + 1 + size characters comes out, one predicted from the prime
and `size` more. Draw n decides character n after the prime. The seed also drew, and threw away, at every character of
the prime but the last, so that its draws moved with the prime's length; `draw_while_priming` keeps that.
"""

import codecs
from collections.abc import Iterator

from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import DataError
from lstm_ref.core.language_model import LanguageModel, SamplingPolicy, State
from lstm_ref.core.vocab import Vocabulary


def generate(
    model: LanguageModel,
    vocabulary: Vocabulary,
    size: int,
    prime: str = "The",
    policy: SamplingPolicy | None = None,
    seed: int = 0,
    draw_while_priming: bool = False,
) -> Iterator[str]:
    """Yields the prime, then the text as it comes. An empty prime starts from a character drawn uniformly.

    Raises DataError for characters of the prime that the model does not know, ConfigError for top_k > V.
    """
    policy, draws = policy or SamplingPolicy(), Draws(seed)
    policy.check_vocabulary(len(vocabulary))
    if size < 0:
        raise DataError(f"size={size}: expected 0 or more characters")
    try:
        ids = vocabulary.encode(prime).tolist()
    except DataError as error:
        raise DataError(f"prime {prime!r}: {error}") from None
    count = size + 1
    if not ids:
        ids = [int(draws.uniform("sample_start", (1,))[0] * len(vocabulary))]
        prime, count = vocabulary.decode(ids), size
    yield prime
    first_draw = len(ids) - 1 if draw_while_priming else 0
    tokens = model.sample(ids, count, policy, draws, first_draw)
    if vocabulary.kind == "char":
        yield from (vocabulary.tokens[token] for token in tokens)
        return
    decoder = codecs.getincrementaldecoder("utf-8")("replace")  # a character's bytes come one at a time
    yield from (decoder.decode(bytes([token])) for token in tokens)
    yield decoder.decode(b"", final=True)


def predict(
    model: LanguageModel,
    vocabulary: Vocabulary,
    char: str,
    state: State = None,
    *,
    policy: SamplingPolicy,
    draws: Draws,
) -> tuple[str, State]:
    """One character to the next: the character after `char` given `state` (None: the zero state), and the new state."""
    ids = vocabulary.encode(char)
    if len(ids) != 1:
        raise DataError(f"predict takes one token, {char!r} has {len(ids)}; for a longer text use generate")
    logits, state = model.logits(ids[:, None], model.zero_state(1) if state is None else state)
    token = model.choose(logits[-1, 0], policy, float(draws.uniform("sample", (1,))[0]))
    return vocabulary.decode([token]), state
