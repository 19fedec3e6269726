r"""One LSTM step and its gradient in plain NumPy, every line of the equations a method of its own.

    a  = x W_ih^T + h W_hh^T + b_ih + b_hh,   a = [a_i a_f a_g a_o]                  (1)
    i  = sigmoid(a_i + p_i c),   f = sigmoid(a_f + p_f c),   g = tanh(a_g)           (2)
    c' = f c + i g                                                                   (3)
    o  = sigmoid(a_o + p_o c')                                                       (4)
    h' = (o tanh(c')) W_hr^T                                                         (5)

[Hochreiter & Schmidhuber 1997; forget gate Gers et al. 2000; peepholes p Gers & Schmidhuber 2000; projection W_hr Sak
et al. 2014]. Without peepholes p = 0, without a projection W_hr is left out. The letters d<name> are the gradient of
the loss by <name>, and the backward lines carry the number of the line that they reverse.

Shapes: x [B,I]; h [B,P] (P = H without projection); c and each gate [B,H]; a [B,4H]; weight_ih [4H,I]; weight_hh
[4H,P]; bias_ih, bias_hh [4H]; weight_hr [P,H]; peephole [3H]. Any float dtype, and complex, kept throughout.

Proved by parity_tests/suite_tests/test_subject.py.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Gradients = dict[str, np.ndarray]


class Activation(NamedTuple):
    """A function, and its derivative as a function of its value."""

    value: Callable[[np.ndarray], np.ndarray]
    slope: Callable[[np.ndarray], np.ndarray]


def sigmoid(a: np.ndarray) -> np.ndarray:
    """1/(1+exp(-a)), with an exponent that is never positive: exp cannot overflow. `.real` is for complex numbers,
    which have no order."""
    positive = a.real >= 0
    power = np.exp(np.where(positive, -a, a))
    return np.where(positive, 1, power) / (1 + power)


SIGMOID = Activation(sigmoid, lambda s: s * (1 - s))
TANH = Activation(np.tanh, lambda t: 1 - t * t)
IDENTITY = Activation(lambda a: a, np.ones_like)


class Weights(NamedTuple):
    """The parameters of one layer and direction."""

    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray
    bias_hh: np.ndarray
    weight_hr: np.ndarray | None = None
    peephole: np.ndarray | None = None


class Step(NamedTuple):
    """What the backward pass needs of the forward pass."""

    x: np.ndarray
    h: np.ndarray
    c: np.ndarray
    i: np.ndarray
    f: np.ndarray
    g: np.ndarray
    o: np.ndarray
    c_next: np.ndarray
    tanh_c: np.ndarray
    h_next: np.ndarray


class Cell:
    """The lines (1) to (5) and their gradients."""

    gates = "ifgo"  # the order of the blocks in a, the weights and the biases
    peepholes = "ifo"  # the order in the peephole vector
    gate_activation = SIGMOID
    candidate_activation = TANH
    cell_activation = TANH

    # ---- (1) --------------------------------------------------------------------------------------------------------

    def input_matrix(self, weight_ih: np.ndarray) -> np.ndarray:
        return weight_ih

    def recurrent_matrix(self, weight_hh: np.ndarray) -> np.ndarray:
        return weight_hh

    def input_product(self, x: np.ndarray, weight_ih: np.ndarray) -> np.ndarray:
        return x @ self.input_matrix(weight_ih).T

    def recurrent_product(self, h: np.ndarray, weight_hh: np.ndarray) -> np.ndarray:
        return h @ self.recurrent_matrix(weight_hh).T

    def bias(self, bias_ih: np.ndarray, bias_hh: np.ndarray) -> np.ndarray:
        return bias_ih + bias_hh

    def pre_activations(self, x: np.ndarray, h: np.ndarray, w: Weights) -> np.ndarray:
        products = self.input_product(x, w.weight_ih) + self.recurrent_product(h, w.weight_hh)
        return products + self.bias(w.bias_ih, w.bias_hh)

    def split_gates(self, a: np.ndarray) -> tuple[np.ndarray, ...]:
        """a -> a_i, a_f, a_g, a_o."""
        parts = dict(zip(self.gates, np.split(a, 4, axis=-1)))
        return tuple(parts[gate] for gate in "ifgo")

    def join_gates(self, *gates: np.ndarray) -> np.ndarray:
        """The inverse of split_gates."""
        parts = dict(zip("ifgo", gates))
        return np.concatenate([parts[gate] for gate in self.gates], axis=-1)

    def split_peephole(self, peephole: np.ndarray | None) -> tuple[np.ndarray | None, ...]:
        """-> p_i, p_f, p_o, or three times None."""
        if peephole is None:
            return None, None, None
        parts = dict(zip(self.peepholes, np.split(peephole, 3)))
        return tuple(parts[gate] for gate in "ifo")

    # ---- (2) to (5) -------------------------------------------------------------------------------------------------

    def peep(self, a: np.ndarray, p: np.ndarray | None, c: np.ndarray) -> np.ndarray:
        return a if p is None else a + p * c

    def seen_by_output_gate(self, c: np.ndarray, c_next: np.ndarray) -> np.ndarray:
        return c_next

    def input_gate(self, a_i: np.ndarray) -> np.ndarray:
        return self.gate_activation.value(a_i)

    def forget_gate(self, a_f: np.ndarray, i: np.ndarray) -> np.ndarray:
        return self.gate_activation.value(a_f)

    def output_gate(self, a_o: np.ndarray) -> np.ndarray:
        return self.gate_activation.value(a_o)

    def candidate(self, a_g: np.ndarray) -> np.ndarray:
        return self.candidate_activation.value(a_g)

    def cell_update(self, f: np.ndarray, c: np.ndarray, i: np.ndarray, g: np.ndarray) -> np.ndarray:
        return f * c + i * g

    def output(self, o: np.ndarray, tanh_c: np.ndarray) -> np.ndarray:
        return o * tanh_c

    def project(self, output: np.ndarray, weight_hr: np.ndarray | None) -> np.ndarray:
        return output if weight_hr is None else output @ weight_hr.T

    def cell_forward(self, x: np.ndarray, h: np.ndarray, c: np.ndarray, w: Weights) -> Step:
        p_i, p_f, p_o = self.split_peephole(w.peephole)
        a_i, a_f, a_g, a_o = self.split_gates(self.pre_activations(x, h, w))  # (1)
        i = self.input_gate(self.peep(a_i, p_i, c))  # (2)
        f = self.forget_gate(self.peep(a_f, p_f, c), i)
        g = self.candidate(a_g)
        c_next = self.cell_update(f, c, i, g)  # (3)
        o = self.output_gate(self.peep(a_o, p_o, self.seen_by_output_gate(c, c_next)))  # (4)
        tanh_c = self.cell_activation.value(c_next)  # (5)
        h_next = self.project(self.output(o, tanh_c), w.weight_hr)
        return Step(x, h, c, i, f, g, o, c_next, tanh_c, h_next)

    # ---- the gradient, from (5) to (1) ------------------------------------------------------------------------------

    def d_projected(self, dh: np.ndarray, weight_hr: np.ndarray | None) -> np.ndarray:
        return dh if weight_hr is None else dh @ weight_hr

    def cell_slope(self, tanh_c: np.ndarray, c_next: np.ndarray) -> np.ndarray:
        return self.cell_activation.slope(tanh_c)

    def d_cell(self, dc: np.ndarray, through_output: np.ndarray) -> np.ndarray:
        """c' reaches the loss twice: by the next step's (3), which is dc, and by this step's (5)."""
        return dc + through_output

    def d_output_gate(self, d_output: np.ndarray, tanh_c: np.ndarray) -> np.ndarray:
        return d_output * tanh_c

    def d_input_gate(self, dc: np.ndarray, g: np.ndarray) -> np.ndarray:
        return dc * g

    def d_forget_gate(self, dc: np.ndarray, c: np.ndarray, c_next: np.ndarray) -> np.ndarray:
        return dc * c

    def d_candidate(self, dc: np.ndarray, i: np.ndarray) -> np.ndarray:
        return dc * i

    def d_c_previous(self, dc: np.ndarray, f: np.ndarray) -> np.ndarray:
        return dc * f

    def gate_slope(self, gate: np.ndarray) -> np.ndarray:
        return self.gate_activation.slope(gate)

    def candidate_slope(self, g: np.ndarray) -> np.ndarray:
        return self.candidate_activation.slope(g)

    def d_through_peephole(self, da: np.ndarray, p: np.ndarray | None) -> np.ndarray | float:
        return 0.0 if p is None else da * p

    def d_x(self, da: np.ndarray, weight_ih: np.ndarray) -> np.ndarray:
        return da @ self.input_matrix(weight_ih)

    def d_h_previous(self, da: np.ndarray, weight_hh: np.ndarray) -> np.ndarray:
        return da @ self.recurrent_matrix(weight_hh)

    def d_weight_ih(self, da: np.ndarray, x: np.ndarray) -> np.ndarray:
        return da.T @ x

    def d_weight_hh(self, da: np.ndarray, h: np.ndarray, h_next: np.ndarray) -> np.ndarray:
        return da.T @ h

    def d_bias_ih(self, da: np.ndarray) -> np.ndarray:
        return da.sum(axis=0)

    def d_bias_hh(self, da: np.ndarray) -> np.ndarray:
        return da.sum(axis=0)

    def accumulate(self, total: np.ndarray, addend: np.ndarray) -> np.ndarray:
        """Over the steps: all steps share the weights."""
        return total + addend

    def cell_backward(
        self, dh: np.ndarray, dc: np.ndarray, step: Step, w: Weights, grads: Gradients
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """dh [B,P], dc [B,H]: all that reaches h' and c' from above and from later steps. Adds to `grads`, which has
        the names of `Weights`; returns dx [B,I], and dh [B,P], dc [B,H] of the step before."""
        x, h, c, i, f, g, o, c_next, tanh_c, h_next = step
        p_i, p_f, p_o = self.split_peephole(w.peephole)
        d_output = self.d_projected(dh, w.weight_hr)  # (5)
        da_o = self.d_output_gate(d_output, tanh_c) * self.gate_slope(o)  # (5), (4)
        dc = self.d_cell(dc, d_output * o * self.cell_slope(tanh_c, c_next)) + self.d_through_peephole(da_o, p_o)
        da_i = self.d_input_gate(dc, g) * self.gate_slope(i)  # (3), (2)
        da_f = self.d_forget_gate(dc, c, c_next) * self.gate_slope(f)
        da_g = self.d_candidate(dc, i) * self.candidate_slope(g)
        dc_previous = self.d_c_previous(dc, f)  # (3)
        dc_previous = dc_previous + self.d_through_peephole(da_i, p_i) + self.d_through_peephole(da_f, p_f)  # (2)
        da = self.join_gates(da_i, da_f, da_g, da_o)
        parts = {
            "weight_ih": self.d_weight_ih(da, x),  # (1)
            "weight_hh": self.d_weight_hh(da, h, h_next),
            "bias_ih": self.d_bias_ih(da),
            "bias_hh": self.d_bias_hh(da),
        }
        if w.weight_hr is not None:
            parts["weight_hr"] = dh.T @ self.output(o, tanh_c)  # (5)
        if w.peephole is not None:
            seen = {"i": da_i * c, "f": da_f * c, "o": da_o * c_next}
            parts["peephole"] = np.concatenate([seen[gate].sum(axis=0) for gate in self.peepholes])  # (2), (4)
        for name, addend in parts.items():
            grads[name] = self.accumulate(grads[name], addend)
        return self.d_x(da, w.weight_ih), self.d_h_previous(da, w.weight_hh), dc_previous
