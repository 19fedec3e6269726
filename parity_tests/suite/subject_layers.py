r"""Layers over time: directions, layers, rows that end early. The operations `forward` and `backward`.

    h_t, c_t = cell(x_t, h_t-1, c_t-1),   t = 1..T, or T..1 in the second direction     (1)
    y_t = [h_t of the first direction, h_t of the second]                               (2)
    x of the next layer = y                                                             (3)

A row of length n takes part in steps 1..n only: after its end its state is kept and its y is 0; in the second
direction it starts at step n. That is what torch.nn.LSTM does with a packed sequence.

Shapes: x [T,B,I]; y [T,B,D*P]; h0, h_n [L*D,B,P]; c0, c_n [L*D,B,H], layer by layer, each with its directions.

Proved by parity_tests/suite_tests/test_subject.py.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from parity_tests.suite.question import Answer, Question, layer_names
from parity_tests.suite.subject_cell import Cell, Gradients, Step, Weights

State = tuple[np.ndarray, np.ndarray]  # h, c


class Run(NamedTuple):
    """One direction of one layer over all steps, as the backward pass needs it."""

    steps: dict[int, Step]  # by t
    weights: Weights
    reverse: bool
    lengths: np.ndarray | None


class Layers(Cell):
    """(1) to (3) and their gradients."""

    # ---- one direction of one layer ---------------------------------------------------------------------------------

    def initial_state(self, h0: np.ndarray, c0: np.ndarray) -> State:
        return h0, c0

    def carry_h(self, h: np.ndarray, h0: np.ndarray) -> np.ndarray:
        return h

    def carry_c(self, c: np.ndarray, c0: np.ndarray) -> np.ndarray:
        return c

    def times(self, T: int, reverse: bool) -> Sequence[int]:
        return range(T - 1, -1, -1) if reverse else range(T)

    def place_of_output(self, t: int, T: int, reverse: bool) -> int:
        """Where y holds the answer to x_t."""
        return t

    def alive(self, t: int, lengths: np.ndarray | None, B: int) -> np.ndarray:
        """bool [B,1]: the rows that have a step t."""
        return np.ones((B, 1), bool) if lengths is None else (t < lengths)[:, None]

    def hold(self, alive: np.ndarray, new: np.ndarray, old: np.ndarray, reverse: bool) -> np.ndarray:
        """The state of a row that has ended, or not begun, stays."""
        return np.where(alive, new, old)

    def padded_output(self, alive: np.ndarray, h: np.ndarray) -> np.ndarray:
        return np.where(alive, h, 0)

    def sequence_forward(
        self, x: np.ndarray, h0: np.ndarray, c0: np.ndarray, w: Weights, lengths: np.ndarray | None, reverse: bool
    ) -> tuple[np.ndarray, State, Run]:
        """Returns y [T,B,P], (h_n, c_n) and what backward needs."""
        T, B = x.shape[:2]
        h0, c0 = self.initial_state(h0, c0)
        h, c, y, steps = h0, c0, {}, {}
        for t in self.times(T, reverse):
            step = self.cell_forward(x[t], self.carry_h(h, h0), self.carry_c(c, c0), w)
            alive = self.alive(t, lengths, B)
            h, c = self.hold(alive, step.h_next, h, reverse), self.hold(alive, step.c_next, c, reverse)
            y[self.place_of_output(t, T, reverse)] = self.padded_output(alive, step.h_next)
            steps[t] = step
        return np.stack([y[t] for t in range(T)]), (h, c), Run(steps, w, reverse, lengths)

    def gradient_from_above(self, dy: np.ndarray) -> np.ndarray:
        return dy

    def final_gradients(self, dh_n: np.ndarray, dc_n: np.ndarray) -> State:
        return dh_n, dc_n

    def initial_gradients(self, dh0: np.ndarray, dc0: np.ndarray) -> State:
        return dh0, dc0

    def d_hidden(self, dy: np.ndarray, dh: np.ndarray) -> np.ndarray:
        """h_t reaches the loss by y_t and by the next step."""
        return dy + dh

    def in_time_order(self, dx: dict[int, np.ndarray], T: int) -> np.ndarray:
        return np.stack([dx[t] for t in range(T)])

    def sequence_backward(
        self, dy: np.ndarray, dh_n: np.ndarray, dc_n: np.ndarray, run: Run
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, Gradients]:
        """Returns dx [T,B,I], dh0, dc0, and the gradients by the names of `Weights`."""
        T, B = dy.shape[:2]
        grads = {name: np.zeros_like(v) for name, v in run.weights._asdict().items() if v is not None}
        dy = self.gradient_from_above(dy)
        dh, dc = self.final_gradients(dh_n, dc_n)
        dx = {}
        for t in reversed(self.times(T, run.reverse)):
            alive = self.alive(t, run.lengths, B)
            dy_t = dy[self.place_of_output(t, T, run.reverse)]
            dh_t, dc_t = np.where(alive, self.d_hidden(dy_t, dh), 0), np.where(alive, dc, 0)
            dx[t], dh_before, dc_before = self.cell_backward(dh_t, dc_t, run.steps[t], run.weights, grads)
            dh, dc = np.where(alive, dh_before, dh), np.where(alive, dc_before, dc)
        dh0, dc0 = self.initial_gradients(dh, dc)
        return self.in_time_order(dx, T), dh0, dc0, grads

    # ---- one layer in all its directions ----------------------------------------------------------------------------

    def both_directions(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate(outputs, axis=-1)

    def layer_forward(
        self, x: np.ndarray, states: Sequence[State], directions: Sequence[Weights], lengths: np.ndarray | None
    ) -> tuple[np.ndarray, list[State], list[Run]]:
        """Returns y [T,B,D*P], (h_n, c_n) of each direction, and what backward needs."""
        outputs, finals, runs = [], [], []
        for d, (w, (h0, c0)) in enumerate(zip(directions, states)):
            y, final, run = self.sequence_forward(x, h0, c0, w, lengths, reverse=d == 1)
            outputs.append(y)
            finals.append(final)
            runs.append(run)
        return self.both_directions(outputs), finals, runs

    def dy_of_direction(self, dy: np.ndarray, d: int, D: int, dx_before: np.ndarray | None, middle: bool) -> np.ndarray:
        """The part of dy [T,B,D*P] that belongs to direction d. dx_before: dx of the first direction, once it is known;
        middle: neither the first layer nor the last. The right gradient needs neither; a wrong one does."""
        return np.split(dy, D, axis=-1)[d]

    def sum_of_directions(self, dx: Sequence[np.ndarray]) -> np.ndarray:
        return sum(dx[1:], dx[0])

    def layer_backward(
        self, dy: np.ndarray, finals: Sequence[State], runs: Sequence[Run], middle: bool = False
    ) -> tuple[np.ndarray, list[State], list[Gradients]]:
        """finals: (dh_n, dc_n) of each direction. Returns dx, (dh0, dc0) of each, and the gradients of each."""
        dx, initials, grads = [], [], []
        for d, ((dh_n, dc_n), run) in enumerate(zip(finals, runs)):
            part = self.dy_of_direction(dy, d, len(runs), dx[0] if d else None, middle)
            dx_d, dh0, dc0, grad = self.sequence_backward(part, dh_n, dc_n, run)
            dx.append(dx_d)
            initials.append((dh0, dc0))
            grads.append(grad)
        return self.sum_of_directions(dx), initials, grads

    # ---- the stack of layers ----------------------------------------------------------------------------------------

    def layer_weights(self, weights: Mapping[str, np.ndarray], suffix: str) -> Weights:
        return Weights(**{name: weights[name + suffix] for name in Weights._fields if name + suffix in weights})

    def layers_of(self, weights: Mapping[str, np.ndarray]) -> list[list[Weights]]:
        """The weights of each layer, of one direction or two."""
        suffixes = layer_names(weights)
        D = 1 + any(suffix.endswith("_reverse") for suffix in suffixes)
        loaded = [self.layer_weights(weights, suffix) for suffix in suffixes]
        return [loaded[k : k + D] for k in range(0, len(loaded), D)]

    def states_of_layer(self, states: Sequence[State], layer: int, D: int) -> Sequence[State]:
        return states[layer * D : (layer + 1) * D]

    def state_order(self, L: int, D: int) -> list[int]:
        """Where h0 and h_n hold the state of (layer, direction), in the order in which the layers are run."""
        return [layer * D + d for layer in range(L) for d in range(D)]

    def swap_batch_and_time(self, x: np.ndarray) -> np.ndarray:
        return np.swapaxes(x, 0, 1)

    def stack_forward(self, question: Question) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[list[Run]]]:
        """(1) to (3) for all layers. Returns y, h_n, c_n, and the runs of each layer."""
        arrays = question.arrays
        layers = self.layers_of(question.weights())
        L, D = len(layers), len(layers[0])
        order = self.state_order(L, D)
        states, finals, tape = [(arrays["h0"][n], arrays["c0"][n]) for n in order], [], []
        x = self.swap_batch_and_time(arrays["x"]) if question.settings.get("batch_first") else arrays["x"]
        for k, directions in enumerate(layers):
            x, final, runs = self.layer_forward(
                x, self.states_of_layer(states, k, D), directions, arrays.get("lengths")
            )
            finals += final
            tape.append(runs)
        y = self.swap_batch_and_time(x) if question.settings.get("batch_first") else x
        return y, *self.in_state_order(finals, order), tape

    def in_state_order(self, states: Sequence[State], order: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """States in running order -> h [L*D,B,P], c [L*D,B,H]."""
        placed = sorted(zip(order, states), key=lambda pair: pair[0])
        return np.stack([h for _, (h, _) in placed]), np.stack([c for _, (_, c) in placed])

    def answer_forward(self, question: Question) -> Answer:
        y, h_n, c_n, _ = self.stack_forward(question)
        return {"y": y, "h_n": h_n, "c_n": c_n}

    def answer_backward(self, question: Question) -> Answer:
        arrays, batch_first = question.arrays, question.settings.get("batch_first")
        *_, tape = self.stack_forward(question)
        L, D = len(tape), len(tape[0])
        order = self.state_order(L, D)
        finals = [(arrays["dh_n"][n], arrays["dc_n"][n]) for n in order]
        suffixes = layer_names(question.weights())
        dx = self.swap_batch_and_time(arrays["dy"]) if batch_first else arrays["dy"]
        initials: list[State] = []
        answer: Answer = {}
        for k in reversed(range(L)):
            place = slice(k * D, (k + 1) * D)
            dx, initial, grads = self.layer_backward(dx, finals[place], tape[k], middle=0 < k < L - 1)
            initials = initial + initials
            for suffix, grad in zip(suffixes[place], grads):
                answer |= {f"d{name}{suffix}": value for name, value in grad.items()}
        dh0, dc0 = self.in_state_order(initials, order)
        return {"dx": self.swap_batch_and_time(dx) if batch_first else dx, "dh0": dh0, "dc0": dc0, **answer}
