"""`python -m benchmarks.memory`: peak memory of a training step of the word presets, a process for each contender.

The peer is TorchLM with torch's plain cross-entropy in place of `linear_cross_entropy`, and with malloc as it comes:
autograd then holds the logits of all tokens and their logarithmic softmax, [T B, V] each, and makes the gradient of
both.

Measured is the high-water mark of the process (VmHWM, which begins with the process; getrusage's begins with its
parent's), so that it is what a user needs: interpreter, libraries and compilation with it. `loaded` is what the process
held before the model was built.
"""

import contextlib
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from lstm_ref.core.batching import Window
from lstm_ref.core.config import RunConfig
from lstm_ref.core.draws import Draws
from lstm_ref.core.environment import environment
from lstm_ref.core.errors import ConformanceError, UsageError
from lstm_ref.core.language_model import LanguageModel, StepSettings, load_backend
from lstm_ref.core.params import initial_parameters
from lstm_ref.core.presets import preset

PRESETS, VOCAB_SIZE, STEPS = ("word-seed", "awd-wikitext2"), 33_278, 3
PEER = "torch, plain cross-entropy"
CONTENDERS = {"NumpyLM": "numpy", "TorchLM": "torch", PEER: "torch"}  # and their backends
AGREE = 1e-4  # nats; float32 at these sizes leaves 1e-5, and a mask or gradient too many shows in the first digits
RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Peak:
    """Bytes: of the process before the model, and the most it held while it trained; the losses of its steps."""

    loaded: int
    peak: int
    losses: list[float]


def of_this_process(field: str) -> int:
    """Bytes. field: VmRSS, what it holds now; VmHWM, the most it ever held."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) * 1024
    raise UsageError(f"/proc/self/status has no {field}: memory is measured on Linux only")


def forget_peak() -> None:
    """From now on the high-water mark of this process is what it holds now: proc(5), clear_refs. Linux only."""
    with contextlib.suppress(OSError):  # then `peak` has what was needed to build the model in it
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak() -> int | None:
    """Bytes: the most that this process held, since `forget_peak`; None where the system does not tell."""
    return of_this_process("VmHWM") if Path("/proc/self/status").exists() else None


def take_plain_cross_entropy() -> None:
    """Of TorchLM in this process; and malloc as it comes, which gives back what is freed."""
    import torch.nn.functional as F

    import lstm_torch.model
    import lstm_torch.objective

    def plain(x, weight, bias, targets, *, bf16=False, multiple=1):
        return F.cross_entropy(F.linear(x, weight, bias), targets)

    lstm_torch.objective.linear_cross_entropy = plain  # type: ignore[assignment]
    lstm_torch.model.keep_freed_memory = lambda: False  # type: ignore[assignment]


def train(name: str, config: RunConfig, vocab_size: int) -> Peak:
    """A few steps on random tokens, in this process."""
    build = load_backend(CONTENDERS[name])
    if name == PEER:
        take_plain_cross_entropy()
    loaded = of_this_process("VmRSS")
    model: LanguageModel = build(
        config.language_model(vocab_size), optimizer=config.update, device="cpu", precision="float32"
    )
    model.load_parameters(initial_parameters(model.config, config.seed))
    state, losses = model.zero_state(config.batch_size), []
    for n in range(STEPS):
        draws = Draws(config.seed, n)
        uniform = draws.uniform("benchmark/ids", (config.seq_length + 1, config.batch_size))
        ids = (uniform * vocab_size).astype(np.int64)
        result = model.train_step(Window(ids[:-1], ids[1:]), state, draws, StepSettings(lr=config.lr, clip=config.clip))
        state = result.state
        losses.append(float(result.loss))
    return Peak(loaded, of_this_process("VmHWM"), losses)


def measured(name: str, config: RunConfig, vocab_size: int) -> Peak:
    """In a process of its own."""
    request = json.dumps([name, config.to_dict(), vocab_size])
    root = Path(__file__).parent.parent
    command = [sys.executable, "-m", "benchmarks.memory", request]
    done = subprocess.run(command, cwd=root, check=True, stdout=subprocess.PIPE, text=True)
    return Peak(**json.loads(done.stdout))


def prove(peaks: dict[str, Peak]) -> None:
    """Raises ConformanceError unless all have the same losses, to AGREE nats."""
    for name, found in peaks.items():
        if not np.allclose(found.losses, peaks[PEER].losses, rtol=0, atol=AGREE):
            raise ConformanceError(
                f"{name}: losses {found.losses}, {PEER} has {peaks[PEER].losses}: nothing is compared"
            )


def table(title: str, peaks: dict[str, Peak]) -> str:
    lines = [f"{title}", "", f"| {'contender':<26} | peak MiB | of it loaded | x the peer's |", "|" + "-" * 28]
    lines[-1] += "|---------:|-------------:|-------------:|"
    for name, found in peaks.items():
        ratio = found.peak / peaks[PEER].peak
        lines.append(f"| {name:<26} | {found.peak >> 20:8} | {found.loaded >> 20:12} | {ratio:12.2f} |")
    return "\n".join(lines)


def main() -> None:
    date, found, pages = datetime.now(UTC).isoformat(timespec="minutes"), {}, ["# Peak memory of a training step"]
    for name in PRESETS:
        config = preset(name)
        peaks = {contender: measured(contender, config, VOCAB_SIZE) for contender in CONTENDERS}
        prove(peaks)
        shape = f"B={config.batch_size} T={config.seq_length} V={VOCAB_SIZE} H={list(config.hidden_sizes)}"
        pages.append(table(f"## {name}: {shape}, float32", peaks))
        found[name] = {contender: asdict(peak) for contender, peak in peaks.items()}
    facts = {"date": date, "command": "python -m benchmarks.memory", "environment": environment(), "presets": found}
    path = RESULTS / f"{date[:10]}-memory.json"
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    path.with_suffix(".md").write_text("\n\n".join(pages) + "\n", encoding="utf-8")
    print("\n\n".join(pages))


if __name__ == "__main__":
    if len(sys.argv) == 2:
        contender, fields, size = json.loads(sys.argv[1])
        print(json.dumps(asdict(train(contender, RunConfig.from_dict(fields), size))))
    else:
        main()
