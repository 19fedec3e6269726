"""The suite's own LSTM: gradients against the complex step, the rest against torch and against plain definitions."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from parity_tests.complex_step import complex_step_gradient, relative_error
from parity_tests.suite.question import OPERATIONS, Question
from parity_tests.suite.subject import Subject
from parity_tests.suite_tests.telling_questions import (
    EVERYWHERE,
    generate_question,
    layer_question,
    layer_questions,
    loss_questions,
    model_question,
    optimizer_questions,
    questions,
    sample_question,
    values,
)

SUBJECT = Subject()
EXACT = 1e-12  # relative: both sides are float64 sums of some tens of terms, and no difference is taken

seeds = st.integers(0, 2**32 - 1)


def complex_gradient(question: Question, name: str, f: Callable[[Question], complex]) -> np.ndarray:
    return complex_step_gradient(lambda moved: f(question.with_arrays(**{name: moved})), question.arrays[name])


# ---- gradients ----------------------------------------------------------------------------------------------------


def weighted_outputs(question: Question) -> complex:
    """The scalar whose gradients `backward` asks for."""
    forward = SUBJECT.answer(Question("forward", question.arrays, question.settings))
    arrays = question.arrays
    pairs = [(forward["y"], arrays["dy"]), (forward["h_n"], arrays["dh_n"]), (forward["c_n"], arrays["dc_n"])]
    return sum((out * upstream).sum() for out, upstream in pairs)


@st.composite
def backward_questions(draw: st.DrawFn) -> Question:
    T, B, I, H = draw(st.permutations([2, 3, 4, 5]))
    D = draw(st.integers(1, 2))
    return layer_question(
        "backward",
        draw(seeds),
        T=T,
        B=B,
        I=I,
        H=H,
        L=draw(st.integers(1, 2)),
        D=D,
        P=draw(st.sampled_from([0, 0, H - 1])),
        peepholes=draw(st.booleans()),
        lengths=draw(st.none() | st.lists(st.integers(1, T), min_size=B, max_size=B)),
        batch_first=draw(st.booleans()),
    )


@given(backward_questions())
def test_every_gradient_of_the_layers_is_the_complex_step(question: Question):
    got = SUBJECT.answer(question)
    inputs = [n for n in question.arrays if n not in ("dy", "dh_n", "dc_n", "lengths")]
    assert {f"d{name}" for name in inputs} == set(got)
    for name in inputs:
        assert relative_error(got[f"d{name}"], complex_gradient(question, name, weighted_outputs)) < EXACT, name


def model_loss(question: Question) -> complex:
    arrays, rates = question.arrays, question.settings["rates"]
    states, masks = SUBJECT.first_states(arrays), question.masks()
    logits, _, _ = SUBJECT.window_forward(question.weights(), arrays["inputs"], states, masks, rates)
    return SUBJECT.loss_and_gradient(logits, arrays["targets"])[0]


@pytest.mark.parametrize(
    "question",
    [
        model_question("model", 1, T=3, B=2, V=5, E=4, hidden=(6, 3)),
        model_question("model", 2, T=4, B=2, V=5, E=3, hidden=(4, 2), rates=EVERYWHERE),
        model_question("model", 3, T=3, B=2, V=6, E=2, hidden=(4, 2), rates=EVERYWHERE, tied=True),
        model_question("model", 4, T=3, B=4, V=5, E=0, hidden=(2,), rates={"l0": 0.4, "weight_hh_l0": 0.3}),
    ],
    ids=["plain", "every dropout", "tied", "one-hot"],
)
def test_every_gradient_of_the_model_is_the_complex_step(question: Question):
    got = SUBJECT.answer(question)
    for name in question.weights():
        assert relative_error(got[f"d{name}"], complex_gradient(question, name, model_loss)) < EXACT, name


@pytest.mark.parametrize("question", loss_questions(), ids=lambda q: f"N,V={q.arrays['logits'].shape}")
def test_the_gradient_of_the_loss_is_the_complex_step(question: Question):
    got = SUBJECT.answer(question)
    assert (
        relative_error(got["dlogits"], complex_gradient(question, "logits", lambda q: SUBJECT.answer(q)["loss"]))
        < EXACT
    )


# ---- torch --------------------------------------------------------------------------------------------------------


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.tensor(np.asarray(array))


def torch_lstm(question: Question, I: int, H: int, L: int, D: int, P: int) -> torch.nn.LSTM:
    batch_first = bool(question.settings.get("batch_first"))
    lstm = torch.nn.LSTM(I, H, L, bidirectional=D == 2, proj_size=P, batch_first=batch_first, dtype=torch.float64)
    lstm.load_state_dict({name: tensor(array) for name, array in question.weights().items()})
    return lstm


def torch_layers(question: Question, lstm: torch.nn.LSTM) -> dict[str, torch.Tensor]:
    leaves = {n: tensor(question.arrays[n]).requires_grad_() for n in ("x", "h0", "c0")}
    x, lengths = leaves["x"], question.arrays.get("lengths")
    first = lstm.batch_first
    if lengths is not None:
        x = torch.nn.utils.rnn.pack_padded_sequence(x, tensor(lengths), batch_first=first, enforce_sorted=False)
    y, (h_n, c_n) = lstm(x, (leaves["h0"], leaves["c0"]))
    if lengths is not None:
        T = question.arrays["x"].shape[int(first)]
        y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, batch_first=first, total_length=T)
    return {"y": y, "h_n": h_n, "c_n": c_n, **leaves}


TORCH_CASES = {
    "one layer": {"T": 4, "B": 3, "I": 5, "H": 2},
    "three layers": {"T": 4, "B": 3, "I": 5, "H": 2, "L": 3},
    "two directions": {"T": 4, "B": 3, "I": 5, "H": 2, "L": 2, "D": 2},
    "lengths": {"T": 5, "B": 4, "I": 3, "H": 2, "L": 2, "lengths": (2, 5, 1, 4)},
    "lengths, two directions": {"T": 5, "B": 4, "I": 3, "H": 2, "L": 2, "D": 2, "lengths": (2, 5, 1, 4)},
    "batch first": {"T": 5, "B": 4, "I": 3, "H": 2, "L": 2, "D": 2, "lengths": (2, 5, 1, 4), "batch_first": True},
    "projections": {"T": 4, "B": 3, "I": 6, "H": 5, "L": 2, "D": 2, "P": 2},
    "one unit": {"T": 3, "B": 2, "I": 4, "H": 1},
    "one of everything": {"T": 1, "B": 1, "I": 1, "H": 1},
}


@pytest.mark.parametrize("case", TORCH_CASES.values(), ids=TORCH_CASES)
@given(seed=seeds)
def test_layers_are_torchs(case: dict, seed: int):
    question = layer_question("backward", seed, **case)
    shape = {"L": 1, "D": 1, "P": 0} | {key: case[key] for key in ("I", "H", "L", "D", "P") if key in case}
    lstm = torch_lstm(question, **shape)
    out = torch_layers(question, lstm)
    forward = SUBJECT.answer(Question("forward", question.arrays, question.settings))
    for name in ("y", "h_n", "c_n"):
        assert np.abs(forward[name] - out[name].detach().numpy()).max() < EXACT, name
    sum((out[n] * tensor(question.arrays[f"d{n}"])).sum() for n in ("y", "h_n", "c_n")).backward()
    expected = {f"d{n}": out[n].grad for n in ("x", "h0", "c0")}
    expected |= {f"d{n}": p.grad for n, p in lstm.named_parameters()}
    for name, gradient in SUBJECT.answer(question).items():
        assert relative_error(gradient, expected[name].numpy()) < EXACT, name


def torch_window(question: Question, params: dict[str, torch.Tensor], inputs, targets, states, masks) -> tuple:
    """A language model on one window by torch's own LSTM and functional calls. Returns loss and the next states."""
    rates = question.settings["rates"]

    def drop(x: torch.Tensor, where: str, masks: dict = masks) -> torch.Tensor:
        return x * tensor(masks[where]) / (1 - rates[where]) if where in masks else x

    table, ids = params.get("embedding.weight"), tensor(inputs)
    if table is None:
        x = torch.nn.functional.one_hot(ids, params["decoder.bias"].numel()).double()
    else:
        dropped = (
            table * tensor(masks["embedding"])[:, None] / (1 - rates["embedding"]) if "embedding" in masks else table
        )
        x = drop(torch.nn.functional.embedding(ids, dropped), "input")
    next_states = []
    for k, (h, c) in enumerate(states):
        names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        weights = {n: params[f"lstm.{n}_l{k}"] for n in names}
        weights["weight_hh"] = drop(weights["weight_hh"], f"weight_hh_l{k}")
        lstm = torch.nn.LSTM(x.shape[-1], h.shape[-1], dtype=torch.float64)
        by_name = {f"{n}_l0": w for n, w in weights.items()}
        y, (h, c) = torch.func.functional_call(lstm, by_name, (x, (h[None], c[None])))
        next_states.append((h[0].detach(), c[0].detach()))
        x = drop(y, f"l{k}")
    logits = x @ params.get("decoder.weight", table).T + params["decoder.bias"]
    loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), tensor(targets).flatten())
    return loss, next_states


def torch_start(question: Question) -> tuple[dict[str, torch.Tensor], list]:
    params = {name: tensor(array).requires_grad_() for name, array in question.weights().items()}
    arrays = question.arrays
    layers = sum(name.startswith("h0_l") for name in arrays)
    return params, [(tensor(arrays[f"h0_l{k}"]), tensor(arrays[f"c0_l{k}"])) for k in range(layers)]


@given(seed=seeds, tied=st.booleans(), embedded=st.booleans())
def test_a_window_of_the_model_is_torchs(seed: int, tied: bool, embedded: bool):
    tied = tied and embedded
    rates = dict(EVERYWHERE) if embedded else {"l0": 0.4, "weight_hh_l1": 0.3}
    sizes = {"T": 4, "B": 3, "V": 6, "E": 2 if embedded else 0, "hidden": (5, 2)}
    question = model_question("model", seed, **sizes, rates=rates, tied=tied)
    params, states = torch_start(question)
    masks = question.masks()
    loss, states = torch_window(question, params, question.arrays["inputs"], question.arrays["targets"], states, masks)
    loss.backward()
    got = SUBJECT.answer(question)
    assert abs(got["loss"] - loss.item()) < EXACT
    for k, state in enumerate(states):
        for letter, expected in zip("hc", state):
            assert np.abs(got[f"{letter}_l{k}"] - expected.numpy()).max() < EXACT
    for name, p in params.items():
        assert relative_error(got[f"d{name}"], p.grad.numpy()) < EXACT, name


@given(seed=seeds, tied=st.booleans(), clip=st.sampled_from([0.05, 100.0]))
def test_training_by_windows_is_torchs_with_detached_state(seed: int, tied: bool, clip: float):
    question = model_question(
        "train", seed, T=3, B=2, V=6, E=3, hidden=(4, 3), rates=EVERYWHERE, tied=tied, K=3, clip=clip
    )
    params, states = torch_start(question)
    optimizer, arrays = torch.optim.SGD(params.values(), lr=1.0), question.arrays
    losses = []
    for k, lr in enumerate(arrays["lr"]):
        masks = {where: mask[k] for where, mask in question.masks().items()}
        optimizer.zero_grad()
        loss, states = torch_window(question, params, arrays["inputs"][k], arrays["targets"][k], states, masks)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(params.values(), clip)
        optimizer.param_groups[0]["lr"] = float(lr)
        optimizer.step()
        losses.append(loss.item())
    got = SUBJECT.answer(question)
    # Three windows one after another: each works on what the one before left.
    assert np.abs(got["loss"] - losses).max() < 10 * EXACT
    for name, p in params.items():
        assert relative_error(got[name], p.detach().numpy()) < 10 * EXACT, name


@pytest.mark.parametrize("op", ["adam", "sgd"])
@pytest.mark.parametrize("n", range(3))
def test_optimizers_are_torchs(op: str, n: int):
    question = optimizer_questions(op)[n]
    arrays, settings = question.arrays, question.settings
    p = tensor(arrays["p"]).requires_grad_()
    if op == "adam":
        optimizer = torch.optim.Adam([p], lr=1.0, betas=(settings["beta1"], settings["beta2"]), eps=settings["eps"])
    else:
        optimizer = torch.optim.SGD([p], lr=1.0)
    history = []
    for g, lr in zip(arrays["g"], arrays["lr"]):
        p.grad = tensor(g)
        optimizer.param_groups[0]["lr"] = float(lr)
        optimizer.step()
        history.append(p.detach().numpy().copy())
    assert relative_error(SUBJECT.answer(question)["p"], np.stack(history)) < EXACT


@pytest.mark.parametrize("n", range(3))
def test_clipping_is_torchs(n: int):
    question = questions("clip")[n]
    params = {
        name: torch.nn.Parameter(torch.zeros(a.shape, dtype=torch.float64)) for name, a in question.arrays.items()
    }
    for name, p in params.items():
        p.grad = tensor(question.arrays[name])
    norm = torch.nn.utils.clip_grad_norm_(params.values(), question.settings["max_norm"])
    got = SUBJECT.answer(question)
    assert abs(got["norm"] / norm.item() - 1) < EXACT
    for name, p in params.items():
        assert relative_error(got[name], p.grad.numpy()) < EXACT, name


# ---- definitions --------------------------------------------------------------------------------------------------


@given(n=st.integers(1, 90), B=st.integers(1, 5), T=st.integers(1, 6))
def test_batches_hold_the_text_row_by_row_and_each_target_is_the_next_id(n: int, B: int, T: int):
    ids = np.arange(n, dtype=np.int64) + 100
    got = SUBJECT.answer(Question("batches", {"ids": ids}, {"batch_size": B, "seq_length": T}))
    M = (n - 1) // (B * T)
    assert got["inputs"].shape == got["targets"].shape == (M, T, B)
    rows = got["inputs"].reshape(M * T, B).T
    assert np.array_equal(rows.reshape(-1), ids[: M * T * B])
    assert np.array_equal(got["targets"], got["inputs"] + 1)


def test_evaluation_counts_tokens_and_not_windows():
    nll = np.array([1.0, 2.0, 3.0, 10.0])
    got = SUBJECT.answer(Question("evaluate", {"nll": nll, "tokens": np.array([3, 1])}))
    assert got["loss"] == 4.0
    assert got["perplexity"] == pytest.approx(np.exp(4.0), rel=1e-15)


def test_the_last_bit_of_a_float32_epoch_is_kept_by_a_float64_sum():
    nll = np.full(100_000, 0.1, np.float32)
    got = SUBJECT.answer(Question("evaluate", {"nll": nll, "tokens": np.array([100_000])}))
    assert got["loss"] == np.float32(0.1)


@given(seed=seeds, V=st.integers(2, 7), temperature=st.sampled_from([0.5, 1.0, 2.0]), top_k=st.integers(1, 7))
def test_an_id_is_drawn_for_that_share_of_all_u_that_is_its_probability(seed, V, temperature, top_k):
    logits, N = values(Draws(seed), "logits", V, scale=3.0), 2000
    draw = partial(sample_question, logits, temperature=temperature, top_k=top_k)
    ids = [int(SUBJECT.answer(draw((n + 0.5) / N))["id"]) for n in range(N)]
    kept = np.argsort(-logits)[:top_k]
    p = np.zeros(V)
    p[kept] = np.exp(logits[kept] / temperature) / np.exp(logits[kept] / temperature).sum()
    # A probability's borders fall between two of N points: one point at each end.
    assert np.abs(np.bincount(ids, minlength=V) / N - p).max() <= 2 / N


@given(seed=seeds, V=st.integers(2, 7), top_p=st.floats(0.05, 0.99))
def test_the_nucleus_is_the_shortest_that_reaches_top_p(seed, V, top_p):
    logits = values(Draws(seed), "logits", V, scale=3.0)
    last = SUBJECT.answer(sample_question(logits, 1 - 2.0**-53, top_p=top_p))["id"]
    p = np.sort(np.exp(logits) / np.exp(logits).sum())[::-1]
    rank = int(np.argsort(-logits).tolist().index(int(last)))
    assert p[:rank].sum() < top_p + 1e-12
    assert p[: rank + 1].sum() > top_p - 1e-12


def test_of_equal_logits_top_k_keeps_the_smaller_ids():
    drawn = {int(SUBJECT.answer(sample_question([1, 3, 3, 3], u, top_k=2))["id"]) for u in (0.0, 0.3, 0.5, 0.99)}
    assert drawn == {1, 2}


def test_a_u_on_the_border_of_two_ids_draws_the_second():
    assert [int(SUBJECT.answer(sample_question(np.zeros(4), u))["id"]) for u in (0.0, 0.25, 0.5, 0.75)] == [0, 1, 2, 3]


def test_generating_token_by_token_is_reading_the_whole_text_at_once():
    question = generate_question(7, V=7, E=3, hidden=(5, 4), P=3, K=25, temperature=0.8, top_k=5)
    ids = SUBJECT.answer(question)["ids"]
    text = np.concatenate([question.arrays["prime"], ids])
    zeros = {f"{s}0_l{k}": np.zeros((1, H)) for k, H in enumerate((5, 4)) for s in "hc"}
    read = Question("model", {**question.weights(), **zeros, "inputs": text[:-1, None], "targets": text[1:, None]})
    logits, _, _ = SUBJECT.window_forward(
        read.weights(), read.arrays["inputs"], SUBJECT.first_states(read.arrays), {}, {}
    )
    at_once = [SUBJECT.sample_id(z, u, question.settings) for z, u in zip(logits[2:], question.arrays["u"])]
    assert ids.tolist() == at_once


# ---- manners ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_answers_have_the_questions_dtype_and_inputs_stay_as_they_were(op: str, dtype: str):
    for question in questions(op):
        question = question.astype(dtype)
        before = question.digest
        for name, array in SUBJECT.answer(question).items():
            assert array.dtype == (np.int64 if array.dtype.kind == "i" else np.dtype(dtype)), name
        assert question.digest == before


@pytest.mark.parametrize("op", ["forward", "backward"])
def test_rows_of_a_batch_do_not_touch_each_other(op: str):
    question = layer_questions(op)[0]
    changed = question.with_arrays(
        x=np.concatenate([question.arrays["x"][:, :1], -question.arrays["x"][:, 1:]], axis=1)
    )
    name = "y" if op == "forward" else "dx"
    first, second = (SUBJECT.answer(q)[name][:, 0] for q in (question, changed))
    # A product of matrices may order its sums by the whole shape, so equal means equal to rounding.
    assert np.abs(first - second).max() < EXACT
