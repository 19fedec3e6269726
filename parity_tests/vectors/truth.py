"""What is right: the answer to a question in multi-precision, with its gradients checked before they are believed."""

from typing import Any

import numpy as np
from mpmath import mp

from parity_tests.suite.question import Question
from parity_tests.vectors import language_model, layers, operations
from parity_tests.vectors.multiprecision import DIGITS, Exact, central_differences, exact

CHECKED_TO = "1e-45"  # relative to the largest of an array: central differences leave 80 digits, backward about 58


def exact_answer(question: Question) -> Exact:
    """Names as in parity_tests/suite/question.py; real arrays hold mpmath numbers, ids int64."""
    with mp.workdps(DIGITS):
        answer = OPERATIONS[question.op](question, {n: _lift(a) for n, a in question.arrays.items()})
        return {name: np.asarray(values) for name, values in answer.items()}


def _lift(array: np.ndarray) -> np.ndarray:
    return exact(array) if array.dtype.kind == "f" else array


def _lengths(arrays: Exact) -> np.ndarray:
    T, B, _ = arrays["x"].shape
    return arrays.get("lengths", np.full(B, T))


def _forward(question: Question, arrays: Exact) -> dict[str, Any]:
    return dict(zip(("y", "h_n", "c_n"), layers.forward(arrays, _lengths(arrays))))


def _backward(question: Question, arrays: Exact) -> dict[str, Any]:
    return layers.backward(arrays, _lengths(arrays))


def _loss(question: Question, arrays: Exact) -> dict[str, Any]:
    logits, targets = arrays["logits"], arrays["targets"]
    return {
        "loss": operations.cross_entropy(logits, targets),
        "dlogits": operations.cross_entropy_backward(logits, targets),
    }


def _sample(question: Question, arrays: Exact) -> dict[str, Any]:
    return {"id": np.int64(operations.sample(arrays["logits"], arrays["u"], **question.settings))}


def _model_inputs(question: Question, arrays: Exact):
    """Parameters, state, and where -> mask/(1-p)."""
    count = sum(name.startswith("h0_l") for name in arrays)
    rates = question.settings.get("rates", {})
    drops = {where: exact(mask) / (1 - mp.mpf(rates[where])) for where, mask in question.masks().items()}
    params = {name: arrays[name] for name in question.weights()}
    return params, [(arrays[f"h0_l{k}"], arrays[f"c0_l{k}"]) for k in range(count)], drops


def _model(question: Question, arrays: Exact) -> dict[str, Any]:
    params, state, drops = _model_inputs(question, arrays)
    window = language_model.Window(params, arrays["inputs"], arrays["targets"], state, drops, question.settings["tied"])
    after = {f"{n}_l{k}": a for k, pair in enumerate(window.state) for n, a in zip("hc", pair)}
    return {"loss": window.loss(), **after, **{f"d{name}": g for name, g in window.gradients().items()}}


def _train(question: Question, arrays: Exact) -> dict[str, Any]:
    (params, state, drops), settings = _model_inputs(question, arrays), question.settings
    each = [{where: drop[k] for where, drop in drops.items()} for k in range(len(arrays["lr"]))]
    inputs, targets, lr = arrays["inputs"], arrays["targets"], arrays["lr"]
    return language_model.train(params, inputs, targets, state, each, settings["tied"], lr, settings["clip"])


def _generate(question: Question, arrays: Exact) -> dict[str, Any]:
    params, _, _ = _model_inputs(question, arrays)
    return {"ids": language_model.generate(params, arrays["prime"], arrays["u"], **question.settings)}


OPERATIONS = {
    "forward": _forward,
    "backward": _backward,
    "loss": _loss,
    "clip": lambda question, arrays: operations.clip(arrays, **question.settings),
    "adam": lambda question, arrays: {"p": operations.adam(**arrays, **question.settings)},
    "sgd": lambda question, arrays: {"p": operations.sgd(**arrays)},
    "batches": lambda question, arrays: operations.batches(arrays["ids"], **question.settings),
    "evaluate": lambda question, arrays: operations.evaluate(**arrays),
    "model": _model,
    "train": _train,
    "generate": _generate,
    "sample": _sample,
}


def worst_gradient(question: Question, answer: Exact) -> Any:
    """How far the gradients of the answer are from central differences, relative to the largest of each array: the
    largest of all. 0 where the operation has none (`train` is made of `model`'s)."""
    if question.op not in DIFFERENTIATED:
        return mp.mpf(0)
    with mp.workdps(DIGITS):
        arrays = {name: _lift(array) for name, array in question.arrays.items()}
    moving = {name: array for name, array in arrays.items() if f"d{name}" in answer and array.dtype == object}

    def value(moved: Exact) -> Any:
        return DIFFERENTIATED[question.op](question, {**arrays, **moved})

    worst = mp.mpf(0)
    for name, slopes in central_differences(value, moving).items():
        largest = max(abs(slopes).max(), mp.mpf(CHECKED_TO))
        worst = max(worst, abs(slopes - answer[f"d{name}"]).max() / largest)
    return worst


def _upstream_sum(question: Question, arrays: Exact) -> Any:
    y, h_n, c_n, _ = layers.forward(arrays, _lengths(arrays))
    return (arrays["dy"] * y).sum() + (arrays["dh_n"] * h_n).sum() + (arrays["dc_n"] * c_n).sum()


def _model_loss(question: Question, arrays: Exact) -> Any:
    params, state, drops = _model_inputs(question, arrays)
    inputs, targets, tied = arrays["inputs"], arrays["targets"], question.settings["tied"]
    return language_model.Window(params, inputs, targets, state, drops, tied).loss()


DIFFERENTIATED = {
    "backward": _upstream_sum,
    "loss": lambda question, arrays: operations.cross_entropy(arrays["logits"], arrays["targets"]),
    "model": _model_loss,
}
