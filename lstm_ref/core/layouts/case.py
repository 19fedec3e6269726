"""What went into an LSTM and what came out of it: by this `identify` knows a right reading of the weights."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from lstm_ref.core.errors import ShapeError, UsageError
from lstm_ref.core.layouts.forward import Outputs
from lstm_ref.core.layouts.ours import Sizes

# Of the batch, and of time where y is given: enough to tell layouts apart, as R counts from step 2 on even if h0 is 0.
FIRST_ROWS, FIRST_STEPS = 2, 2


@dataclass(frozen=True, slots=True)
class Case:
    """float64: x [T,B,I]; y [T,B,D*H]; h0, c0, h_n, c_n [L*D,B,H]; None where not given."""

    x: np.ndarray
    y: np.ndarray | None = None
    h0: np.ndarray | None = None
    c0: np.ndarray | None = None
    h_n: np.ndarray | None = None
    c_n: np.ndarray | None = None

    @classmethod
    def of(cls, given: Mapping[str, np.ndarray | None]) -> "Case":
        """Raises ShapeError or UsageError unless they go together and there is something to compare with."""
        values = {name: np.asarray(value, np.float64) for name, value in given.items() if value is not None}
        if not {"y", "h_n", "c_n"} & values.keys():
            raise UsageError("nothing to compare with: give y, h_n or c_n")
        x, y = values["x"], values.get("y")
        if x.ndim != 3 or 0 in x.shape or (y is not None and (y.ndim != 3 or y.shape[:2] != x.shape[:2])):
            shapes = ", ".join(f"{name} {list(values[name].shape)}" for name in ("x", "y") if name in values)
            raise ShapeError(f"expected x [T,B,I] and y [T,B,H], got {shapes}")
        for name in ("h0", "c0", "h_n", "c_n"):
            if name in values:
                shape = values[name].shape
                values[name] = values[name][None] if len(shape) == 2 else values[name]
                if values[name].ndim != 3 or values[name].shape[1] != x.shape[1]:
                    raise ShapeError(f"{name} has shape {shape}, expected [L*D,B,H] or [B,H] with B={x.shape[1]}")
        return cls(**values)

    @property
    def has_states(self) -> bool:
        return any(state is not None for state in (self.h0, self.c0, self.h_n, self.c_n))

    @property
    def hidden(self) -> int:
        """H, if this is one layer in one direction."""
        given = (self.h0, self.c0, self.h_n, self.c_n, self.y)
        return next(value.shape[-1] for value in given if value is not None)

    def first(self, directions: int = 1) -> "Case":
        """A part of it, for a first look. The second direction has to come from the end, so time is then left whole."""
        rows, steps = slice(FIRST_ROWS), slice(FIRST_STEPS if self.y is not None and directions == 1 else None)
        states = {name: getattr(self, name) for name in ("h0", "c0", "h_n", "c_n")}
        cut = {name: None if value is None else value[:, rows] for name, value in states.items()}
        if self.y is not None:
            cut["y"] = self.y[steps, rows]
            cut |= {"h_n": None, "c_n": None} if len(self.y[steps]) < len(self.y) else {}
        return replace(self, x=self.x[steps, rows], **cut)

    def exchanged(self) -> "Case":
        """As it is for a system that puts c before h."""
        return replace(self, h0=self.c0, c0=self.h0, h_n=self.c_n, c_n=self.h_n)

    def start(self, sizes: Sizes) -> tuple[np.ndarray, np.ndarray]:
        """h0 [L*D,B,P] and c0 [L*D,B,H]."""
        shape = (sizes.layers * sizes.directions, self.x.shape[1])
        h0 = np.zeros((*shape, sizes.recurrent)) if self.h0 is None else self.h0
        return h0, np.zeros((*shape, sizes.hidden)) if self.c0 is None else self.c0

    def suits(self, sizes: Sizes) -> bool:
        """An LSTM of these sizes takes and gives arrays of these shapes."""
        count, B = sizes.layers * sizes.directions, self.x.shape[1]
        h, c, y = (count, B, sizes.recurrent), (count, B, sizes.hidden), sizes.directions * sizes.recurrent
        given = ((self.h0, h), (self.h_n, h), (self.c0, c), (self.c_n, c))
        suits = all(value is None or value.shape == shape for value, shape in given)
        return suits and sizes.inputs[0] == self.x.shape[-1] and (self.y is None or self.y.shape[-1] == y)

    def errors(self, outputs: Outputs) -> np.ndarray:
        """The largest |difference| from what came out, relative where that is larger than 1, for each reading that ran
        side by side (the leading axis, if any). NaN is infinitely wrong."""
        worst = np.zeros(outputs.y.shape[:-3])
        for given, found in zip((self.y, self.h_n, self.c_n), outputs):
            if given is not None:
                difference = np.abs(found.reshape(*worst.shape, -1) - given.reshape(-1)).max(axis=-1, initial=0)
                scale = max(1.0, float(np.abs(given).max(initial=0)))
                worst = np.maximum(worst, np.where(np.isnan(difference), np.inf, difference / scale))
        return worst
