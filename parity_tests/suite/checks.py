"""The checks, level by level. Each has its obligation in one sentence, its condition, its questions and its judge.

    L0 one cell      L1 a sequence with states      L2 gradients      L3 layers, directions, lengths, batch-first
    L4 loss, clipping, optimizer, batches           L5 the language model                L6 sampling

A check either compares with the judge, or states a property for which two answers of the same implementation are
compared with each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from parity_tests.suite import properties as prop
from parity_tests.suite import strategies as ask
from parity_tests.suite.adapter import Capabilities
from parity_tests.suite.judging import Judgement, compare
from parity_tests.suite.question import Question
from parity_tests.suite.witness import Witness

LEVELS = ("L0", "L1", "L2", "L3", "L4", "L5", "L6")
Strategy = st.SearchStrategy[Question]


@dataclass(frozen=True)
class Check:
    name: str
    level: str
    obligation: str
    operation: str
    questions: Callable[[Capabilities, str], Strategy]
    judge: Callable[[Witness, Question], list[Judgement]] = compare
    needs: tuple[str, ...] = ()  # capabilities that must be claimed: lengths, layers, directions, ...
    share: float = 1.0  # of the examples that a check usually gets

    def not_applicable(self, claims: Capabilities) -> str:
        """Why this implementation is not asked, or ''."""
        if self.operation not in claims.operations:
            return f"{self.operation} is not claimed"
        for need in self.needs:
            if need.startswith("drops:"):
                if need.removeprefix("drops:") not in claims.drops:
                    return f"dropout on {need.removeprefix('drops:')} is not claimed"
                continue
            value = getattr(claims, need.split("=")[0])
            if "=" in need:
                if value < int(need.split("=")[1]):
                    return f"{need.replace('=', ' >= ')} is not claimed"
            elif not value:
                return f"{need} is not claimed"
        return ""


def _layers(**fixed: Any) -> Callable[[Capabilities, str], Strategy]:
    return lambda claims, dtype: ask.layers(claims, dtype=dtype, **fixed)


def _plain(strategy: Callable[..., Strategy], **fixed: Any) -> Callable[[Capabilities, str], Strategy]:
    return lambda claims, dtype: strategy(dtype=dtype, **fixed)


ONE, LONG, WIDE = st.just(1), st.integers(8, 40), st.sampled_from([5, 8, 9, 16, 17])
ALL = ("dy", "dh_n", "dc_n")

CELL = [
    Check("cell", "L0", "One step gives h' and c' of the equations.", "forward", _layers(T=ONE)),
    Check(
        "cell-keeps-c",
        "L0",
        "With f = 1 and i = 0 the cell state stays as it is.",
        "forward",
        lambda claims, dtype: prop.keeping_cells(claims, dtype),
        prop.keeps_c,
        needs=("biases=1",),
        share=0.4,
    ),
    Check(
        "sum-of-biases",
        "L0",
        "Only the sum of the two biases matters to the forward pass.",
        "forward",
        _layers(T=ONE),
        prop.only_the_sum_of_biases_matters,
        needs=("biases=2",),
        share=0.4,
    ),
]

SEQUENCE = [
    Check("sequence", "L1", "Every step, and the final h and c, follow the equations.", "forward", _layers()),
    Check(
        "long-sequence",
        "L1",
        "They still do after dozens of steps.",
        "forward",
        _layers(T=LONG, H=st.integers(1, 2)),
        share=0.2,
    ),
    Check(
        "wide-layer",
        "L1",
        "They do at sizes that fill a vector register and spill.",
        "forward",
        _layers(H=WIDE),
        share=0.2,
    ),
    Check(
        "carried-state",
        "L1",
        "Two windows, the second started from the first's final state, equal one long window.",
        "forward",
        _layers(T=st.integers(2, 4)),
        prop.two_windows_equal_one,
        share=0.6,
    ),
    Check(
        "rows-do-not-interact",
        "L1",
        "A row of the batch gives the same alone.",
        "forward",
        _layers(),
        prop.rows_do_not_interact,
        share=0.6,
    ),
    Check(
        "units-have-no-order",
        "L1",
        "Renumbering the hidden units renumbers the answer and changes nothing else.",
        "forward",
        _layers(H=st.integers(2, 4)),
        prop.units_have_no_order,
        share=0.4,
    ),
    Check(
        "same-question-same-bits",
        "L1",
        "Asked twice, it gives the same bits.",
        "forward",
        _layers(),
        prop.repeats_itself,
        share=0.4,
    ),
]

GRADIENTS = [
    Check(
        "gradients",
        "L2",
        "All gradients, with gradients from above on y, h_n and c_n.",
        "backward",
        _layers(upstream=ALL),
    ),
    Check(
        "gradients-from-y",
        "L2",
        "With a gradient from above on y alone.",
        "backward",
        _layers(upstream=("dy",)),
        share=0.6,
    ),
    Check(
        "gradients-from-h_n", "L2", "With one on the final h alone.", "backward", _layers(upstream=("dh_n",)), share=0.6
    ),
    Check(
        "gradients-from-c_n", "L2", "With one on the final c alone.", "backward", _layers(upstream=("dc_n",)), share=0.6
    ),
    Check(
        "gradients-are-linear",
        "L2",
        "Twice the gradient from above gives twice every gradient.",
        "backward",
        _layers(upstream=ALL),
        prop.gradients_are_linear,
        share=0.4,
    ),
    Check(
        "gradients-one-unit",
        "L2",
        "All gradients of a layer of one unit.",
        "backward",
        _layers(H=ONE, upstream=ALL),
        share=0.6,
    ),
]


def _stack(name: str, obligation: str, needs: tuple[str, ...], **fixed: Any) -> list[Check]:
    """A case of L3, forward and, where claimed, backward."""
    return [
        Check(name, "L3", obligation, "forward", _layers(**fixed), needs=needs, share=0.6),
        Check(
            f"{name}-gradients",
            "L3",
            f"{obligation[:-1]}, and its gradients.",
            "backward",
            _layers(T=st.integers(1, 3), H=st.integers(1, 2), upstream=ALL, **fixed),
            needs=needs,
            share=0.4,
        ),
    ]


STACKS = [
    *_stack("two-layers", "The second layer reads the first's y.", ("layers=2",), layer_count=2),
    *_stack("three-layers", "The same at depth three.", ("layers=3",), layer_count=3),
    *_stack(
        "bidirectional", "The second direction reads from the end, and y holds both.", ("directions=2",), directions=2
    ),
    *_stack(
        "bidirectional-stack",
        "Two layers of two directions: the order of h_n, and the width of the second.",
        ("directions=2", "layers=2"),
        layer_count=2,
        directions=2,
    ),
    Check(
        "bidirectional-depth-3",
        "L3",
        "Gradients of a middle layer of two directions.",
        "backward",
        _layers(T=st.integers(1, 2), H=st.integers(1, 2), upstream=ALL, layer_count=3, directions=2),
        needs=("directions=2", "layers=3"),
        share=0.4,
    ),
    *_stack("lengths", "Rows end at their length: y is 0 beyond, h_n is the last inside.", ("lengths",), lengths=True),
    *_stack(
        "bidirectional-lengths",
        "The second direction starts at each row's own end.",
        ("lengths", "directions=2"),
        lengths=True,
        directions=2,
    ),
    *_stack("batch-first", "x and y are [B,T,.], h_n and c_n are not.", ("batch_first",), batch_first=True),
    *_stack("projections", "h is projected, c is not.", ("projections",), projections=True),
    *_stack("peepholes", "i and f see the old c, o sees the new.", ("peepholes",), peepholes=True),
    Check(
        "padding",
        "L3",
        "What stands beyond a row's length changes nothing.",
        "forward",
        _layers(lengths=True),
        prop.padding_changes_nothing,
        needs=("lengths",),
        share=0.4,
    ),
]

NUMBERS = [
    Check("loss", "L4", "Cross-entropy: a mean over tokens, in nats, with its gradient.", "loss", _plain(ask.losses)),
    Check(
        "loss-of-huge-logits",
        "L4",
        "Logits of ten thousand overflow nothing.",
        "loss",
        _plain(ask.losses, largest=1e4),
        share=0.6,
    ),
    Check(
        "loss-ignores-a-shift",
        "L4",
        "One number added to all logits of a token changes nothing.",
        "loss",
        _plain(ask.losses),
        prop.loss_ignores_a_shift,
        share=0.4,
    ),
    Check(
        "clip", "L4", "One norm over all gradients; scaled by min(1, max / (norm + 1e-6)).", "clip", _plain(ask.clips)
    ),
    Check(
        "adam",
        "L4",
        "Adam's updates, eps outside the root, with the learning rate of each step.",
        "adam",
        _plain(ask.updates, op="adam"),
    ),
    Check(
        "sgd", "L4", "p - lr g, with the learning rate of each step.", "sgd", _plain(ask.updates, op="sgd"), share=0.6
    ),
    Check(
        "batches",
        "L4",
        "Windows follow the text, and each target is the text's next id.",
        "batches",
        lambda claims, dtype: ask.batchings(),
    ),
    Check(
        "evaluate",
        "L4",
        "The mean over all tokens and its exponential; ragged windows count by tokens.",
        "evaluate",
        _plain(ask.evaluations),
    ),
    Check(
        "evaluate-long",
        "L4",
        "A sum over an epoch keeps its digits.",
        "evaluate",
        lambda claims, dtype: ask.long_evaluations(),
        share=0.1,
    ),
]

MODELS = [
    Check(
        "model",
        "L5",
        "Loss, next state and all gradients of a window, one-hot input.",
        "model",
        _plain(ask.models),
        share=0.4,
    ),
    Check(
        "model-embedding",
        "L5",
        "The same with an embedding; ids that repeat add up.",
        "model",
        _plain(ask.models, embedding=True),
        share=0.4,
    ),
    Check(
        "model-tied",
        "L5",
        "The tied matrix gets both gradients.",
        "model",
        _plain(ask.models, tied=True, layer_count=1),
        needs=("tied",),
        share=0.4,
    ),
    Check(
        "model-dropout",
        "L5",
        "Masks between and on top: scaled by 1/(1-p), the same on the way back.",
        "model",
        _plain(ask.models, drops=("l0", "l1")),
        needs=("drops:outputs",),
        share=0.4,
    ),
    Check(
        "model-evaluation",
        "L5",
        "Without masks nothing is dropped, whatever the rates.",
        "model",
        _plain(ask.evaluated_models),
        share=0.4,
    ),
    Check(
        "model-input-dropout",
        "L5",
        "A mask on the embedded input, the same on the way back.",
        "model",
        _plain(ask.models, embedding=True, drops=("input",), layer_count=1),
        needs=("drops:input",),
        share=0.4,
    ),
    Check(
        "model-word-dropout",
        "L5",
        "Embedding dropout takes whole word types, input dropout single numbers.",
        "model",
        _plain(ask.models, embedding=True, drops=("embedding", "input"), layer_count=1),
        needs=("drops:embedding", "drops:input"),
        share=0.4,
    ),
    Check(
        "model-weight-drop",
        "L5",
        "Weight drop masks W_hh for the whole window.",
        "model",
        _plain(ask.models, drops=("weight_hh_l0",), layer_count=1),
        needs=("drops:weight_hh",),
        share=0.4,
    ),
    Check(
        "training",
        "L5",
        "Windows of training: carried and detached state, clip, update.",
        "train",
        _plain(ask.models, op="train", layer_count=1),
        share=0.4,
    ),
    Check(
        "training-masks",
        "L5",
        "A fresh mask each window, on outputs and on W_hh.",
        "train",
        _plain(ask.models, op="train", drops=("l0", "weight_hh_l0"), layer_count=1),
        needs=("drops:outputs", "drops:weight_hh"),
        share=0.4,
    ),
]

SAMPLES = [
    Check(
        "sample",
        "L6",
        "Temperature, then top-k, then top-p; the first id whose cumulative sum exceeds u.",
        "sample",
        _plain(ask.samples),
        prop.samples_the_right_id,
        share=8,
    ),
    Check(
        "sample-edges",
        "L6",
        "Ties go by id, and u on a border takes the next id.",
        "sample",
        _plain(ask.samples, edges=True),
        prop.samples_the_right_id,
        share=4,
    ),
    Check(
        "generate",
        "L6",
        "The state goes on from token to token.",
        "generate",
        _plain(ask.models, op="generate", layer_count=1),
        prop.generates_the_right_ids,
        share=4,
    ),
]

CHECKS: tuple[Check, ...] = (*CELL, *SEQUENCE, *GRADIENTS, *STACKS, *NUMBERS, *MODELS, *SAMPLES)
