r"""Nothing is timed that was not proved right: a contender against the plain float64 model, at its own shape and dtype.

What is checked is the call that is timed. Two training steps with carried state, the parameters put back in between.
With Adam, its moments after them hold every clipped gradient:

    m_1 = (1-b1) k_1 g_1,   m_2 = b1 m_1 + (1-b1) k_2 g_2,   v alike    k = clip / (norm + 1e-6)

so a wrong gradient, clip, carry, or a gradient left over from the step before shows in m or v; and the update must
follow from the contender's own m and v. (The update is about lr sign(g) at first, so comparing updated parameters alone
would see rounding where g is near zero, and no scale anywhere.) The clip is set so low that it acts.

SGD keeps nothing, but its update is linear in the gradient, and so is the proof itself:

    p_n - p_0 = -lr (k_n g_n + w p_0),   n = 1, 2                       with lr = 1 / clip

A step that long stands far above the rounding of p, and with a clip that low the weight decay w is a part of it.

The truth is computed at full size, AWD-LSTM's too: two steps of it are two minutes and 3 GB, once for all contenders,
which is little beside timing them. A smaller vocabulary would leave out the blocks of rows that the twins' decoders
take at this one and at no small one.

Tolerance: roundings of relative size eps through T steps of sums of H products add up like a random walk, eps sqrt(TH);
times 4 for the operations of a cell and the layers above it. Compared in the norm of each array, v = g^2 at twice that.
What is right was within a tenth of it at every shape here, float32 and float64. A NaN never passes.

torch's own clip adds the squares of an array of n numbers up in their own dtype, a random walk of n steps at worst: a
norm off by eps sqrt(n) of itself, 4e-4 for AWD-LSTM's embedding in float32 (seen: 2e-4), and with it every gradient, by
one factor. Who clips with it is allowed that too.

In bf16 the factors of a product are rounded, eps = 2^-7, and its sum is not: it is kept in float32. Each of H terms is
off by its own share of eps, the sum of H such errors grows like the sum itself, and so a product is off by eps whatever
H is. What an h is off by is forgotten in a few steps, as h is. So what adds up is the two products of each of L layers:
4 eps sqrt(2 L), 0.06 for two layers. Seen: 0.03 with torch's autocast at the full size, which rounds states and logits
as well, and 0.01 with TorchLM, which does not. That would hide a small fault; so who computes in bf16 is proved in
float32 too, by the same lines of code, and there a thousandth shows.
"""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.cases import SampleCase, StepCase
from benchmarks.contenders import Sampler, Trainer, TrainerEntry
from lstm_ref.core.batching import Window
from lstm_ref.core.draws import Draws
from lstm_ref.core.errors import ConformanceError
from lstm_ref.core.masks import dropout_masks
from lstm_ref.kernels.adam import adam_plain
from lstm_ref.kernels.clip import clip_global_norm_plain
from lstm_ref.kernels.sgd import sgd_plain
from lstm_ref.plain_model import PlainState, loss_and_gradients_plain, loss_plain

STEPS = 2
ACTING_CLIP = 0.001
BF16_EPS = 2.0**-7  # between 1 and the next larger number, as np.finfo's eps
PRIMES, GREEDY_LENGTH, DRAWN_LENGTH = 6, 8, 40


@dataclass(frozen=True, slots=True)
class StepTruth:
    """After a step: its loss, and what the optimizer made of the gradients, float64, by the names of `evidence`."""

    loss: float
    made: Mapping[str, np.ndarray]


def zero_state(case: StepCase | SampleCase, batch_size: int) -> PlainState:
    return [(np.zeros((batch_size, H)), np.zeros((batch_size, H))) for H in case.config.hidden_sizes]


@functools.cache
def step_truth(case: StepCase) -> list[StepTruth]:
    """The steps of the module docstring, from the plain kernels."""
    params, state, truths = case.parameters(), zero_state(case, case.batch_size), []
    moments: dict[str, tuple[np.ndarray, np.ndarray]] = {p: (np.zeros(1), np.zeros(1)) for p in params}
    for n, window in enumerate(case.windows(STEPS)):
        masks = dropout_masks(case.config, Draws(case.seed, n), *window.inputs.shape)
        run, grads = loss_and_gradients_plain(case.config, params, window, state, masks)
        loss, state = float(run.loss), run.state
        del run  # at the size of a word model it is gigabytes
        norm, clipped = clip_global_norm_plain(grads, case.clip)
        if not norm > 2 * case.clip:
            raise ValueError(f"clip={case.clip} does not act on a gradient of norm {norm:.3g}: lower it")
        made = {}
        for name, p in params.items():
            if case.optimizer.optimizer == "sgd":
                made[f"moved.{name}"] = sgd_plain(p, clipped[name], case.lr, case.optimizer) - p
            else:
                _, m, v = adam_plain(p, clipped[name], *moments[name], n + 1, case.lr, case.optimizer)
                moments[name], made[f"exp_avg.{name}"], made[f"exp_avg_sq.{name}"] = (m, v), m, v
        truths.append(StepTruth(loss, made))
    return truths


def evidence(trainer: Trainer, case: StepCase, initial: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What a step from `initial` shows: `exp_avg.<parameter>` and `exp_avg_sq.<parameter>`, or `moved.<parameter>`."""
    if case.optimizer.optimizer != "sgd":
        return trainer.optimizer_state()
    return {f"moved.{name}": now - initial[name] for name, now in trainer.parameters().items()}


def tolerance(case: StepCase | SampleCase, steps: int) -> float:
    if case.precision == "bf16":
        return 4 * BF16_EPS * (2 * len(case.config.hidden_sizes)) ** 0.5
    return 4 * float(np.finfo(case.dtype).eps) * (steps * max(case.config.hidden_sizes)) ** 0.5


def prove_trainer(name: str, entry: TrainerEntry, case: StepCase) -> None:
    """Raises ConformanceError, with the first array that is wrong, unless `entry` trains as the truth does."""
    if case.precision == "bf16":
        prove_trainer(name, entry, replace(case, precision="float32"))
    lr = 1 / ACTING_CLIP if case.optimizer.optimizer == "sgd" else case.lr
    case = replace(case if entry.shared_masks else case.without_dropout(), clip=ACTING_CLIP, lr=lr)
    trainer, initial, bound = entry.build(case), case.parameters(), tolerance(case, case.seq_length)
    of_gradients = bound + (_of_torchs_norm(case, initial) if entry.torchs_norm else 0.0)
    of_truth = replace(case, precision=case.dtype)  # one truth for both precisions of a bf16 case
    for n, (window, truth) in enumerate(zip(case.windows(STEPS), step_truth(of_truth))):
        where = f"{name}, {case.title}, step {n + 1}"
        loss = trainer.step(window)
        _require(f"{where}: loss", np.array(loss), np.array(truth.loss), bound)
        made = evidence(trainer, case, initial)
        for key, expected in truth.made.items():
            kind, _, p = key.partition(".")
            of_moments = {"exp_avg": of_gradients, "exp_avg_sq": 2 * of_gradients}
            allowed = of_moments.get(kind) or of_gradients + _rounding(case, initial[p], expected)
            _require(f"{where}: {key}", made[key], expected, allowed)
        if case.optimizer.optimizer != "sgd":
            _check_update(where, case, trainer, initial, made, n + 1)
        trainer.load_parameters(initial)


def _of_torchs_norm(case: StepCase, params: Mapping[str, np.ndarray]) -> float:
    """Relative to the norm."""
    return float(np.finfo(case.dtype).eps) * max(p.size for p in params.values()) ** 0.5


def _rounding(case: StepCase, p: np.ndarray, moved: np.ndarray) -> float:
    """Of p + moved, in the norm of `moved`."""
    return float(np.finfo(case.dtype).eps * np.linalg.norm(p) / np.linalg.norm(moved))


def _check_update(
    where: str,
    case: StepCase,
    trainer: Trainer,
    initial: Mapping[str, np.ndarray],
    moments: Mapping[str, np.ndarray],
    t: int,
) -> None:
    """The parameters moved as Adam does on the contender's own moments."""
    adam = case.optimizer
    step_size, root_correction = case.lr / (1 - adam.beta1**t), (1 - adam.beta2**t) ** 0.5
    for name, now in trainer.parameters().items():
        m, v = (moments[f"{key}.{name}"].astype(np.float64) for key in ("exp_avg", "exp_avg_sq"))
        expected = initial[name] - step_size * m / (np.sqrt(v) / root_correction + adam.eps)
        # One rounding of p, and fewer than ten of a step that is not longer than 10 lr.
        bound = np.finfo(case.dtype).eps * (np.abs(initial[name]).max() + 100 * case.lr)
        error = np.abs(now - expected).max()
        if not error <= bound:
            raise ConformanceError(f"{where}: {name} is off Adam's update by {error:.3g}, allowed {bound:.3g}")


def _require(what: str, arrived: np.ndarray, truth: np.ndarray, bound: float) -> None:
    if arrived.shape != truth.shape:
        raise ConformanceError(f"{what} has shape {arrived.shape}, expected {truth.shape}")
    error = float(np.linalg.norm(arrived - truth) / np.linalg.norm(truth))
    if not error <= bound:
        raise ConformanceError(f"{what} is off the float64 truth by {error:.3g} of its norm, allowed {bound:.3g}")


def prove_sampler(name: str, sampler: Sampler, case: SampleCase) -> None:
    """Raises ConformanceError unless `sampler` writes the truth's greedy texts, and draws only from the top k."""
    for prime, truth in greedy_truth(case).items():
        text = sampler.text(prime, GREEDY_LENGTH - 1, top_k=1, seed=case.seed)
        if text != truth:
            raise ConformanceError(f"{name}, {case.title}: greedy text after {prime!r} is {text!r}, expected {truth!r}")
    prime = case.vocabulary.tokens[0]
    text = sampler.text(prime, DRAWN_LENGTH - 1, case.top_k, seed=case.seed)
    if len(text) != 1 + DRAWN_LENGTH or text[0] != prime:
        raise ConformanceError(f"{name}, {case.title}: {text!r} is not {prime!r} and {DRAWN_LENGTH} characters")
    if (n := first_outside_top_k(case, text)) is not None:
        raise ConformanceError(
            f"{name}, {case.title}: {text[n]!r} is not among the top {case.top_k} after {text[:n]!r}"
        )


@functools.cache
def greedy_truth(case: SampleCase) -> dict[str, str]:
    """Prime -> prime and the most likely text after it, by the plain model in float64; primes of 1, 2, ... characters.

    Raises ValueError if rounding could decide a character: then the case proves nothing.
    """
    texts = {}
    for length in range(1, PRIMES + 1):
        draws = Draws(case.seed, length).uniform("benchmark/prime", (length,))
        ids, state = (draws * case.config.vocab_size).astype(np.int64).tolist(), zero_state(case, 1)
        prime, read = case.vocabulary.decode(ids), 0
        for _ in range(GREEDY_LENGTH):
            logits, state = _logits(case, ids[read:], state)
            read = len(ids)
            second, first = np.sort(logits[-1])[-2:]
            if not first - second > _logit_bound(case, logits[-1]):
                raise ValueError(f"{case.title}: two logits are {first - second:.3g} apart, so rounding may decide")
            ids.append(int(np.argmax(logits[-1])))
        texts[prime] = case.vocabulary.decode(ids)
    return texts


def first_outside_top_k(case: SampleCase, text: str) -> int | None:
    """Where `text` has a character that is, in the truth's eyes, not among the top k after what stands before it."""
    ids = case.vocabulary.encode(text)
    logits, _ = _logits(case, ids[:-1], zero_state(case, 1))
    for n, (row, id_) in enumerate(zip(logits, ids[1:]), start=1):
        if not row[id_] >= np.sort(row)[-case.top_k] - _logit_bound(case, row):
            return n
    return None


def _logit_bound(case: SampleCase, logits: np.ndarray) -> float:
    """How far apart two logits [V] may be and still change places by rounding: each may be off."""
    return 2 * tolerance(case, GREEDY_LENGTH + PRIMES) * float(np.linalg.norm(logits))


def _logits(case: SampleCase, ids: Sequence[int] | np.ndarray, state: PlainState) -> tuple[np.ndarray, PlainState]:
    """ids [T] -> logits [T,V] and the next state, by the plain model in float64."""
    inputs = np.asarray(ids, np.int64)[:, None]
    run = loss_plain(case.config, _parameters(case), Window(inputs, inputs), state, {})
    return run.logits, run.state


@functools.cache
def _parameters(case: SampleCase) -> dict[str, np.ndarray]:
    return case.parameters()
