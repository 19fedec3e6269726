"""The questions about language models: a window, training, generating."""

from collections.abc import Iterator

import numpy as np

from parity_tests.suite.question import Question
from parity_tests.vectors.grid import Case, Grid


def model_arrays(grid: Grid, V: int, E: int, H: tuple[int, ...], tied: bool = False) -> dict[str, np.ndarray]:
    """Parameters of a language model. E = 0: one-hot input."""
    arrays: dict[str, np.ndarray] = {"embedding.weight": grid(V, E)} if E else {}
    for k, (I, units) in enumerate(zip((E or V, *H), H)):
        arrays[f"lstm.weight_ih_l{k}"], arrays[f"lstm.weight_hh_l{k}"] = grid(4 * units, I), grid(4 * units, units)
        arrays[f"lstm.bias_ih_l{k}"], arrays[f"lstm.bias_hh_l{k}"] = grid(4 * units), grid(4 * units)
    if not tied:
        arrays["decoder.weight"] = grid(V, H[-1])
    return arrays | {"decoder.bias": grid(V)}


def model_question(seed: int, V: int, E: int, H: tuple[int, ...], tied: bool = False, **rates: float) -> Question:
    """A window of T = 3, B = 2; rates: where a mask falls -> its p. About a quarter of each mask is dropped."""
    grid, (T, B) = Grid(seed), (3, 2)
    arrays = model_arrays(grid, V, E, H, tied)
    arrays["inputs"], arrays["targets"] = np.array([[1, 4], [3, 1], [1, 0]]), np.array([[3, 1], [1, 0], [2, 4]])
    for k, units in enumerate(H):
        arrays[f"h0_l{k}"], arrays[f"c0_l{k}"] = grid(B, units), grid(B, units)
    shapes = {"input": (T, B, E), "embedding": (V,)}
    for k, units in enumerate(H):
        shapes |= {f"l{k}": (T, B, units), f"weight_hh_l{k}": (4 * units, units)}
    for where in rates:
        arrays[f"mask.{where}"] = grid(*shapes[where]) > -0.5
    return Question("model", arrays, {"rates": rates, "tied": tied})


def model_cases() -> Iterator[Case]:
    yield Case(
        "model_one_hot",
        "A character model without embedding: loss, next state and all gradients.",
        model_question(51, 5, 0, (3,)),
    )
    yield Case(
        "model_masks",
        "Embedding, two layers, a dropout mask on the input and on both outputs; inputs repeat, so"
        " gradients of the embedding add up.",
        model_question(52, 5, 4, (3, 2), input=0.25, l0=0.375, l1=0.125),
    )
    yield Case(
        "model_tied",
        "The decoder is the embedding: its gradient is the sum of both uses. Masks on rows of the"
        " embedding and on weight_hh.",
        model_question(53, 5, 3, (3,), tied=True, embedding=0.25, weight_hh_l0=0.375),
    )
    grid = Grid(54)
    arrays = model_arrays(grid, 4, 0, (2,))
    arrays["inputs"] = np.array([[[0, 3], [1, 2]], [[2, 1], [3, 0]]])
    arrays["targets"] = np.array([[[1, 2], [2, 1]], [[3, 0], [1, 1]]])
    arrays |= {"h0_l0": grid(2, 2), "c0_l0": grid(2, 2), "lr": np.array([0.5, 0.25])}
    yield Case(
        "train",
        "Two windows of SGD: the state is carried, its gradient is not; the first gradient is clipped.",
        Question("train", arrays, {"rates": {}, "tied": False, "clip": 0.5}),
    )
    grid = Grid(65)
    arrays = model_arrays(grid, 5, 3, (4,))
    arrays = {name: 3 * array for name, array in arrays.items()}
    arrays |= {
        "prime": np.array([2, 0, 4]),
        "u": np.array([0.875, 0.125, 0.625, 0.9375, 0.4375, 0.3125, 0.71875, 0.53125]),
    }
    settings = {"tied": False, "temperature": 0.75, "top_k": 3, "top_p": None}
    yield Case(
        "generate",
        "The whole prime runs through from the zero state; each draw is the next input, and the state goes on.",
        Question("generate", arrays, settings),
    )
