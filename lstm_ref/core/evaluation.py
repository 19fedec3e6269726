"""How well a model predicts a text: a sum over its tokens, divided by how many there are. (The mean of the means of
windows would count a token of a short window more than one of a long one.)"""

from collections.abc import Callable, Iterable

from lstm_ref.core.batching import Window
from lstm_ref.core.language_model import LanguageModel


def mean_nll(
    model: LanguageModel,
    segments: Iterable[Iterable[Window]],
    before_window: Callable[[Window], None] = lambda window: None,
) -> tuple[float, int]:
    """The mean negative log-likelihood in nats a token, without dropout, and the number of tokens.

    segments: of core.batching.evaluation_segments; each starts from the zero state. before_window: told of each window
    before it is scored; what it raises ends the evaluation.
    """
    total, tokens = 0.0, 0
    for segment in segments:
        state = None
        for window in segment:
            before_window(window)
            state = model.zero_state(window.inputs.shape[1]) if state is None else state
            result = model.evaluate(window, state)
            state, total, tokens = result.state, total + result.total, tokens + result.tokens
    return total / tokens, tokens
