"""Random questions of every operation that tell right from wrong: sizes that differ, biases and states that are not
zero, gradients from above that are random. The same for a seed every time."""

from collections.abc import Mapping, Sequence

import numpy as np

from lstm_ref.core.draws import Draws
from parity_tests.suite.question import Question


def values(draws: Draws, name: str, *shape: int, scale: float = 1.0) -> np.ndarray:
    """float64 in [-scale, scale)."""
    return scale * (2 * draws.uniform(name, shape) - 1)


def integers(draws: Draws, name: str, below: int, *shape: int) -> np.ndarray:
    return (draws.uniform(name, shape) * below).astype(np.int64)


def layer_weights(
    draws: Draws, I: int, H: int, L: int = 1, D: int = 1, P: int = 0, peepholes: bool = False, scale: float = 1.0
) -> dict[str, np.ndarray]:
    """P = 0: no projection."""
    weights, width = {}, P or H
    for layer in range(L):
        for suffix in ("", "_reverse")[:D]:
            inputs = I if layer == 0 else D * width
            shapes = {"weight_ih": (4 * H, inputs), "weight_hh": (4 * H, width), "bias_ih": (4 * H,)}
            shapes["bias_hh"] = (4 * H,)
            if P:
                shapes["weight_hr"] = (P, H)
            if peepholes:
                shapes["peephole"] = (3 * H,)
            for name, shape in shapes.items():
                full = f"{name}_l{layer}{suffix}"
                weights[full] = values(draws, full, *shape, scale=scale)
    return weights


def layer_question(
    op: str,
    seed: int,
    *,
    T: int,
    B: int,
    I: int,
    H: int,
    L: int = 1,
    D: int = 1,
    P: int = 0,
    peepholes: bool = False,
    lengths: Sequence[int] | None = None,
    batch_first: bool = False,
    scale: float = 1.0,
) -> Question:
    """op: forward or backward."""
    draws, width = Draws(seed), P or H
    arrays = layer_weights(draws, I, H, L, D, P, peepholes, scale)
    arrays |= {"x": values(draws, "x", *((B, T) if batch_first else (T, B)), I)}
    arrays |= {"h0": values(draws, "h0", L * D, B, width), "c0": values(draws, "c0", L * D, B, H)}
    if lengths is not None:
        arrays["lengths"] = np.array(lengths, np.int64)
    if op == "backward":
        arrays["dy"] = values(draws, "dy", *((B, T) if batch_first else (T, B)), D * width)
        arrays |= {"dh_n": values(draws, "dh_n", L * D, B, width), "dc_n": values(draws, "dc_n", L * D, B, H)}
    return Question(op, arrays, {"batch_first": True} if batch_first else {})


def model_parameters(
    draws: Draws, V: int, E: int, hidden: Sequence[int], tied: bool = False, scale: float = 0.7
) -> dict[str, np.ndarray]:
    """E = 0: one-hot input."""
    params = {"embedding.weight": values(draws, "embedding", V, E, scale=scale)} if E else {}
    inputs = E or V
    for layer, H in enumerate(hidden):
        shapes = {"weight_ih": (4 * H, inputs), "weight_hh": (4 * H, H), "bias_ih": (4 * H,), "bias_hh": (4 * H,)}
        for name, shape in shapes.items():
            params[f"lstm.{name}_l{layer}"] = values(draws, f"{name}{layer}", *shape, scale=scale)
        inputs = H
    if not tied:
        params["decoder.weight"] = values(draws, "decoder", V, inputs, scale=scale)
    return params | {"decoder.bias": values(draws, "decoder_bias", V, scale=scale)}


def model_question(
    op: str,
    seed: int,
    *,
    T: int,
    B: int,
    V: int,
    E: int,
    hidden: Sequence[int],
    rates: Mapping[str, float] | None = None,
    masked: bool = True,
    tied: bool = False,
    K: int = 0,
    clip: float = 0.1,
    lr: float = 2.0,
    scale: float = 0.7,
) -> Question:
    """op: model, or train with K windows. masked=False: rates, but no masks, as in evaluation."""
    draws, leading = Draws(seed), (K,) if op == "train" else ()
    arrays = model_parameters(draws, V, E, hidden, tied, scale)
    for name in ("inputs", "targets"):
        arrays[name] = integers(draws, name, V, *leading, T, B)
    for k, H in enumerate(hidden):
        arrays |= {f"h0_l{k}": values(draws, f"h{k}", B, H), f"c0_l{k}": values(draws, f"c{k}", B, H)}
    for where, p in (rates or {}).items() if masked else ():
        shape = {"input": (T, B, E or V), "embedding": (V,)}.get(where)
        layer = int(where[-1]) if shape is None else 0
        shape = shape or ((4 * hidden[layer], hidden[layer]) if "weight" in where else (T, B, hidden[layer]))
        arrays[f"mask.{where}"] = draws.uniform(f"mask/{where}", leading + shape) >= p
    settings = {"rates": dict(rates or {}), "tied": tied}
    if op == "train":
        arrays["lr"] = lr * (1 + draws.uniform("lr", (K,)))
        settings["clip"] = clip
    return Question(op, arrays, settings)


def generate_question(
    seed: int, *, V: int, E: int, hidden: Sequence[int], P: int, K: int, scale: float = 3.0, **policy: float | None
) -> Question:
    draws = Draws(seed)
    arrays = model_parameters(draws, V, E, hidden, scale=scale)
    arrays |= {"prime": integers(draws, "prime", V, P), "u": draws.uniform("u", (K,))}
    return Question("generate", arrays, {"temperature": 1.0, "top_k": None, "top_p": None} | policy)


def sample_question(
    logits: np.ndarray, u: float, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Question:
    arrays = {"logits": np.asarray(logits, np.float64), "u": np.array(u)}
    return Question("sample", arrays, {"temperature": temperature, "top_k": top_k, "top_p": top_p})


EVERYWHERE = {"input": 0.3, "l0": 0.4, "l1": 0.2, "embedding": 0.25, "weight_hh_l0": 0.35, "weight_hh_l1": 0.3}


def layer_questions(op: str) -> list[Question]:
    """One feature each, and all together."""
    return [
        layer_question(op, 1, T=4, B=3, I=5, H=2),
        layer_question(op, 2, T=5, B=2, I=3, H=3),  # I = H: a transposed W_ih fits
        layer_question(op, 3, T=3, B=2, I=4, H=1),  # one unit
        layer_question(op, 4, T=1, B=2, I=3, H=4),  # one step
        layer_question(op, 5, T=5, B=3, I=4, H=2, L=2, D=2, lengths=(3, 5, 2)),
        layer_question(op, 6, T=4, B=2, I=5, H=3, L=3, D=2),
        layer_question(op, 7, T=6, B=4, I=2, H=3, L=1, lengths=(1, 6, 4, 3)),
        layer_question(op, 8, T=4, B=3, I=2, H=5, peepholes=True),
        layer_question(op, 9, T=4, B=2, I=3, H=5, L=2, P=2),
        layer_question(op, 10, T=3, B=4, I=2, H=5, L=2, batch_first=True),
        layer_question(op, 11, T=3, B=2, I=4, H=3, scale=1000.0),  # saturated gates
        layer_question(op, 12, T=5, B=3, I=2, H=4, L=3),
    ]


def model_questions() -> list[Question]:
    every = dict(EVERYWHERE)
    return [
        model_question("model", 21, T=5, B=3, V=7, E=4, hidden=(6, 2)),
        model_question("model", 22, T=4, B=3, V=6, E=5, hidden=(3, 2), rates=every),
        model_question("model", 23, T=4, B=2, V=7, E=3, hidden=(5, 3), rates=every, tied=True),
        model_question("model", 24, T=5, B=2, V=6, E=0, hidden=(4,), rates={"l0": 0.3}),
        model_question("model", 25, T=3, B=2, V=5, E=4, hidden=(1,)),
        model_question("model", 26, T=3, B=4, V=5, E=4, hidden=(4, 2), rates=every, masked=False),
        model_question("model", 27, T=3, B=2, V=5, E=4, hidden=(3, 2), scale=5000.0),  # logits beyond exp's range
        model_question("model", 28, T=4, B=3, V=8, E=2, hidden=(5, 3, 6)),
        model_question("model", 29, T=4, B=3, V=6, E=4, hidden=(4, 4)),  # square matrices
    ]


def train_questions() -> list[Question]:
    every = dict(EVERYWHERE)
    return [
        model_question("train", 31, T=4, B=3, V=7, E=5, hidden=(6, 2), K=3),
        model_question("train", 32, T=3, B=2, V=6, E=4, hidden=(5, 3), rates=every, K=4),
        model_question("train", 33, T=4, B=2, V=7, E=3, hidden=(5, 3), rates=every, tied=True, K=3, clip=100.0),
        model_question("train", 34, T=3, B=2, V=5, E=0, hidden=(1,), K=3),
        model_question("train", 35, T=4, B=2, V=6, E=3, hidden=(4, 4), K=3, lr=20.0),
        model_question("train", 36, T=3, B=2, V=5, E=4, hidden=(3, 2), K=2, scale=5000.0),
    ]


def loss_questions() -> list[Question]:
    draws, questions = Draws(41), []
    for n, (N, V, scale) in enumerate([(6, 5, 1.0), (4, 9, 8.0), (1, 3, 1.0), (5, 5, 3000.0), (7, 2, 2.0)]):
        arrays = {"logits": values(draws, f"logits{n}", N, V, scale=scale)}
        questions.append(Question("loss", arrays | {"targets": integers(draws, f"targets{n}", V, N)}))
    return questions


def optimizer_questions(op: str) -> list[Question]:
    """adam and sgd, with a rate that changes and gradients as small as eps."""
    questions = []
    for seed, scale in ((51, 1.0), (52, 1e-8), (53, 100.0)):
        draws = Draws(seed)
        arrays = {"p": values(draws, "p", 6), "g": values(draws, "g", 5, 6, scale=scale)}
        arrays["lr"] = 0.5 + draws.uniform("lr", (5,))
        questions.append(Question(op, arrays, {"beta1": 0.8, "beta2": 0.95, "eps": 1e-8} if op == "adam" else {}))
    return questions


def clip_questions() -> list[Question]:
    """Norms above the limit, below it, and so small that the 1e-6 shows."""
    questions = []
    for seed, scale, max_norm in ((61, 3.0, 1.0), (62, 1.0, 100.0), (63, 1e-3, 1e-4)):
        draws = Draws(seed)
        shapes = {"weight_hh_l0": (8, 2), "bias_ih_l0": (8,), "decoder.weight": (5, 2)}
        arrays = {name: values(draws, name, *shape, scale=scale) for name, shape in shapes.items()}
        questions.append(Question("clip", arrays, {"max_norm": max_norm}))
    return questions


def batch_questions() -> list[Question]:
    questions = []
    for n, B, T in ((41, 3, 4), (25, 4, 2), (50, 3, 5), (38, 3, 3)):
        arrays = {"ids": integers(Draws(n), "ids", 97, n)}
        questions.append(Question("batches", arrays, {"batch_size": B, "seq_length": T}))
    return questions


def evaluate_questions() -> list[Question]:
    """The last is as long as an epoch: what float32 loses in a sum, it loses there."""
    questions = []
    for seed, tokens in ((71, (6, 6, 6, 2)), (72, (3, 9, 1)), (73, (5,)), (74, (20_000,) * 4)):
        arrays = {"nll": 5 * Draws(seed).uniform("nll", (sum(tokens),)), "tokens": np.array(tokens, np.int64)}
        questions.append(Question("evaluate", arrays))
    return questions


def sample_questions() -> list[Question]:
    """Random ones; ties; u and top_p that fall exactly on a sum, where `<` and `<=` part."""
    draws, questions = Draws(81), []
    for n in range(40):
        V = 2 + n % 7
        u = draws.uniform(f"u{n}", (1,))[0]
        policy = [{}, {"top_k": 1 + V // 2}, {"top_p": 0.6}, {"top_k": V - 1, "top_p": 0.8}][n % 4]
        logits = values(draws, f"logits{n}", V, scale=4.0)
        questions.append(sample_question(logits, u, temperature=(0.5, 1.0, 2.0)[n % 3], **policy))
    for u in (0.0, 0.25, 0.5, 0.75, 0.99):
        questions.append(sample_question(np.zeros(4), u))
        questions.append(sample_question(np.zeros(4), u, top_k=2))
        questions.append(sample_question(np.zeros(4), u, top_p=0.5))
        questions.append(sample_question([1.0, 3.0, 3.0, 3.0, 0.0], u, top_k=2))
    return questions


def generate_questions() -> list[Question]:
    return [
        generate_question(91, V=7, E=4, hidden=(5, 3), P=3, K=60),
        generate_question(92, V=6, E=0, hidden=(4,), P=2, K=60, temperature=0.7, top_k=3),
        generate_question(93, V=9, E=4, hidden=(4, 4), P=4, K=60, temperature=1.5, top_p=0.7),
        generate_question(94, V=6, E=3, hidden=(2,), P=1, K=30, scale=1000.0),
        generate_question(95, V=300, E=6, hidden=(8, 8), P=2, K=300, scale=2.0),  # many borders, close together
    ]


def questions(op: str) -> list[Question]:
    if op in ("forward", "backward"):
        return layer_questions(op)
    if op in ("adam", "sgd"):
        return optimizer_questions(op)
    return {
        "loss": loss_questions,
        "clip": clip_questions,
        "batches": batch_questions,
        "evaluate": evaluate_questions,
        "model": model_questions,
        "train": train_questions,
        "sample": sample_questions,
        "generate": generate_questions,
    }[op]()
