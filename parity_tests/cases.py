"""Random cases that can tell right from wrong: all sizes differ, every bias and state is nonzero, gradients from above
are random. Everything follows from what Hypothesis draws: sizes, rates, and a seed for the values."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from lstm_ref.core.batching import Window
from lstm_ref.core.config import LanguageModelConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.params import parameter_shapes
from lstm_ref.kernels.cell import CellParams

seeds = st.integers(0, 2**64 - 1)


def values(draws: Draws, name: str, *shape: int, scale: float = 1.0) -> np.ndarray:
    """float64 in [-scale, scale), of which none is 0 and no two are equal but by an accident of one in 2^52."""
    return scale * (2 * draws.uniform(f"test/{name}", shape) - 1)


@dataclass(frozen=True)
class LayerCase:
    """One layer on one window, with gradients from above on y and on the final state."""

    x: np.ndarray  # [T,B,I]
    h0: np.ndarray  # [B,H]
    c0: np.ndarray
    params: CellParams
    dy: np.ndarray  # [T,B,H]
    dh_n: np.ndarray  # [B,H]
    dc_n: np.ndarray

    @property
    def sizes(self) -> tuple[int, int, int, int]:
        """T, B, I, H."""
        return (*self.x.shape, self.h0.shape[1])

    def astype(self, dtype: np.typing.DTypeLike) -> "LayerCase":
        params = CellParams(*(array.astype(dtype) for array in self.params))
        arrays = (self.x, self.h0, self.c0, self.dy, self.dh_n, self.dc_n)
        x, h0, c0, dy, dh_n, dc_n = (array.astype(dtype) for array in arrays)
        return LayerCase(x, h0, c0, params, dy, dh_n, dc_n)


def layer_case(T: int, B: int, I: int, H: int, seed: int, scale: float = 1.0) -> LayerCase:
    draws = Draws(seed)
    shapes = {"weight_ih": (4 * H, I), "weight_hh": (4 * H, H), "bias_ih": (4 * H,), "bias_hh": (4 * H,)}
    return LayerCase(
        x=values(draws, "x", T, B, I),
        h0=values(draws, "h0", B, H),
        c0=values(draws, "c0", B, H),
        params=CellParams(**{name: values(draws, name, *shape, scale=scale) for name, shape in shapes.items()}),
        dy=values(draws, "dy", T, B, H),
        dh_n=values(draws, "dh_n", B, H),
        dc_n=values(draws, "dc_n", B, H),
    )


@st.composite
def layer_cases(draw: st.DrawFn, largest: int = 7) -> LayerCase:
    T, B, I, H = draw(st.lists(st.integers(1, largest), min_size=4, max_size=4, unique=True))
    return layer_case(T, B, I, H, draw(seeds), scale=draw(st.sampled_from([0.3, 1.0, 3.0])))


@dataclass(frozen=True)
class ModelCase:
    """A language model on one window, with carried state and dropout masks."""

    config: LanguageModelConfig
    params: dict[str, np.ndarray]
    window: Window
    state: list[tuple[np.ndarray, np.ndarray]]  # (h, c) of each layer
    draws: Draws

    @property
    def state_arrays(self) -> dict[str, np.ndarray]:
        return {f"{name}_l{k}": array for k, pair in enumerate(self.state) for name, array in zip("hc", pair)}


def model_case(config: LanguageModelConfig, T: int, B: int, draws: Draws) -> ModelCase:
    ids = (draws.uniform("test/ids", (T + 1, B)) * config.vocab_size).astype(np.int64)
    targets = (draws.uniform("test/targets", (T, B)) * config.vocab_size).astype(np.int64)
    params = {name: values(draws, name, *shape, scale=0.5) for name, shape in parameter_shapes(config).items()}
    state = [(values(draws, f"h{k}", B, H), values(draws, f"c{k}", B, H)) for k, H in enumerate(config.hidden_sizes)]
    return ModelCase(config, params, Window(ids[:T], targets), state, draws)


@st.composite
def model_cases(draw: st.DrawFn, largest: int = 8) -> ModelCase:
    """One to three layers, one-hot, embedded or tied, each regulariser on or off; all sizes that may differ do."""
    layers = draw(st.integers(1, 3))
    T, B, V, E, *hidden = draw(st.lists(st.integers(1, largest), min_size=4 + layers, max_size=4 + layers, unique=True))
    embedded = draw(st.booleans())
    tied = embedded and draw(st.booleans())
    rates, weights = st.sampled_from([0.0, 0.3, 0.5]), st.sampled_from([0.0, 0.0, 0.5, 2.0])
    config = LanguageModelConfig(
        vocab_size=V,
        embedding_size=E if embedded else 0,
        hidden_sizes=(*hidden[:-1], E) if tied else tuple(hidden),
        tied=tied,
        dropout_embedding=draw(rates) if embedded else 0.0,
        dropout_input=draw(rates) if embedded else 0.0,
        dropout_between=draw(rates),
        dropout_output=draw(rates),
        dropout_locked=draw(st.booleans()),
        weight_drop=draw(rates),
        ar_alpha=draw(weights),
        tar_beta=draw(weights),
    )
    return model_case(config, T, B, Draws(draw(seeds), draw(st.integers(0, 2**32 - 1))))
