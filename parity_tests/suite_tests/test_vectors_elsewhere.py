"""Others agree with the golden vectors: PyTorch, the suite's judge, ONNX's reference and ONNX Runtime."""

import warnings

import numpy as np
import pytest

from parity_tests import vectors
from parity_tests.suite.question import Answer, Question, layer_names
from parity_tests.suite.referee import Referee
from parity_tests.vectors import HERE, GoldenCase

CASES = vectors.load()
FLOAT64 = 1e-14  # of an array's largest number; 1.3e-15 is the worst that torch was seen at
JUDGE = 1e-14  # the same; complex steps round a little more, 3.3e-15 was seen
IGNORES_LENGTHS = {"lengths", "deep_bidirectional_lengths"}  # what onnx.reference cannot be right about


def of(*ops: str, without: tuple[str, ...] = ()) -> list[GoldenCase]:
    return [
        c for c in CASES if c.question.op in ops and not any(name.startswith(without) for name in c.question.arrays)
    ]


def assert_right(got: Answer, right: Answer, tolerance: float) -> None:
    """Names, shapes, and every number to `tolerance` of its array's largest; ids exactly."""
    assert set(got) == set(right)
    for name, array in right.items():
        assert np.shape(got[name]) == array.shape, name
        error, largest = np.abs(got[name] - array).max(), np.abs(array).max()
        assert error <= (tolerance * largest if array.dtype.kind == "f" else 0), (name, error, largest)


def torch_layers(question: Question) -> Answer:
    """torch.nn.LSTM in float64, gradients by autograd."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tensors = {name: torch.tensor(array) for name, array in question.arrays.items()}
    names = layer_names(question.arrays)
    D = 2 if any(name.endswith("_reverse") for name in names) else 1
    P = tensors["weight_hr_l0"].shape[0] if "weight_hr_l0" in tensors else 0
    I, H = tensors["x"].shape[2], tensors["bias_ih_l0"].shape[0] // 4
    lstm = torch.nn.LSTM(I, H, len(names) // D, bidirectional=D == 2, proj_size=P, dtype=torch.float64)
    lstm.load_state_dict({name: tensors[name] for name, _ in lstm.named_parameters()})
    x, h0, c0 = (tensors[name].requires_grad_() for name in ("x", "h0", "c0"))
    rnn = torch.nn.utils.rnn
    packed = rnn.pack_padded_sequence(x, tensors["lengths"], enforce_sorted=False) if "lengths" in tensors else x
    y, (h_n, c_n) = lstm(packed, (h0, c0))
    if "lengths" in tensors:
        y, _ = rnn.pad_packed_sequence(y, total_length=len(x))
    outputs = {"y": y, "h_n": h_n, "c_n": c_n}
    if question.op == "backward":
        sum((tensors[f"d{name}"] * output).sum() for name, output in outputs.items()).backward()
        inputs = {"x": x, "h0": h0, "c0": c0, **dict(lstm.named_parameters())}
        outputs = {f"d{name}": tensor.grad for name, tensor in inputs.items()}
    return {name: tensor.detach().numpy() for name, tensor in outputs.items()}


@pytest.mark.parametrize("case", of("forward", "backward", without=("peephole",)), ids=lambda c: c.name)
def test_torch_lstm_agrees_with_layers(case: GoldenCase):
    assert_right(torch_layers(case.question), case.answer, FLOAT64)


def torch_numbers(question: Question) -> Answer:
    """cross_entropy, clip_grad_norm_, Adam and SGD of torch, in float64."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tensors = {name: torch.tensor(array) for name, array in question.arrays.items()}
    if question.op == "loss":
        logits = tensors["logits"].requires_grad_()
        loss = torch.nn.functional.cross_entropy(logits, tensors["targets"])
        loss.backward()
        return {"loss": loss.detach().numpy(), "dlogits": logits.grad.numpy()}
    if question.op == "clip":
        parameters = {name: torch.nn.Parameter(torch.zeros_like(g)) for name, g in tensors.items()}
        for name, parameter in parameters.items():
            parameter.grad = tensors[name]
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), question.settings["max_norm"])
        return {"norm": norm.numpy(), **{name: p.grad.numpy() for name, p in parameters.items()}}
    p, after, s = torch.nn.Parameter(tensors["p"].clone()), [], question.settings
    if question.op == "adam":
        optimizer = torch.optim.Adam([p], betas=(s["beta1"], s["beta2"]), eps=s["eps"])
    else:
        optimizer = torch.optim.SGD([p])
    for g, lr in zip(tensors["g"], tensors["lr"]):
        p.grad, optimizer.param_groups[0]["lr"] = g.clone(), float(lr)
        optimizer.step()
        after.append(p.detach().numpy().copy())
    return {"p": np.stack(after)}


@pytest.mark.parametrize("case", of("loss", "clip", "adam", "sgd"), ids=lambda c: c.name)
def test_torch_agrees_with_loss_clip_and_optimizers(case: GoldenCase):
    assert_right(torch_numbers(case.question), case.answer, FLOAT64)


def torch_model(question: Question) -> Answer:
    """embedding, nn.LSTM's function layer by layer, linear, cross_entropy; gradients by autograd."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    tensors = {name: torch.tensor(array) for name, array in question.arrays.items()}
    params = {name: tensors[name].requires_grad_() for name in question.weights()}
    masks, rates = question.masks(), question.settings["rates"]

    def drop(x, where):
        return x * (tensors[f"mask.{where}"].double() / (1 - rates[where])) if where in masks else x

    if "embedding.weight" in params:
        table = drop(params["embedding.weight"].T, "embedding").T
        x = drop(torch.nn.functional.embedding(tensors["inputs"], table), "input")
    else:
        x = torch.nn.functional.one_hot(tensors["inputs"], len(params["decoder.bias"])).double()
    outputs = {}
    for k in range(sum(name.startswith("h0_l") for name in tensors)):
        weights = {name: params[f"lstm.{name}_l{k}"] for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")}
        weights["weight_hh"] = drop(weights["weight_hh"], f"weight_hh_l{k}")
        h, c, y = tensors[f"h0_l{k}"], tensors[f"c0_l{k}"], []
        for x_t in x:
            h, c = torch.lstm_cell(x_t, (h, c), *weights.values())
            y.append(h)
        outputs |= {f"h_l{k}": h, f"c_l{k}": c}
        x = drop(torch.stack(y), f"l{k}")
    decoder = params["embedding.weight" if question.settings["tied"] else "decoder.weight"]
    logits = (x @ decoder.T + params["decoder.bias"]).flatten(0, 1)
    loss = torch.nn.functional.cross_entropy(logits, tensors["targets"].flatten())
    loss.backward()
    outputs |= {"loss": loss, **{f"d{name}": p.grad for name, p in params.items()}}
    return {name: tensor.detach().numpy() for name, tensor in outputs.items()}


@pytest.mark.parametrize("case", of("model"), ids=lambda c: c.name)
def test_torch_agrees_with_language_models(case: GoldenCase):
    assert_right(torch_model(case.question), case.answer, FLOAT64)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)
def test_the_judge_answers_every_case(case: GoldenCase):
    assert_right(Referee().answer(case.question), case.answer, JUDGE)


def test_the_comparison_rejects_a_nan_and_a_last_digit_too_many():
    right = {"y": np.array([1.0, 0.5])}
    assert_right({"y": np.array([1.0, 0.5 + 9e-15])}, right, FLOAT64)
    for wrong in (np.array([1.0, np.nan]), np.array([1.0, 0.5 + 2e-14]), np.array([[1.0, 0.5]])):
        with pytest.raises(AssertionError):
            assert_right({"y": wrong}, right, FLOAT64)


def onnx_tests() -> list:
    """As ONNX finds them itself."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        pytest.importorskip("onnx", reason="onnx is not installed")
        from onnx.backend.test.loader import load_model_tests

        return sorted(load_model_tests(str(HERE), "onnx"), key=lambda test: test.name)


def onnx_data(test, kind: str) -> list[np.ndarray]:
    import onnx

    folder = HERE / "onnx" / test.name / "test_data_set_0"
    files = [folder / f"{kind}_{n}.pb" for n in range(len(list(folder.glob(f"{kind}_*.pb"))))]
    return [onnx.numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes())) for file in files]


def assert_onnx_right(test, run) -> None:
    """run: (path of the model, inputs by name) -> outputs. All by ONNX's own comparison, at the case's data.json."""
    import onnx

    path = HERE / "onnx" / test.name / "model.onnx"
    model = onnx.load(path)
    inputs = {info.name: array for info, array in zip(model.graph.input, onnx_data(test, "input"), strict=True)}
    for got, right in zip(run(path, inputs), onnx_data(test, "output"), strict=True):
        assert got.dtype == right.dtype == np.float32
        np.testing.assert_allclose(got, right, rtol=test.rtol, atol=test.atol)


def test_onnx_reference_gives_the_golden_outputs():
    tests = onnx_tests()
    from onnx.reference import ReferenceEvaluator

    def run(path, inputs):
        with np.errstate(over="ignore"):  # its sigmoid is 1/(1+exp(-x)): right at -1000, with a warning
            return ReferenceEvaluator(str(path)).run(None, inputs)

    assert {test.name for test in tests} == {name for name, c in vectors.manifest()["cases"].items() if c["onnx"]}
    assert all((test.rtol, test.atol) == (1e-5, 2e-6) for test in tests)  # read from data.json, not ONNX's 1e-3
    for test in tests:
        if test.name not in IGNORES_LENGTHS:
            assert_onnx_right(test, run)
    for test in tests:
        if test.name in IGNORES_LENGTHS:
            with pytest.raises(AssertionError, match="Not equal to tolerance"):
                assert_onnx_right(test, run)


def test_onnx_runtime_gives_the_golden_outputs():
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    tests = onnx_tests()

    def run(path, inputs):
        session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
        return session.run(None, inputs)

    assert len(tests) > 20
    for test in tests:
        assert_onnx_right(test, run)


def test_onnx_outputs_are_the_golden_answers_in_float32():
    tests = onnx_tests()
    answers = {case.name: case.answer for case in CASES}
    for test in tests:
        y, *states = onnx_data(test, "output")
        right = answers[test.name]
        T, B, width = right["y"].shape
        np.testing.assert_array_equal(y.swapaxes(1, 2).reshape(T, B, width), right["y"].astype(np.float32))
        np.testing.assert_array_equal(np.concatenate(states[0::2]), right["h_n"].astype(np.float32))
        np.testing.assert_array_equal(np.concatenate(states[1::2]), right["c_n"].astype(np.float32))
