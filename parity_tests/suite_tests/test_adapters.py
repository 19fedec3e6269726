"""Every ready adapter against an LSTM of a few lines, on what it claims; and what each of them must not do."""

import importlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import UsageError
from parity_tests.suite.adapter import Adapter, as_adapter
from parity_tests.suite.question import OPERATIONS, Question
from parity_tests.suite_tests import few_lines
from parity_tests.suite_tests.few_lines import assert_agrees, gradients, layer_questions, values

# In units of eps, of an array's largest number or 1. Worst seen over all adapters: 2.1 forward in 60 cases each, 8.3
# backward in 25 (a bias gradient, which sums all steps and rows and cancels). Four times that: an adapter that takes a
# wrong gate, a wrong state or the wrong order is off by a hundred thousand even in float32.
FORWARD, BACKWARD = 8, 32
FEW = settings(max_examples=max(4, settings.default.max_examples // 4))
PLACES = {
    "numpy_twin": "twins",
    "numba_twin": "twins",
    "torch_twin": "twins",
    "native": "torch_lstm",
    "onednn": "torch_lstm",
    "onnx_runtime": "onnx_runtime",
    "onnx_reference": "onnx_reference",
}
TWINS = ("numpy_twin", "numba_twin", "torch_twin")


def adapter_of(name: str) -> Adapter:
    if name.startswith("onnx_"):
        for library in ("onnx", "onnxruntime"):
            pytest.importorskip(library, reason=f"{library} is not installed: pip install 'lstm-parity[onnx]'")
    return getattr(importlib.import_module(f"parity_tests.suite.adapters.{PLACES[name]}"), name)


@pytest.fixture(params=PLACES, scope="module")
def adapter(request) -> Adapter:
    return adapter_of(request.param)


@pytest.fixture(params=[name for name in PLACES if not name.startswith("onnx_")], scope="module")
def learner(request) -> Adapter:
    return adapter_of(request.param)


@pytest.fixture(params=TWINS, scope="module")
def twin(request) -> Adapter:
    return adapter_of(request.param)


# ---- layers ---------------------------------------------------------------------------------------------------------


@FEW
@given(data=st.data())
def test_forward_is_that_of_a_few_lines(adapter, data):
    for dtype in adapter.capabilities.dtypes:
        question = data.draw(layer_questions("forward", adapter.capabilities, dtype))
        expected = few_lines.forward(question.astype(np.float64).arrays, **question.settings)
        assert_agrees(adapter.answer(question), expected, dtype, FORWARD)


@FEW
@given(data=st.data())
def test_gradients_are_those_of_a_few_lines(learner, data):
    for dtype in learner.capabilities.dtypes:
        question = data.draw(layer_questions("backward", learner.capabilities, dtype))
        expected = few_lines.backward(question.astype(np.float64).arrays, **question.settings)
        assert_agrees(learner.answer(question), expected, dtype, BACKWARD)


@FEW
@given(data=st.data())
def test_an_answer_is_its_own_and_the_question_stays_as_it_was(adapter, data):
    op = "backward" if "backward" in adapter.capabilities.operations else "forward"
    question = data.draw(layer_questions(op, adapter.capabilities, adapter.capabilities.dtypes[0]))
    digest = question.digest
    answer = adapter.answer(question)
    assert question.digest == digest
    for name, array in answer.items():
        assert not any(np.shares_memory(array, given) for given in question.arrays.values()), name


@pytest.mark.parametrize("name", [name for name in PLACES if name not in TWINS])
def test_what_is_not_claimed_is_refused(name):
    with pytest.raises(UsageError, match="train"):
        adapter_of(name).answer(Question("train", {}))


def test_the_twins_answer_every_operation(twin):
    assert set(twin.capabilities.operations) == set(OPERATIONS)


# ---- numbers --------------------------------------------------------------------------------------------------------


def draws_of(data: st.DataObject) -> Draws:
    return Draws(data.draw(st.integers(0, 2**64 - 1)))


def nll(logits, targets):
    """Mean over tokens. logits [N,V]; complex too."""
    p = np.exp(logits)
    return -np.mean(np.log(p[np.arange(len(targets)), targets] / p.sum(axis=1)))


@FEW
@given(data=st.data())
def test_the_loss_and_its_gradient_are_those_of_the_definition(twin, data):
    N, V = data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=2, unique=True))
    logits, targets = 5 * values(draws_of(data), "z", N, V), np.arange(N) % V
    for dtype in ("float64", "float32"):
        question = Question("loss", {"logits": logits, "targets": targets}).astype(dtype)
        wide = question.astype(np.float64).arrays["logits"]
        expected = gradients(lambda moved: nll(moved["logits"], targets), {"logits": wide})
        assert_agrees(twin.answer(question), {"loss": np.asarray(nll(wide, targets)), **expected}, dtype, 16)


@FEW
@given(data=st.data(), max_norm=st.sampled_from([0.1, 1e6]))
def test_clipping_is_that_of_the_definition(twin, data, max_norm):
    draws = draws_of(data)
    for dtype in ("float64", "float32"):
        question = Question("clip", {"a": values(draws, "a", 3, 2), "b": values(draws, "b", 5)}, {"max_norm": max_norm})
        wide = question.astype(dtype).astype(np.float64).arrays
        norm = np.sqrt((wide["a"] ** 2).sum() + (wide["b"] ** 2).sum())
        scaled = {name: g * min(1, max_norm / (norm + 1e-6)) for name, g in wide.items()}
        assert_agrees(twin.answer(question.astype(dtype)), {"norm": norm, **scaled}, dtype, 8)


@FEW
@given(data=st.data(), betas=st.sampled_from([(0.9, 0.999), (0.5, 0.9)]))
def test_adam_is_that_of_the_definition(twin, data, betas):
    draws, (b1, b2), eps = draws_of(data), betas, 1e-3
    arrays = {"p": values(draws, "p", 4), "g": values(draws, "g", 3, 4), "lr": np.array([0.5, 0.125, 0.25])}
    for dtype in ("float64", "float32"):
        question = Question("adam", arrays, {"beta1": b1, "beta2": b2, "eps": eps}).astype(dtype)
        p, m, v, after = question.arrays["p"].astype(float), 0.0, 0.0, []
        for t, (g, lr) in enumerate(zip(question.arrays["g"].astype(float), arrays["lr"]), start=1):
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            p = p - lr * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
            after.append(p)
        assert_agrees(twin.answer(question), {"p": np.array(after)}, dtype, 16)


def test_batches_are_those_of_the_seed(twin):
    """The example in core/batching.py: two rows, three steps, two windows."""
    ids = np.array([*b"abcdefghijklm"])
    answer = twin.answer(Question("batches", {"ids": ids}, {"batch_size": 2, "seq_length": 3}))
    text = {name: [[bytes(row.tolist()) for row in window.T] for window in array] for name, array in answer.items()}
    assert text == {
        "inputs": [[b"abc", b"ghi"], [b"def", b"jkl"]],
        "targets": [[b"bcd", b"hij"], [b"efg", b"klm"]],
    }


def drawn(logits, u, temperature=1.0, top_k=None, top_p=None):
    """The id, by sorting probabilities and adding them up one by one."""
    order = sorted(range(len(logits)), key=lambda v: (-logits[v], v))[:top_k]
    weights = [float(np.exp((logits[v] - logits[order[0]]) / temperature)) for v in order]
    kept = 1
    while kept < len(order) and sum(weights[:kept]) < (top_p or 2) * sum(weights):
        kept += 1
    return next(v for n, v in enumerate(order[:kept]) if sum(weights[: n + 1]) > u * sum(weights[:kept]))


POLICIES = [{}, {"temperature": 0.5}, {"top_k": 2, "top_p": None}, {"top_p": 0.75}, {"top_k": 4, "top_p": 0.5}]


@given(data=st.data(), policy=st.sampled_from(POLICIES))
def test_sampling_draws_the_id_of_the_definition(twin, data, policy):
    draws = draws_of(data)
    logits, u = 2 * values(draws, "z", 6), draws.uniform("u", ())
    answer = twin.answer(Question("sample", {"logits": logits, "u": u}, policy))
    assert answer.keys() == {"id"}
    assert answer["id"].dtype == np.int64
    assert answer["id"] == drawn(logits, float(u), **policy)


# ---- language models ------------------------------------------------------------------------------------------------


def model_arrays(draws: Draws, V: int, E: int, sizes: tuple[int, ...]) -> dict[str, np.ndarray]:
    arrays = {"embedding.weight": values(draws, "E", V, E)} if E else {}
    for k, (I, H) in enumerate(zip([E or V, *sizes], sizes)):
        for name, shape in {"weight_ih": (I,), "weight_hh": (H,), "bias_ih": (), "bias_hh": ()}.items():
            arrays[f"lstm.{name}_l{k}"] = values(draws, f"{name}{k}", 4 * H, *shape)
    return arrays | {"decoder.weight": values(draws, "D", V, sizes[-1]), "decoder.bias": values(draws, "b", V)}


def model_logits(arrays, inputs, state, rates):
    """Logits [T,B,V] and the next state, complex too."""

    def drop(x, where):
        return x * arrays[f"mask.{where}"] / (1 - rates[where]) if where in rates else x

    V = arrays["decoder.bias"].size
    x = drop(arrays["embedding.weight"][inputs], "input") if "embedding.weight" in arrays else np.eye(V)[inputs]
    after = []
    for k, (h, c) in enumerate(state):
        names = [f"{name}_l" for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
        weights = {f"{name}0": arrays[f"lstm.{name}{k}"] for name in names}
        x = x.astype(arrays["decoder.bias"].dtype)
        out = few_lines.forward({"x": x, "h0": h[None], "c0": c[None], **weights})
        after.append((out["h_n"][0], out["c_n"][0]))
        x = drop(out["y"], f"l{k}")
    return x @ arrays["decoder.weight"].T + arrays["decoder.bias"], after


@pytest.mark.parametrize("E", [0, 3])
@pytest.mark.parametrize("rates", [{}, {"l0": 0.25, "l1": 0.5}])
@settings(max_examples=2)
@given(data=st.data())
def test_the_model_is_that_of_a_few_lines(twin, E, rates, data):
    T, B, V, sizes, draws = 4, 2, 5, (2, 3), draws_of(data)
    rates = rates | ({"input": 0.125} if E and rates else {})
    params = model_arrays(draws, V, E, sizes)
    ids = {name: (draws.uniform(name, (T, B)) * V).astype(np.int64) for name in ("inputs", "targets")}
    state = [(values(draws, f"h{k}", B, H), values(draws, f"c{k}", B, H)) for k, H in enumerate(sizes)]
    widths = {"input": E, "l0": sizes[0], "l1": sizes[1]}
    masks = {f"mask.{where}": draws.uniform(f"m{where}", (T, B, widths[where])) > 0.4 for where in rates}
    arrays = {**params, **ids, **masks}
    arrays |= {f"{name}0_l{k}": a for k, pair in enumerate(state) for name, a in zip("hc", pair)}

    def loss(moved):
        logits, _ = model_logits({**moved, **masks}, ids["inputs"], state, rates)
        return nll(logits.reshape(-1, V), ids["targets"].reshape(-1))

    _, after = model_logits(arrays, ids["inputs"], state, rates)
    expected = {f"{name}_l{k}": a for k, pair in enumerate(after) for name, a in zip("hc", pair)}
    expected |= {"loss": np.asarray(loss(params)), **gradients(loss, params)}
    assert_agrees(twin.answer(Question("model", arrays, {"rates": rates})), expected, "float64", BACKWARD)


@FEW
@given(data=st.data(), policy=st.sampled_from(POLICIES))
def test_generated_ids_are_those_of_a_few_lines(twin, data, policy):
    draws, sizes = draws_of(data), (2, 3)
    arrays = model_arrays(draws, 6, 4, sizes)
    u, ids = draws.uniform("u", (5,)), []
    state = [(np.zeros((1, H)), np.zeros((1, H))) for H in sizes]
    inputs = np.array([[3], [1], [5]])
    for each in u.tolist():
        logits, state = model_logits(arrays, inputs, state, {})
        ids.append(drawn(logits[-1, 0], each, **policy))
        inputs = np.array([[ids[-1]]])
    answer = twin.answer(Question("generate", {**arrays, "prime": np.array([3, 1, 5]), "u": u}, policy))
    assert answer["ids"].tolist() == ids


@pytest.mark.parametrize(
    ("settings_", "says"),
    [
        ({"rates": {"weight_hh_l0": 0.5}}, "weight_hh_l1': 0.0.*one rate for all of these"),
        ({"rates": {"embedding": 0.5}}, "dropout on an embedding needs one"),
        ({"rates": {"l0": 0.5, "l1": 0.25, "l2": 0.5}}, "one rate for all of these"),
        ({"rates": {"l3": 0.5}}, "dropout at l3: the twins have none there"),
    ],
)
def test_a_model_that_the_twins_do_not_have_is_refused(twin, settings_, says):
    arrays = model_arrays(Draws(0), 4, 0, (2, 2, 2))
    with pytest.raises(UsageError, match=says):
        twin.answer(Question("model", arrays, settings_))


def test_a_mask_of_another_shape_is_refused():
    arrays = model_arrays(Draws(0), 4, 0, (3,))
    arrays |= {name: np.zeros((2, 2), np.int64) for name in ("inputs", "targets")}
    arrays |= {"h0_l0": np.zeros((2, 3)), "c0_l0": np.zeros((2, 3)), "mask.l0": np.ones((1, 2, 3), bool)}
    with pytest.raises(UsageError, match=r"dropout/l0 has shape \(1, 2, 3\), expected \(2, 2, 3\)"):
        adapter_of("numba_twin").answer(Question("model", arrays, {"rates": {"l0": 0.5}}))


# ---- torch.nn.LSTM, and modules like it -----------------------------------------------------------------------------


def lstm_question(op: str = "forward", dtype: str = "float32") -> Question:
    draws, H = Draws(1), 5
    shapes = {"weight_ih_l0": (4 * H, 4), "weight_hh_l0": (4 * H, H), "bias_ih_l0": (4 * H,), "bias_hh_l0": (4 * H,)}
    shapes |= {"x": (3, 2, 4), "h0": (1, 2, H), "c0": (1, 2, H)}
    shapes |= {"dy": (3, 2, H), "dh_n": (1, 2, H), "dc_n": (1, 2, H)} if op == "backward" else {}
    return Question(op, {name: values(draws, name, *shape) for name, shape in shapes.items()}).astype(dtype)


@pytest.mark.parametrize(("name", "used"), [("onednn", True), ("native", False)])
@pytest.mark.parametrize("op", ["forward", "backward"])
def test_onednn_is_used_where_it_is_said_and_nowhere_else(name, used, op):
    torch = pytest.importorskip("torch")
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    adapter, question = adapter_of(name), lstm_question(op)
    with torch.profiler.profile() as profile:
        adapter.answer(question)
    called = {event.key for event in profile.key_averages()}
    assert ("aten::mkldnn_rnn_layer" in called) == used
    assert ("aten::mkldnn_rnn_layer_backward" in called) == (used and op == "backward")


def test_threads_and_kernels_are_afterwards_as_they_were():
    import torch

    threads, enabled = torch.get_num_threads(), torch.backends.mkldnn.enabled
    torch.set_num_threads(2)
    try:
        for name in ("native", "onednn"):
            adapter_of(name).answer(lstm_question())
            with pytest.raises(UsageError, match="peephole"):
                adapter_of(name).answer(lstm_question().with_arrays(peephole_l0=np.ones(15, np.float32)))
            assert torch.get_num_threads() == 2
            assert torch.backends.mkldnn.enabled == enabled
    finally:
        torch.set_num_threads(threads)


def test_a_module_of_somebody_else_is_built_for_each_question():
    """It claims what its constructor takes by name, and no packed sequences, which only nn.LSTM itself has."""
    import torch
    from torch import nn

    class Mine(nn.Module):
        def __init__(self, input_size, hidden_size, batch_first=False):
            super().__init__()
            self.batch_first = batch_first
            for name, size in {"weight_ih_l0": input_size, "weight_hh_l0": hidden_size}.items():
                setattr(self, name, nn.Parameter(torch.zeros(4 * hidden_size, size)))
            for name in ("bias_ih_l0", "bias_hh_l0"):
                setattr(self, name, nn.Parameter(torch.zeros(4 * hidden_size)))

        def forward(self, x, state):
            (h, c), y = (part[0] for part in state), []
            for x_t in x.unbind(1 if self.batch_first else 0):
                a = x_t @ self.weight_ih_l0.T + self.bias_ih_l0 + h @ self.weight_hh_l0.T + self.bias_hh_l0
                i, f, g, o = a.chunk(4, 1)
                c = f.sigmoid() * c + i.sigmoid() * g.tanh()
                h = o.sigmoid() * c.tanh()
                y.append(h)
            return torch.stack(y, 1 if self.batch_first else 0), (h[None], c[None])

    mine = as_adapter(Mine(2, 3))
    claims = mine.capabilities
    assert (claims.layers, claims.directions, claims.batch_first) == (1, 1, True)
    assert (claims.lengths, claims.projections) == (False, False)
    question = lstm_question("backward", "float64")
    assert_agrees(mine.answer(question), few_lines.backward(question.arrays), "float64", BACKWARD)
    first = Question("forward", {**question.arrays, "x": question.arrays["x"].swapaxes(0, 1)}, {"batch_first": True})
    assert_agrees(mine.answer(first), few_lines.forward(first.arrays, batch_first=True), "float64", FORWARD)


def test_an_lstm_without_biases_claims_none_and_takes_zeros_only():
    from torch import nn

    adapter, question = as_adapter(nn.LSTM(2, 3, bias=False)), lstm_question(dtype="float64")
    assert adapter.capabilities.biases == 0
    with pytest.raises(UsageError, match="expected weight_ih_l0, weight_hh_l0, bias_ih_l0, bias_hh_l0"):
        adapter.answer(question)
    zeros = question.with_arrays(bias_ih_l0=np.zeros(20), bias_hh_l0=np.zeros(20))
    assert_agrees(adapter.answer(zeros), few_lines.forward(zeros.arrays), "float64", FORWARD)


def test_a_module_with_other_names_is_refused():
    from torch import nn

    class Renamed(nn.Module):
        def __init__(self, input_size, hidden_size):
            super().__init__()
            self.inner = nn.LSTM(input_size, hidden_size)

    with pytest.raises(UsageError, match=r"has the parameters inner\.weight_ih_l0, .* expected weight_ih_l0"):
        as_adapter(Renamed(2, 3)).answer(lstm_question())


# ---- ONNX -----------------------------------------------------------------------------------------------------------


def test_gates_in_a_wrong_order_would_be_seen(monkeypatch):
    adapter, question = adapter_of("onnx_reference"), lstm_question(dtype="float64")
    model = importlib.import_module("parity_tests.suite.adapters.onnx_model")
    monkeypatch.setattr(model, "GATES", {"i": 0, "f": 2, "g": 1, "o": 3})
    with pytest.raises(AssertionError, match="y: "):
        assert_agrees(adapter.answer(question), few_lines.forward(question.arrays), "float64", 1e5)


def test_onnx_runtime_has_no_float64_lstm():
    """Why it does not claim float64. When this fails, it may."""
    adapter = adapter_of("onnx_runtime")
    with pytest.raises(Exception, match="does not support double yet"):
        adapter.answer(lstm_question(dtype="float64"))


def test_the_reference_evaluator_ignores_lengths():
    """Why it does not claim them. When this fails, it may."""
    adapter, question = adapter_of("onnx_reference"), lstm_question(dtype="float64")
    early = question.with_arrays(lengths=np.array([3, 1], np.int64))
    assert np.array_equal(adapter.answer(early)["h_n"], adapter.answer(question)["h_n"])
    assert not np.allclose(few_lines.forward(early.arrays)["h_n"], few_lines.forward(question.arrays)["h_n"])


# ---- what is imported -----------------------------------------------------------------------------------------------


HEAVY = {"numba", "torch", "lstm_torch", "onnx", "onnxruntime"}


@pytest.mark.parametrize(
    ("module", "brings"),
    [
        ("wire", set()),
        ("pipe", set()),
        ("files", set()),
        ("serve", set()),
        ("adapters", set()),
        ("adapters.twins", {"numba"}),
        ("adapters.torch_lstm", {"torch"}),
        ("adapters.torch_twin", {"numba", "torch", "lstm_torch"}),
    ],
)
def test_an_import_brings_no_library_but_its_own(module, brings):
    code = f"import sys, parity_tests.suite.{module}; print(*sorted({HEAVY - brings} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout.strip() == ""
