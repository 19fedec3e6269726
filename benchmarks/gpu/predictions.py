"""What we expected on one H200 before anything was measured, with the arithmetic, so that every miss teaches something.

Not to be changed afterwards: a new version gets a new prediction beside its change. Known beforehand: 788 TFLOP/s in a
large bf16 product, 4.3 TB/s copied (counting bytes read and written), and of G2 what KNOWN in rows/recurrence.py says.

Rates guessed here: float32 products 50 TFLOP/s, TF32 390; of many small ones half of that. A launch costs the host 4 µs
and the device 2 in a graph. A dependent step of cuDNN's LSTM: 10 µs forward or backward in float32 and TF32, 8 in fp16
and bf16 (a product and a gate kernel), 2 to 5 in the persistent fp16 kernel, which keeps W_hh in registers.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Prediction:
    """seconds: of one of the row's units, by contender; why: the arithmetic; bytes: peak memory, where predicted."""

    why: str
    seconds: Mapping[str, float]
    bytes: Mapping[str, float] = field(default_factory=dict)


MS, US, GB = 1e-3, 1e-6, 1e9

PREDICTIONS: dict[str, Prediction] = {
    "ceilings": Prediction(
        "1.10 TFLOP at 788, 788, 390 and 50 TFLOP/s; 4.29 GB read and written at 4.3 TB/s.",
        {
            "GEMM bf16": 1.40 * MS,
            "GEMM fp16": 1.40 * MS,
            "GEMM tf32": 2.8 * MS,
            "GEMM float32": 22 * MS,
            "device copy": 2.0 * MS,
        },
    ),
    "G1": Prediction(
        "400 dependent steps (100, two layers, both ways), of which cuDNN runs the two layers of one call side by "
        "side: about 250 in a row. float32: 245 GFLOP at 40 TFLOP/s = 6.1 ms, and 2 ms of gaps. TF32: 250 x 12 µs "
        "= 3 ms, 1.2 ms of batched products and 0.5 ms of one-hot, decoder, softmax, dropout, clip and Adam. fp16 "
        "and bf16: 250 x 9 µs + 0.6 + 0.5 (autocast hands cuDNN fp16 for either). A graph takes the host out: 0.7 "
        "ms of launches that the device waits for. Padding to 96 aligns rows: a tenth of the first layer's "
        "product. A call a layer loses the overlap (400 x 8 µs) unless the kernel is persistent: 200 x 3 µs "
        "forward + 200 x 5 µs backward = 1.6 ms, + 0.35 of products + 0.3: 2.2 ms in a graph, 2.7 without; of the "
        "first layer only with 128 inputs, else 0.8 ms more. Ours: the same kernel, so 2.2 ms; 13 million mask "
        "words take 20 µs on the device, but on the host 5 ms, and 13 MB of pinned memory another 2. All off: "
        "those 7 ms, 4.2 of bf16 autocast hidden behind them, and a wait a step.",
        {
            "nn.LSTM float32": 8 * MS,
            "nn.LSTM tf32": 4.7 * MS,
            "nn.LSTM fp16": 3.9 * MS,
            "nn.LSTM bf16": 3.9 * MS,
            "nn.LSTM float32, graph": 7.3 * MS,
            "nn.LSTM tf32, graph": 4.0 * MS,
            "nn.LSTM fp16, graph": 3.2 * MS,
            "nn.LSTM bf16, graph": 3.2 * MS,
            "nn.LSTM fp16, padded to 96": 3.8 * MS,
            "nn.LSTM fp16, padded to 128": 3.8 * MS,
            "nn.LSTM fp16, a call a layer": 3.5 * MS,
            "nn.LSTM fp16, padded to 128, a call a layer": 2.7 * MS,
            "nn.LSTM fp16, padded to 128, a call a layer, graph": 2.2 * MS,
            "nn.LSTM bf16, padded to 128, a call a layer, graph": 2.2 * MS,
            "ours, float32": 7.5 * MS,
            "ours, all switches off, float32": 14 * MS,
            "ours without device_draws and graph, float32": 13 * MS,
            "ours without padding, float32": 7.5 * MS,
            "ours without resident and graph, float32": 8.5 * MS,
            "ours without graph, float32": 8.2 * MS,
            "ours without recurrence, float32": 7.5 * MS,
            "ours, bf16": 2.2 * MS,
            "ours, all switches off, bf16": 9 * MS,
            "ours without device_draws and graph, bf16": 8 * MS,
            "ours without padding, bf16": 3.0 * MS,
            "ours without resident and graph, bf16": 3.0 * MS,
            "ours without graph, bf16": 2.8 * MS,
            "ours without recurrence, bf16": 3.0 * MS,
            "ours, device_draws alone, bf16": 4.6 * MS,
            "ours, padding alone, bf16": 8.5 * MS,
            "ours, resident alone, bf16": 8.8 * MS,
            "ours, recurrence alone, bf16": 8.5 * MS,
            "ours, recurrence float32, bf16": 7.2 * MS,
            "ours, recurrence tf32, bf16": 4.5 * MS,
            "ours, recurrence bf16, bf16": 3.8 * MS,
            "ours, recurrence tf32, float32": 4.8 * MS,
            "ours, recurrence bf16, float32": 4.0 * MS,
            "ours, recurrence fp16, float32": 2.5 * MS,
        },
    ),
    "G2-forward": Prediction(
        "1,024 steps. Persistent fp16: as known. bf16 has no such kernel: 1,024 x 7 µs; TF32 and float32 x 7.5 and "
        "9. In a graph the launches of the others cost 2 µs less a step. Ours: 50 MB of x read and 25 written for "
        "rounding, 10 MB of weights: 0.03 ms above torch.lstm.",
        {
            "torch.lstm fp16": 2.01 * MS,
            "torch.lstm fp16, graph": 2.0 * MS,
            "torch.lstm bf16": 7.2 * MS,
            "torch.lstm bf16, graph": 6.0 * MS,
            "torch.lstm tf32": 7.7 * MS,
            "torch.lstm tf32, graph": 6.5 * MS,
            "torch.lstm float32": 9.2 * MS,
            "torch.lstm float32, graph": 8.0 * MS,
            "ours fp16": 2.1 * MS,
            "ours fp16, graph": 2.05 * MS,
            "ours bf16": 7.3 * MS,
            "ours bf16, graph": 6.1 * MS,
        },
    ),
    "G2-both": Prediction(
        "As forward, and backward 1,024 x 8 to 10 µs where it is not persistent, and the weights' gradient in one "
        "product (77 GFLOP: 0.2 ms in fp16, 2 in float32). Ours: 0.2 ms of rounding dy and dx.",
        {
            "torch.lstm fp16": 5.19 * MS,
            "torch.lstm fp16, graph": 5.1 * MS,
            "torch.lstm bf16": 16 * MS,
            "torch.lstm bf16, graph": 14 * MS,
            "torch.lstm tf32": 17 * MS,
            "torch.lstm tf32, graph": 15 * MS,
            "torch.lstm float32": 22 * MS,
            "torch.lstm float32, graph": 20 * MS,
            "ours fp16": 5.4 * MS,
            "ours fp16, graph": 5.3 * MS,
            "ours bf16": 16.2 * MS,
            "ours bf16, graph": 14.2 * MS,
        },
    ),
    "G4": Prediction(
        "About 383 steps of 68 x 80 tokens, 1.1 TFLOP each. float32: 1.1 / 45 = 24 ms, + 1.4 ms for 8 passes over "
        "725 MB of logits: 10 s. TF32: 1.1 / 250 = 4.4 ms, 68 x 3 x 2 dependent steps x 12 µs = 4.9, logits 1.7: "
        "4.2 s. fp16 and bf16: 1.1 / 400 = 2.8 ms, steps x 10 µs = 4.1, logits 1.5: 3.2 s; a graph saves 0.7 ms: "
        "2.9. Ours: no array of all logits, but small blocks of them: 2.5 ms for the softmax; products elsewhere "
        "1.7; steps of 1150 units are not persistent (H > 1024), those of 400 are: 3.3 ms; masks and update 0.3: "
        "7.5 ms, 2.9 s. Without padding rows of 1150 and 33,278 are not aligned: products take half as long again. "
        "Masks on the host: 11 million words for weight_hh, 5 ms, and 11 MB copied: + 6 ms.",
        {
            "nn.LSTM float32": 10.0,
            "nn.LSTM tf32": 4.2,
            "nn.LSTM fp16": 3.2,
            "nn.LSTM bf16": 3.2,
            "nn.LSTM fp16, graph": 2.9,
            "nn.LSTM bf16, graph": 2.9,
            "ours, float32": 11.0,
            "ours, bf16": 2.9,
            "ours, all switches off, bf16": 6.5,
            "ours without device_draws and graph, bf16": 5.5,
            "ours without padding, bf16": 3.7,
            "ours without resident and graph, bf16": 3.4,
            "ours without graph, bf16": 3.3,
            "ours without recurrence, bf16": 3.1,
        },
        {"nn.LSTM float32": 4.5 * GB, "nn.LSTM bf16": 4.0 * GB, "ours, bf16": 1.5 * GB},
    ),
    "G4-epoch": Prediction(
        "G4's figure for ours, + 0.1 s: the windows of an epoch come from the host.",
        {"ours, bf16, drawn words": 3.0, "ours, bf16, the text": 3.0},
    ),
    "G6": Prediction(
        "447 GFLOP: 0.57 ms at 788 TFLOP/s, 0.9 at the rate of sums of 400. Logits in bf16: 8 passes over 373 MB "
        "= 0.7 ms, three of them at a time: 1.1 GB, and 62 MB of inputs and gradients. With float32 logits 8 passes "
        "over 745 MB and 2 over 373: 1.6 ms, 2.6 GB. Ours: 23 blocks of 252 rows that stay in the cache, products of "
        "252 rows at a third of the rate 1.6 ms, the weight's gradient read and written for each block, 23 x 107 MB "
        "= 0.6 ms, softmax 0.5: 2.7 ms; inputs and gradients in float32 (124 MB), the rounded weight (27) and a "
        "block (34 + 17): 0.2 GB.",
        {
            "F.cross_entropy": 1.7 * MS,
            "F.cross_entropy, graph": 1.6 * MS,
            "F.cross_entropy, float32 logits": 2.6 * MS,
            "F.cross_entropy, float32 logits, graph": 2.5 * MS,
            "ours": 2.9 * MS,
            "ours, graph": 2.7 * MS,
        },
        {"F.cross_entropy": 1.2 * GB, "F.cross_entropy, float32 logits": 2.7 * GB, "ours": 0.2 * GB},
    ),
    "G7": Prediction(
        "nn.LSTM: two calls of 60 µs, 8 small launches of 6 µs, two waits of 20 µs and NumPy: 250 µs. LSTMCell: "
        "two of 35: 200 µs. Ours without switches: two cells of 3 launches, a sort, 10 small launches and a wait: "
        "250 µs. In a graph: about 30 kernels x 2.2 µs = 65 µs, read in blocks; without a graph 30 launches x 5 µs "
        "= 150 µs. bf16 reads half the weights, which were in the cache: 60 µs.",
        {
            "nn.LSTM": 250 * US,
            "nn.LSTMCell": 200 * US,
            "ours, float32": 65 * US,
            "ours, all switches off, float32": 250 * US,
            "ours without padding, float32": 65 * US,
            "ours without graph, float32": 150 * US,
            "ours without device_sampling, float32": 250 * US,
            "ours without recurrence, float32": 65 * US,
            "ours, bf16": 60 * US,
        },
    ),
}


def predicted_seconds(row: str, name: str) -> float | None:
    return PREDICTIONS[row].seconds.get(name) if row in PREDICTIONS else None


def predicted_bytes(row: str, name: str) -> float | None:
    return PREDICTIONS[row].bytes.get(name) if row in PREDICTIONS else None
