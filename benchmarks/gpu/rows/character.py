"""G1, the character step: 2x512 units, 83 characters, B=128, T=100; forward, backward, clip and Adam.

400 dependent steps, forward and backward through two layers: latency binds, not arithmetic.
"""

from benchmarks.gpu.device import Device
from benchmarks.gpu.floors import step_bytes, training_flops_a_token
from benchmarks.gpu.ours import OF_A_STEP, OurSteps, recurrences, rounding_of, variants
from benchmarks.gpu.peers import PeerOptions, PeerSteps
from benchmarks.gpu.row import Contender, Row
from benchmarks.gpu.steps import StepTask
from lstm_ref.core.config import LanguageModelConfig, OptimizerConfig

PEERS = {
    "nn.LSTM float32": PeerOptions(precision="float32"),
    "nn.LSTM tf32": PeerOptions(precision="tf32"),
    "nn.LSTM fp16": PeerOptions(precision="fp16"),
    "nn.LSTM bf16": PeerOptions(precision="bf16"),
    "nn.LSTM float32, graph": PeerOptions(precision="float32", graph=True),
    "nn.LSTM tf32, graph": PeerOptions(precision="tf32", graph=True),
    "nn.LSTM fp16, graph": PeerOptions(precision="fp16", graph=True),
    "nn.LSTM bf16, graph": PeerOptions(precision="bf16", graph=True),
    "nn.LSTM fp16, padded to 96": PeerOptions(precision="fp16", multiple=32),
    "nn.LSTM fp16, padded to 128": PeerOptions(precision="fp16", multiple=128),
    "nn.LSTM fp16, a call a layer": PeerOptions(precision="fp16", apart=True),
    "nn.LSTM fp16, padded to 128, a call a layer": PeerOptions(precision="fp16", multiple=128, apart=True),
    "nn.LSTM fp16, padded to 128, a call a layer, graph": PeerOptions(
        precision="fp16", multiple=128, apart=True, graph=True
    ),
    "nn.LSTM bf16, padded to 128, a call a layer, graph": PeerOptions(
        precision="bf16", multiple=128, apart=True, graph=True
    ),
}


def task(device: Device, seed: int) -> StepTask:
    V, H, B, T = (83, 512, 128, 100) if device.is_cuda else (11, 8, 4, 5)
    config = LanguageModelConfig(vocab_size=V, hidden_sizes=(H, H), dropout_between=0.5, dropout_output=0.5)
    return StepTask(
        config=config,
        optimizer=OptimizerConfig(),
        batch_size=B,
        lengths=(T,) * 4,
        lr=0.001,
        clip=0.001,
        device=device,
        seed=seed,
    )


def row(device: Device, seed: int) -> Row:
    step = task(device, seed)
    contenders = {
        name: Contender(build=lambda options=options: PeerSteps(step, options), precision=options.precision)
        for name, options in PEERS.items()
    }
    for precision in ("float32", "bf16"):
        alone = precision == "bf16"
        ours = variants(device, precision, OF_A_STEP, alone=alone) | recurrences(device, precision)
        for name, options in ours.items():
            contenders[f"{name}, {precision}"] = Contender(
                build=lambda options=options, precision=precision: OurSteps(step, precision, options),
                precision=rounding_of(options, precision),
                peer=False,
            )
    tokens = step.batch_size * step.lengths[0]
    sizes = "x".join(map(str, step.config.hidden_sizes))
    return Row(
        id="G1",
        title=f"character step, V={step.config.vocab_size} H={sizes} B={step.batch_size} T={step.lengths[0]}",
        unit="step",
        contenders=contenders,
        baseline="nn.LSTM float32",
        goals="must 2x eager; goal 1.2 ms; moonshot 0.8 ms",
        flops=training_flops_a_token(step.config) * tokens,
        bytes=step_bytes(step.config, step.optimizer.optimizer, tokens),
    )
