"""G4, an epoch of AWD-LSTM on WikiText-2: 1150-1150-400 units, 33,278 words, B=80, windows of drawn lengths, every
regulariser on. Training only: no validation.

`row` takes eight windows, with the lengths that stand at the middles of the eighths of an epoch's sorted lengths, and
counts them as 8 of the epoch's steps: an extrapolation. `epoch_row` trains a whole epoch, window by window with the
lengths of core.stream: of drawn words, and of the text itself where LSTM_DATA names its folder.
"""

from collections.abc import Sequence

import numpy as np

from benchmarks.gpu.device import Device, Unavailable
from benchmarks.gpu.floors import step_bytes, training_flops_a_token
from benchmarks.gpu.ours import FULL, OF_A_STEP, OurSteps, full_options, rounding_of, variants
from benchmarks.gpu.peers import PeerOptions, PeerSteps
from benchmarks.gpu.row import Contender, Row
from benchmarks.gpu.steps import StepTask
from lstm_ref.core.articles import Articles
from lstm_ref.core.batching import Window
from lstm_ref.core.config import RunConfig
from lstm_ref.core.corpora import load_corpus
from lstm_ref.core.dataset import build_vocabulary, encode_corpus
from lstm_ref.core.errors import DataError
from lstm_ref.core.presets import preset
from lstm_ref.core.stream import Stream, training_stream

TOKENS, WORDS = 2_088_628, 33_278  # of WikiText-2's training text
SAMPLED = 8  # windows
EPOCH_ROUNDS = 2
PEERS = {
    "nn.LSTM float32": PeerOptions(precision="float32"),
    "nn.LSTM tf32": PeerOptions(precision="tf32"),
    "nn.LSTM fp16": PeerOptions(precision="fp16"),
    "nn.LSTM bf16": PeerOptions(precision="bf16"),
    "nn.LSTM fp16, graph": PeerOptions(precision="fp16", graph=True),
    "nn.LSTM bf16, graph": PeerOptions(precision="bf16", graph=True),
}


def config(device: Device) -> RunConfig:
    full = preset("awd-wikitext2")
    if device.is_cuda:
        return full
    tiny = {"embedding_size": 6, "hidden_sizes": (10, 10, 6), "batch_size": 4, "seq_length": 8}
    return full.with_overrides(tiny)


def drawn_stream(device: Device) -> Stream:
    """As many tokens as the text has; their values do not matter to an epoch's lengths."""
    return training_stream(config(device), Articles.of([np.zeros(TOKENS if device.is_cuda else 400, np.int64)]))


def sampled(lengths: np.ndarray, count: int) -> tuple[int, ...]:
    """Those at the middles of `count` equal parts of the sorted lengths."""
    places = ((np.arange(count) + 0.5) * len(lengths) / count).astype(int)
    return tuple(int(T) for T in np.sort(lengths)[places])


def task(device: Device, seed: int, lengths: tuple[int, ...], windows: Sequence[Window] | None = None) -> StepTask:
    """The first window is the one that is proved: give the longest first."""
    run = config(device)
    return StepTask(
        config=run.language_model(WORDS if device.is_cuda else 31),
        optimizer=run.update,
        batch_size=run.batch_size,
        lengths=lengths,
        lr=100.0,  # with this clip an update has the norm 1: it stands above the rounding of the parameters
        clip=0.01,
        device=device,
        seed=seed,
        words=True,
        given_windows=windows,
    )


def epoch_lengths(stream: Stream) -> np.ndarray:
    """T of every window of the first epoch."""
    epoch = stream.epoch(0)
    return np.array([len(epoch[k].inputs) for k in range(len(epoch))])


def row(device: Device, seed: int) -> Row:
    lengths = epoch_lengths(drawn_stream(device))
    step = task(device, seed, tuple(reversed(sampled(lengths, SAMPLED))))
    contenders = {
        name: Contender(build=lambda o=options: PeerSteps(step, o, SAMPLED), precision=options.precision)
        for name, options in PEERS.items()
    }
    ours = {("bf16", name): options for name, options in variants(device, "bf16", OF_A_STEP).items()}
    ours["float32", FULL] = full_options(device, "float32")
    for (precision, name), options in ours.items():
        contenders[f"{name}, {precision}"] = Contender(
            build=lambda o=options, p=precision: OurSteps(step, p, o, SAMPLED),
            precision=rounding_of(options, precision),
            peer=False,
        )
    return Row(
        id="G4",
        title=f"WikiText-2 epoch, AWD-LSTM, from {SAMPLED} windows of T={', '.join(map(str, step.lengths))}",
        unit="epoch",
        contenders=contenders,
        baseline="nn.LSTM float32",
        goals="must 5 s; goal 2.5 s; moonshot 1.5 s",
        units=SAMPLED / len(lengths),
        notes=f"Extrapolated: the mean of these windows x {len(lengths)} windows of an epoch.",
        **floors(step, lengths),
    )


def floors(step: StepTask, lengths: np.ndarray) -> dict[str, float]:
    tokens = int(lengths.sum()) * step.batch_size
    bytes_ = sum(step_bytes(step.config, step.optimizer.optimizer, int(T) * step.batch_size) for T in lengths)
    return {"flops": float(training_flops_a_token(step.config) * tokens), "bytes": float(bytes_)}


def text_windows(device: Device) -> tuple[int, list[Window]]:
    """Words of the vocabulary, and the windows of the text's first epoch. Raises Unavailable where it is not there."""
    if not device.is_cuda:
        raise Unavailable("a whole text is for CUDA")
    run = config(device)
    try:
        corpus = load_corpus(run.corpus)
    except DataError as error:
        raise Unavailable(str(error)) from None
    vocabulary = build_vocabulary(corpus, run.vocabulary, run.vocabulary_order, split=run.split)
    epoch = training_stream(run, encode_corpus(corpus, vocabulary, split=run.split)["train"]).epoch(0)
    return len(vocabulary), [epoch[k] for k in range(len(epoch))]


def epoch_row(device: Device, seed: int) -> Row:
    lengths = epoch_lengths(drawn_stream(device))
    step = task(device, seed, tuple(int(T) for T in lengths))

    options = full_options(device, "bf16")

    def of_the_text() -> OurSteps:
        words, windows = text_windows(device)
        if words != step.config.vocab_size:
            raise Unavailable(f"the text has {words:,} words, expected {step.config.vocab_size:,}")
        text = task(device, seed, tuple(len(window.inputs) for window in windows), windows)
        return OurSteps(text, "bf16", options, len(windows))

    ours = {
        f"{FULL}, bf16, drawn words": Contender(
            build=lambda: OurSteps(step, "bf16", options, len(lengths)), precision="bf16", peer=False
        ),
        f"{FULL}, bf16, the text": Contender(build=of_the_text, precision="bf16", peer=False),
    }
    return Row(
        id="G4-epoch",
        title=f"WikiText-2 epoch, AWD-LSTM, all of its {len(lengths)} windows",
        unit="epoch",
        contenders=ours,
        baseline=f"{FULL}, bf16, drawn words",
        goals="must 5 s; goal 2.5 s; moonshot 1.5 s",
        on_host=True,
        rounds=EPOCH_ROUNDS,
        notes="Measured whole, after one epoch that compiled, captured and allocated.",
        **floors(step, lengths),
    )
