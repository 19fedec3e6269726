r"""A right LSTM in float64, from the equations alone, that gives the expected answers of the published suites.

    a = x W_ih^T + b_ih + h W_hh^T + b_hh,   a = [a_i a_f a_g a_o]       (1)
    i, f = s(a_i + p_i*c, a_f + p_f*c);   g = t(a_g)                     (2)  p = 0 without peepholes
    c' = f*c + i*g;   o = s(a_o + p_o*c');   h' = o*u(c')                (3)

s, t and u are sigmoid, tanh and tanh [Hochreiter & Schmidhuber 1997; Gers et al. 2000], or what the setting
`activations` names: WebNN's tests put relu for all three. The judge of this suite is another implementation
(referee.py); test_published.py compares the two, and both with the constants that the suites print.
"""

import numpy as np

from parity_tests.suite.question import Answer, Question, layer_names

ACTIVATIONS = {
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
}


def right(question: Question) -> Answer:
    """The answer to a forward question of one layer, in either or both directions. A row past its length keeps its
    state, and y is 0 there."""
    arrays, batch_first = question.arrays, question.settings.get("batch_first", False)
    x = arrays["x"].swapaxes(0, 1) if batch_first else arrays["x"]
    T, B, _ = x.shape
    lengths = arrays.get("lengths", np.full(B, T))
    s, t, u = (ACTIVATIONS[name] for name in question.settings.get("activations", ("sigmoid", "tanh", "tanh")))
    ys, hs, cs = [], [], []
    for k, suffix in enumerate(layer_names(arrays)):
        W_ih, W_hh, b_ih, b_hh = (arrays[name + suffix] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"))
        H = W_hh.shape[1]
        p_i, p_f, p_o = np.split(arrays.get(f"peephole{suffix}", np.zeros(3 * H)), 3)
        h, c, y = arrays["h0"][k], arrays["c0"][k], np.zeros((T, B, H))
        for step in reversed(range(T)) if suffix.endswith("_reverse") else range(T):
            a_i, a_f, a_g, a_o = np.split(x[step] @ W_ih.T + b_ih + h @ W_hh.T + b_hh, 4, axis=1)  # (1)
            i, f, g = s(a_i + p_i * c), s(a_f + p_f * c), t(a_g)  # (2)
            c_next = f * c + i * g  # (3)
            h_next = s(a_o + p_o * c_next) * u(c_next)
            inside = (step < lengths)[:, None]
            h, c, y[step] = np.where(inside, h_next, h), np.where(inside, c_next, c), np.where(inside, h_next, 0)
        ys, hs, cs = [*ys, y], [*hs, h], [*cs, c]
    y = np.concatenate(ys, axis=-1)
    return {"y": y.swapaxes(0, 1) if batch_first else y, "h_n": np.stack(hs), "c_n": np.stack(cs)}


def expect(question: Question, outputs: tuple[str, ...], windows: int = 1) -> Answer:
    """The named outputs of the right LSTM after so many windows with carried state."""
    for _ in range(windows):
        answer = right(question)
        question = question.with_arrays(h0=answer["h_n"], c0=answer["c_n"])
    return {name: answer[name] for name in outputs}
